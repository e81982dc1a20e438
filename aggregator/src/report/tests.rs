//! The engine over frames in memory: what a file may hold, and figures that can be checked by eye.

mod bounds;
mod by_hand;
pub(crate) mod company;
mod descriptions;
mod escape;
mod folder;
mod fuzz;
mod keep;

use std::collections::BTreeMap;

use crate::report::language::catalogue::{Catalogue, Origin, Source};
use crate::report::run::error::ReportError;
use company::{catalogue, compute, compute_within, frames, schemas};

#[test]
fn every_shipped_file_is_sound() {
    let catalogue = catalogue();
    let faults: Vec<String> = catalogue.broken().values().flatten().map(ToString::to_string).collect();
    assert_eq!(faults, Vec::<String>::new());
    assert!(catalogue.reports().count() >= 2);
}

#[test]
fn every_report_runs_with_its_defaults_and_on_nothing() {
    let catalogue = catalogue();
    let full = frames();
    let empty = full.iter().map(|(name, frame)| (name.clone(), frame.clear())).collect();
    for report in catalogue.reports() {
        for frames in [&full, &empty] {
            let frame = compute(&catalogue, frames, &report.name, &[])
                .unwrap_or_else(|error| panic!("{}: {error}: {:?}", report.name, std::error::Error::source(&error)));
            let names: Vec<&str> = frame.get_column_names().into_iter().map(|name| name.as_str()).collect();
            let declared: Vec<&str> = report.columns.iter().map(|column| column.name.as_str()).collect();
            assert_eq!(names, declared, "{}", report.name);
        }
    }
}

#[test]
fn sales_reports_carry_the_period_before_and_the_same_weekdays_a_year_ago() {
    let catalogue = catalogue();
    let of_sales = |name: &str| catalogue.get(name).is_some_and(|report| report.section == "Sales");
    // The finest slice is what others are held against; the other is a list of lines.
    let alone = ["daily_sales", "price_overrides"];
    assert!(alone.into_iter().all(of_sales));
    let also = ["product_performance", "product_ranking"];
    let mut seen = 0;
    for report in catalogue.reports().filter(|it| it.section == "Sales" || also.contains(&it.name.as_str())) {
        let has = |start: &str| report.columns.iter().any(|column| column.name.starts_with(start));
        let both = (has("previous_") || has("week_ago_")) && has("year_ago_");
        assert_eq!(both, !alone.contains(&report.name.as_str()), "{}", report.name);
        seen += 1;
    }
    assert!(seen > 12, "{seen}");
}

#[test]
fn a_result_of_too_many_rows_says_how_to_get_it_as_a_file() {
    let (catalogue, frames) = (catalogue(), frames());
    let day = [("from", "2026-03-08"), ("to", "2026-03-08")];
    let run = |rows: usize| compute_within(&catalogue, &frames, "hour_heatmap", &day, rows);
    assert_eq!(run(5).unwrap().height(), 5, "as many as allowed are not too many");
    let error = run(4).unwrap_err();
    assert!(matches!(error, ReportError::TooManyRows { limit: 4, .. }) && error.is_callers(), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("more than 4 rows: narrow the dates"), "{message}");
    assert!(message.contains("POST /reports/hour_heatmap/runs") && message.contains("5000000 rows"), "{message}");
    // What is a file already cannot become one.
    let most = ReportError::TooManyRows { report: "r".to_owned(), limit: 5_000_000 };
    assert_eq!(most.to_string(), "the result has more than 5000000 rows: narrow the dates or set a limit");
    let slow = |seconds| ReportError::TimedOut { report: "r".to_owned(), seconds }.to_string();
    assert!(
        slow(1).starts_with("the report took longer than 1 s: narrow the dates; or get it as a file"),
        "{}",
        slow(1)
    );
    assert_eq!(slow(86_400), "the report took longer than 86400 s: narrow the dates");
}

#[test]
fn a_callers_mistake_is_named() {
    let (catalogue, frames) = (catalogue(), frames());
    let run = |name: &str, params: &[(&str, &str)]| compute(&catalogue, &frames, name, params).unwrap_err().to_string();
    assert!(run("sales_of_mars", &[]).contains("there is no report"));
    assert!(run("store_performance", &[("store", "1")]).contains("takes from, limit, to"));
    assert!(run("store_performance", &[("from", "2026-02-30")]).contains("must be a date"));
    assert!(run("store_performance", &[("from", "2026-03-09"), ("to", "2026-03-08")]).contains("must not be after"));
    assert!(run("store_performance", &[("limit", "0")]).contains("at least 1"));
}

const GOOD: &str = r#"/*---
title = "T"
description = "D"
section = "Test"
grain = "day"
key = ["store_id"]
[params]
store = { type = "string", default = "x" }
[columns]
store_id = { type = "int64", title = "Store" }
---*/
SELECT store_id FROM stores WHERE name <> $store ORDER BY store_id
"#;

pub(super) fn one(text: &str) -> Catalogue {
    let source = Source { name: "one".into(), label: "reports/one.sql".into(), text: text.into(), origin: Origin::Own };
    Catalogue::compile(BTreeMap::new(), BTreeMap::from([("one".to_owned(), source)]), BTreeMap::new(), &schemas())
}

#[test]
fn a_faulty_file_says_where_and_why() {
    assert!(one(GOOD).get("one").is_some(), "{:?}", one(GOOD).broken());
    let sql = "SELECT store_id FROM stores WHERE name <> $store ORDER BY store_id";
    let cases = [
        (GOOD.replace(sql, "SELECT store_id FROM read_csv('/etc/passwd') WHERE $store = 'x' ORDER BY store_id"), "table function read_csv", 12),
        (GOOD.replace(sql, "DROP TABLE stores"), "one SELECT", 1),
        (GOOD.replace(sql, &format!("{sql}; SELECT 1")), "exactly one statement", 1),
        (GOOD.replace("FROM stores", "FROM shops"), "no dataset or view \"shops\"", 12),
        (GOOD.replace("SELECT store_id FROM", "SELECT store_idd AS store_id FROM"), "store_idd", 12),
        (GOOD.replace("ORDER BY store_id", ""), "ORDER BY lacks store_id", 12),
        (GOOD.replace("$store ", "'x' "), "parameter store is not used", 1),
        (GOOD.replace("$store ", "$shop "), "$shop stands in the SQL", 1),
        (GOOD.replace("name <>", "date_trunc('month', name) <>"), "date_trunc is not in the shared subset", 12),
        (GOOD.replace("WHERE name", "WHERE store_id > (SELECT MAX(store_id) FROM stores) AND name"), "subquery as a value", 12),
        (GOOD.replace("SELECT store_id FROM", "SELECT store_id FROM FROM"), "FROM", 12),
        (GOOD.replace("\"int64\"", "\"date\""), "declared date, but the SQL gives", 1),
        (GOOD.replace("grain = \"day\"", "grain = \"week\""), "week", 5),
        (GOOD.replace("[params]", "[parms]"), "parms", 7),
        (GOOD.replace("store = {", "max_age = {").replace("$store", "$max_age"), "every report takes that already", 1),
        (GOOD.replace("key = [\"store_id\"]", "key = [\"store_id\"]\ncolour = 1"), "colour", 7),
        (GOOD.replace("FROM stores", "FROM main.stores"), "not the name of a dataset", 12),
        (GOOD.replace("FROM stores", "FROM 'a.parquet'"), "no dataset or view", 1),
        (GOOD.replace(sql, "WITH stores AS (SELECT 1 AS store_id) SELECT store_id FROM stores WHERE $store = 'x' ORDER BY store_id"), "taken already", 12),
    ];
    for (text, message, line) in cases {
        let catalogue = one(&text);
        let fault = catalogue
            .broken()
            .get("one")
            .and_then(|faults| faults.first())
            .unwrap_or_else(|| panic!("accepted: {text}"));
        assert!(fault.message.contains(message), "{fault}");
        assert_eq!(fault.line, line, "{fault}");
        assert!(matches!(compute(&catalogue, &frames(), "one", &[]), Err(ReportError::Broken { .. })));
    }
}

#[test]
fn a_text_parameter_is_only_ever_a_text() {
    let catalogue = one(GOOD);
    for value in ["Alpha", "\\' OR 1=1 --", "O'Hara", "' OR 1=1 --", "'; DROP TABLE stores; --", "\" OR 1=1", "$store"]
    {
        let frame = compute(&catalogue, &frames(), "one", &[("store", value)]).unwrap();
        assert_eq!(frame.height(), if value == "Alpha" { 3 } else { 4 }, "{value}");
    }
}

/// A report of shops by a condition, with the declaration of its parameter.
fn with(declaration: &str, sql: &str) -> Catalogue {
    let parameter = GOOD.replace("store = { type = \"string\", default = \"x\" }", declaration);
    one(&parameter.replace("name <> $store ORDER BY store_id", sql))
}

#[test]
fn a_value_that_the_statement_cannot_take_is_refused_with_its_parameter() {
    let frames = frames();
    let cases = [
        ("n = { type = \"int\", default = 2 }", "store_id > 0 ORDER BY store_id LIMIT $n", "n", "-1", "LIMIT takes"),
        (
            "n = { type = \"int\", default = 2 }",
            "store_id > 0 ORDER BY store_id LIMIT $n",
            "n",
            "5000000000",
            "LIMIT takes",
        ),
        ("n = { type = \"int\" }", "SUBSTR(name, $n) <> '' ORDER BY store_id", "n", "0", "SUBSTR takes"),
        (
            "a = { type = \"int\", default = 1 }\nt = { type = \"string\", default = \"2026-01-01\" }",
            "store_id <> $a AND CAST('2026-01-01' AS DATE) = $t ORDER BY store_id",
            "t",
            "abc",
            "'abc' is no date",
        ),
        ("n = { type = \"int\" }", "store_id = CAST($n AS INTEGER) ORDER BY store_id", "n", "5000000000", "conversion"),
    ];
    for (declaration, sql, name, value, reason) in cases {
        let catalogue = with(declaration, sql);
        let error = compute(&catalogue, &frames, "one", &[(name, value)]).unwrap_err();
        assert!(matches!(&error, ReportError::Parameter(wrong) if wrong.name() == name), "{error:?}");
        assert!(error.is_callers() && error.to_string().contains(reason), "{error}");
        assert!(compute(&catalogue, &frames, "one", &[(name, if name == "t" { "2026-02-02" } else { "1" })]).is_ok());
    }
    // What no value of a list could be is the file's fault.
    let catalogue =
        with("names = { type = \"list\", of = \"string\", default = [] }", "store_id IN ($names) ORDER BY store_id");
    let fault = catalogue.broken()["one"][0].to_string();
    assert!(fault.contains("a whole number stands beside a text"), "{fault}");
}

#[test]
fn views_that_come_down_to_themselves_again_and_again_are_refused() {
    let source = |name: &str, text: String| {
        (name.to_owned(), Source { name: name.into(), label: format!("views/{name}.sql"), text, origin: Origin::Own })
    };
    let view = |of: &str| {
        format!(
            "/*---\ntitle = \"V\"\ndescription = \"D\"\n---*/\nSELECT a.store_id FROM {of} AS a JOIN {of} AS b ON a.store_id = b.store_id\n"
        )
    };
    let name = |at: usize| if at == 0 { "stores".to_owned() } else { format!("v{at}") };
    let views = (1..30).map(|at| source(&name(at), view(&name(at - 1)))).collect();
    let text = GOOD.replace("FROM stores WHERE name <> $store", "FROM v29 WHERE CAST(store_id AS VARCHAR) <> $store");
    let catalogue = Catalogue::compile(views, BTreeMap::from([source("one", text)]), BTreeMap::new(), &schemas());
    let fault = catalogue.broken()["one"][0].to_string();
    assert!(fault.contains(":12:1: with the views that it reads: the plan is too large"), "{fault}");
}

#[test]
fn runs_give_the_same_rows_in_the_same_order() {
    let (catalogue, frames) = (catalogue(), frames());
    for report in catalogue.reports() {
        let first = compute(&catalogue, &frames, &report.name, &[]).unwrap();
        for _ in 0..2 {
            let again = compute(&catalogue, &frames, &report.name, &[]).unwrap();
            assert!(first.equals_missing(&again), "{}", report.name);
        }
    }
}
