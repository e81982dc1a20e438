//! What can be proved to be exact, and what is refused because it cannot.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::company::{Frames, catalogue, compute, frames};
use crate::report::language::bind::parse;
use crate::report::language::bounds::{Extent, Overflow, ValueRange, prove};
use crate::report::run::error::ReportError;

/// Eleven million lines of at most a million each (in cents), and three hundred shops.
fn extents() -> BTreeMap<String, Extent> {
    let extent = |rows: f64, key: &str, columns: &[(&str, DataType, f64)]| Extent {
        rows,
        key: vec![key.to_owned()],
        columns: columns
            .iter()
            .map(|(name, kind, max)| ((*name).to_owned(), ValueRange::of(kind, *max, rows)))
            .collect(),
    };
    let (wide, narrow) = (DataType::Int64, DataType::Int32);
    let lines = extent(
        11e6,
        "line",
        &[
            ("line", wide.clone(), 11e6),
            ("shop", wide.clone(), 300.0),
            ("cents", wide.clone(), 1e8),
            ("pieces", wide.clone(), 100.0),
            ("hour", narrow, 23.0),
            ("day", DataType::Date, 0.0),
        ],
    );
    let shops = extent(300.0, "shop", &[("shop", wide.clone(), 300.0), ("town", wide, 40.0)]);
    BTreeMap::from([("lines".to_owned(), lines), ("shops".to_owned(), shops)])
}

fn proved(sql: &str) -> Result<(), Overflow> {
    prove(&parse(sql).unwrap(), &extents()).map(drop)
}

#[test]
fn sums_of_real_trade_are_proved() {
    for sql in [
        "SELECT shop, SUM(cents) AS total FROM lines GROUP BY shop",
        "SELECT SUM(cents * pieces) AS total FROM lines",
        "SELECT SUM(CASE WHEN hour > 12 THEN cents ELSE -cents END) AS total FROM lines",
        // One row of the other side for each line, because the column of the join is its key.
        "SELECT s.town AS town, SUM(l.cents) AS total FROM lines AS l JOIN shops AS s ON s.shop = l.shop GROUP BY town",
        "WITH totals AS (SELECT shop AS of_shop, SUM(cents) AS total FROM lines GROUP BY shop)
         SELECT SUM(t.total) AS all_of_it FROM shops AS s LEFT JOIN totals AS t ON t.of_shop = s.shop",
        "WITH one AS (SELECT SUM(cents) AS total FROM lines) SELECT SUM(l.cents) AS c FROM lines AS l CROSS JOIN one AS o",
        "SELECT SUM(CASE WHEN hour > 12 THEN 1 ELSE 0 END) AS late FROM lines",
        // Fractions do not wrap.
        "SELECT SUM(cents * 1.0 * cents) AS squares FROM lines",
        "SELECT SUM(cents) / COUNT(*) AS average FROM lines",
        "SELECT SUM(cents) AS total FROM (SELECT cents FROM lines UNION ALL SELECT cents FROM lines) AS twice",
        // By columns of the FROM, by what the SELECT gives, and by both.
        "SELECT shop, SUM(cents) AS total FROM lines GROUP BY shop ORDER BY SUM(cents) DESC, shop",
        "SELECT line FROM lines ORDER BY cents + 1, line",
        "SELECT shop, SUM(cents) AS total FROM lines GROUP BY shop ORDER BY total + shop, shop LIMIT 5",
        "SELECT shop FROM lines UNION ALL SELECT shop FROM shops ORDER BY shop",
    ] {
        assert_eq!(proved(sql), Ok(()), "{sql}");
    }
}

#[test]
fn what_could_wrap_is_named() {
    let cases = [
        ("SELECT SUM(cents * cents) AS c FROM lines", "SUM(cents * cents)"),
        ("SELECT SUM(cents) * SUM(pieces) AS c FROM lines", "SUM(cents) * SUM(pieces)"),
        // Lines of one shop, paired with each other.
        ("SELECT SUM(a.cents) AS c FROM lines AS a JOIN lines AS b ON b.shop = a.shop", "SUM(a.cents)"),
        // Told apart by nothing that the other side has.
        ("SELECT SUM(a.cents) AS c FROM lines AS a JOIN lines AS b ON b.line = b.shop", "SUM(a.cents)"),
        ("SELECT SUM(a.cents) AS c FROM lines AS a CROSS JOIN lines AS b", "SUM(a.cents)"),
        (
            "WITH r AS (SELECT SUM(cents) OVER (ORDER BY line) AS total FROM lines) SELECT SUM(total) AS c FROM r",
            "SUM(total)",
        ),
        // 32 bits only.
        ("SELECT hour * 100000000 AS c FROM lines", "hour * 100000000"),
        ("SELECT line FROM lines WHERE cents * cents * shop * pieces > 5", "cents * cents * shop * pieces"),
        (
            "SELECT line FROM lines WHERE line IN (SELECT shop * 100000000000000000 FROM shops)",
            "shop * 100000000000000000",
        ),
        ("SELECT SUM(unheard_of) AS c FROM lines", "SUM(unheard_of)"),
        // Wherever an expression may stand.
        ("SELECT COUNT(*) FILTER (WHERE hour * 100000000 > 0) AS c FROM lines", "hour * 100000000"),
        ("SELECT COUNT(*) AS c FROM lines GROUP BY hour * 200000000", "hour * 200000000"),
        ("SELECT line FROM lines ORDER BY hour * 200000000, line", "hour * 200000000"),
        ("SELECT shop, SUM(cents) AS c FROM lines GROUP BY shop ORDER BY c * c, shop", "c * c"),
        ("SELECT SUBSTR(CAST(hour * 200000000 AS VARCHAR), 1, 2) AS c FROM lines", "hour * 200000000"),
        ("SELECT RANK() OVER (ORDER BY hour * 200000000) AS c FROM lines", "hour * 200000000"),
    ];
    for (sql, expression) in cases {
        assert_eq!(proved(sql).map_err(|overflow| overflow.expression), Err(expression.to_owned()), "{sql}");
    }
}

/// The company, with a dataset's column multiplied.
fn inflated(dataset: &str, column: &str, factor: i64) -> Frames {
    let mut frames = frames();
    let frame = frames[dataset].clone().lazy().with_column(col(column) * lit(factor)).collect().unwrap();
    frames.insert(dataset.to_owned(), frame);
    frames
}

#[test]
fn a_sum_beyond_64_bits_is_an_error_that_names_the_amount() {
    let day = [("from", "2026-03-08"), ("to", "2026-03-08")];
    // 19.00 becomes 3.8e18 cents: one fits, the sum does not, and the engine would give a wrong one without a word.
    let frames = inflated("sale_lines", "net_cents", 2_000_000_000_000_000);
    let error = compute(&catalogue(), &frames, "store_performance", &day).unwrap_err();
    assert!(matches!(error, ReportError::MightOverflow { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("look at sale_lines.net_cents, which holds 4000000000000000000"), "{text}");
    let frames = inflated("products", "unit_cost_cents", 1_000_000_000_000_000);
    let error = compute(&catalogue(), &frames, "stock_valuation", &[]).unwrap_err();
    assert!(error.to_string().contains("on_hand * "), "{error}");
}

#[test]
fn amounts_are_weighed_before_a_report_is_refused() {
    // Ten lines of at most 9e17 could be 9e18 together; these are 2e18.
    let frames = inflated("sale_lines", "net_cents", 100_000_000_000_000);
    let frame = compute(&catalogue(), &frames, "discounts", &[("from", "2026-03-08"), ("to", "2026-03-08")]);
    assert!(frame.is_ok(), "{frame:?}");
}

#[test]
fn every_report_bears_lines_of_a_million() {
    let (catalogue, mut frames) = (catalogue(), frames());
    for (dataset, column) in
        [("sale_lines", "net_cents"), ("order_lines", "net_cents"), ("products", "unit_cost_cents")]
    {
        frames.extend([(dataset.to_owned(), inflated(dataset, column, 100_000).remove(dataset).unwrap())]);
    }
    for report in catalogue.reports() {
        let outcome = compute(&catalogue, &frames, &report.name, &[]);
        assert!(outcome.is_ok(), "{}: {outcome:?}", report.name);
    }
}
