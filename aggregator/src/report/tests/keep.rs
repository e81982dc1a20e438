//! Which views' rows can be kept, and what is said against the others.

use std::collections::BTreeMap;

use super::company::{catalogue, schemas};
use crate::report::language::catalogue::{Catalogue, Origin, Source};

const HEADER: &str =
    "/*---\ntitle = \"Own\"\ndescription = \"Own.\"\nkeep = \"day\"\nkey = [\"business_day\", \"store_id\"]\n---*/\n";
const GOOD: &str =
    "SELECT business_day, store_id, SUM(net_cents) AS cents\nFROM sale_lines\nGROUP BY business_day, store_id";

/// The catalogue of one view over the datasets, and of two that it may read.
fn with(view: &str) -> Catalogue {
    let source = |name: &str, text: String| {
        let label = format!("views/{name}.sql");
        (name.to_owned(), Source { name: name.to_owned(), label, text, origin: Origin::Own })
    };
    let plain = |sql: &str| format!("/*---\ntitle = \"Beneath\"\ndescription = \"Beneath.\"\n---*/\n{sql}");
    let by_line = plain("SELECT business_day, store_id, net_cents FROM sale_lines WHERE status = 'completed'");
    let joined = plain(
        "SELECT l.business_day AS business_day, s.store_id AS store_id, l.net_cents AS net_cents FROM sale_lines AS l JOIN stores AS s ON s.store_id = l.store_id",
    );
    let views = BTreeMap::from([source("own", view.to_owned()), source("by_line", by_line), source("joined", joined)]);
    Catalogue::compile(views, BTreeMap::new(), BTreeMap::new(), &schemas())
}

#[test]
fn filters_and_groups_of_a_day_are_kept_whatever_lies_between() {
    for sql in [
        GOOD.to_owned(),
        GOOD.replace("sale_lines", "by_line"),
        GOOD.replace("GROUP BY business_day", "WHERE line_no IN (1, 2) GROUP BY business_day")
            .replace("store_id\nFROM", "store_id FROM"),
        GOOD.replace("SUM(net_cents)", "COUNT(DISTINCT CASE WHEN quantity > 0 THEN sale_id END)"),
        format!("{GOOD} HAVING COUNT(*) > 1"),
        format!(
            "WITH few AS (SELECT business_day, store_id, net_cents, line_no FROM sale_lines WHERE line_no < 3)\n{}",
            GOOD.replace("sale_lines", "few")
        ),
        format!(
            "{GOOD}\nUNION ALL\nSELECT business_day, CAST(NULL AS BIGINT) AS store_id, SUM(net_cents) AS cents FROM order_lines GROUP BY business_day"
        ),
    ] {
        let catalogue = with(&format!("{HEADER}{sql}"));
        assert!(catalogue.broken().is_empty(), "{sql}: {:?}", catalogue.broken());
        let kept: Vec<_> = catalogue.kept().collect();
        assert_eq!(kept.len(), 1);
        assert!(kept[0].view.inputs.iter().all(|input| input.ends_with("_lines")), "{:?}", kept[0].view.inputs);
        assert_eq!(kept[0].is_proved, !sql.contains("UNION"), "{sql}");
    }
}

#[test]
fn what_looks_at_more_than_a_day_or_is_not_exact_is_refused_by_line_and_reason() {
    let good = format!("{HEADER}{GOOD}");
    for (text, message, line) in [
        (good.replace("sale_lines", "stores").replace("net_cents", "store_id"), "unknown column: business_day", 7),
        (
            good.replace("sale_lines", "calendar").replace("net_cents", "year").replace("store_id", "iso_week"),
            "the rows of \"calendar\" are of no day",
            8,
        ),
        (
            good.replace("FROM sale_lines", "FROM joined"),
            "the view \"joined\" reads more than one day: rows are not kept of a join",
            8,
        ),
        (
            good.replace(
                "FROM sale_lines",
                "FROM sale_lines AS l JOIN calendar AS c ON c.business_day = l.business_day",
            )
            .replace("business_day,", "l.business_day,"),
            "not kept of a join",
            8,
        ),
        (
            good.replace(
                "FROM sale_lines",
                "FROM (SELECT business_day, store_id, net_cents, line_no FROM sale_lines) AS x",
            ),
            "not kept of a subquery",
            8,
        ),
        (
            good.replace("\nGROUP", "\nWHERE store_id IN (SELECT store_id FROM stores)\nGROUP"),
            "not kept of a subquery",
            9,
        ),
        (good.replace("SUM(net_cents) AS cents", "SUM(SUM(net_cents)) OVER () AS cents"), "not kept of a window", 7),
        (good.replace("SUM(net_cents)", "AVG(net_cents)"), "AVG gives a fraction", 7),
        (good.replace("SUM(net_cents)", "SUM(net_cents) / 2"), "a quotient is a fraction", 7),
        (good.replace("SUM(net_cents)", "SUM(CASE WHEN net_cents > 0.5 THEN 1 ELSE 0 END)"), "0.5 is a fraction", 7),
        (
            good.replace("GROUP BY business_day, store_id", "GROUP BY store_id")
                .replace("SELECT business_day", "SELECT MAX(business_day) AS business_day"),
            "GROUP BY lacks business_day",
            7,
        ),
        (
            good.replace("\nGROUP BY business_day, store_id", "")
                .replace("business_day, store_id,", "MAX(business_day) AS business_day, MAX(store_id) AS store_id,"),
            "a total over all days",
            7,
        ),
        (
            good.replace("SELECT business_day", "SELECT CAST('2026-03-01' AS DATE) AS business_day"),
            "business_day is another here",
            7,
        ),
        (good.replace("SELECT business_day, ", "SELECT "), "no column is business_day", 7),
        (
            format!(
                "{good}\nUNION ALL\nSELECT CAST(NULL AS DATE) AS store_id, quantity AS business_day, net_cents AS cents FROM sale_lines"
            ),
            "is another here",
            11,
        ),
        (good.replace("\"business_day\", ", ""), "`key` lacks business_day", 1),
        (good.replace(", \"store_id\"", ""), "`key` lacks store_id", 1),
        (good.replace("\"store_id\"]", "\"store\"]"), "`key` names store, which is no column", 1),
        (good.replace("key = [\"business_day\", \"store_id\"]\n", ""), "`keep` needs `key`", 1),
        (good.replace("keep = \"day\"\n", ""), "`key` is of a view whose rows are kept", 1),
        (good.replace("\"day\"", "\"week\""), "week", 4),
    ] {
        let catalogue = with(&text);
        let faults = catalogue.broken().get("views/own").unwrap_or_else(|| panic!("accepted: {text}"));
        assert!(faults[0].message.contains(message), "{}", faults[0]);
        assert_eq!(faults[0].line, line, "{}", faults[0]);
    }
}

#[test]
fn a_report_depends_on_what_lies_beneath_the_kept_views_and_its_text_holds_it() {
    let catalogue = catalogue();
    let report = catalogue.get("channel_mix").unwrap();
    let beneath = ["order_lines", "refund_lines", "sale_lines"].map(str::to_owned);
    assert_eq!(report.datasets.iter().cloned().collect::<Vec<_>>(), beneath);
    assert_eq!(report.kept.keys().collect::<Vec<_>>(), ["store_days"]);
    assert!(report.beside.is_empty(), "{:?}", report.beside);
    let of_stores = catalogue.get("store_performance").unwrap();
    assert_eq!(of_stores.beside.iter().collect::<Vec<_>>(), ["stores"]);
    // Through a view that is not kept itself.
    assert_eq!(catalogue.get("sales_by_day").unwrap().kept.keys().collect::<Vec<_>>(), ["store_days"]);
    assert!(report.query.to_string().contains("FROM sale_lines"));
    let all: Vec<_> = catalogue.kept().map(|kept| kept.view.digest.clone()).collect();
    assert_eq!(all.len(), all.iter().collect::<std::collections::BTreeSet<_>>().len());
}
