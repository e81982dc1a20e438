//! The user's own folder of reports and views.

use std::path::Path;
use std::sync::Arc;

use super::company::{compute, frames, schemas};
use crate::report::language::catalogue::{Catalogue, Origin};
use crate::report::language::header::ColumnType;
use crate::report::run::deep::deep;
use crate::report::run::error::ReportError;

fn load(folder: &Path) -> Arc<Catalogue> {
    let folder = folder.to_owned();
    deep(move || Arc::new(Catalogue::load(Some(&folder), &schemas()))).blocking_recv().unwrap()
}

fn put(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

const STORES: &str = r#"/*---
title = "Stores"
description = "All of them."
section = "Own"
grain = "snapshot"
key = ["store_id"]
[columns]
store_id = { type = "int64", title = "Store" }
---*/
SELECT store_id FROM stores ORDER BY store_id
"#;

#[test]
fn a_file_of_ones_own_stands_beside_or_in_place_of_a_shipped_one() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "reports/my_stores.sql", STORES);
    put(folder.path(), "reports/returns.sql", STORES);
    put(folder.path(), "reports/notes.txt", "no report");
    let catalogue = load(folder.path());
    assert_eq!(catalogue.get("my_stores").unwrap().origin, Origin::Own);
    assert_eq!(catalogue.get("returns").unwrap().origin, Origin::OwnInsteadOfShipped);
    assert_eq!(catalogue.get("returns").unwrap().title, "Stores");
    assert_eq!(catalogue.get("discounts").unwrap().origin, Origin::Shipped);
    assert_eq!(catalogue.reports().count(), load(Path::new("/nowhere")).reports().count() + 1);
    assert_eq!(compute(&catalogue, &frames(), "returns", &[]).unwrap().height(), 4);
}

#[test]
fn a_view_of_ones_own_serves_the_shipped_reports() {
    let folder = tempfile::tempdir().unwrap();
    let day = [("from", "2026-03-08"), ("to", "2026-03-08")];
    let shipped = compute(&load(folder.path()), &frames(), "channel_mix", &day).unwrap();
    let view = include_str!("../../../views/sales.sql");
    put(folder.path(), "views/sales.sql", &view.replace("WHERE status = 'completed'", "WHERE status = 'voided'"));
    let own = compute(&load(folder.path()), &frames(), "channel_mix", &day).unwrap();
    assert_eq!((shipped.height(), own.height()), (2, 2));
    assert!(!shipped.equals_missing(&own), "{own}");
}

#[test]
fn a_report_inherits_what_it_does_not_say_itself() {
    let folder = tempfile::tempdir().unwrap();
    let own = STORES.replace("[columns]", "inherits = \"sales\"\n[columns]\nnet_revenue = { title = \"Taken\" }");
    let sql = "SELECT store_id, SUM(net_cents) AS net_revenue, SUM(margin_cents) AS margin FROM sales\n\
               WHERE business_day BETWEEN $from AND $to GROUP BY store_id ORDER BY store_id";
    let own = own.replace("SELECT store_id FROM stores ORDER BY store_id", sql);
    put(folder.path(), "reports/mine.sql", &own);
    let catalogue = load(folder.path());
    assert!(catalogue.broken().is_empty(), "{:?}", catalogue.broken());
    let mine = catalogue.get("mine").unwrap();
    let column = |name: &str| mine.columns.iter().find(|column| column.name == name).unwrap();
    assert_eq!(mine.params.keys().collect::<Vec<_>>(), ["from", "to"]);
    assert_eq!((column("net_revenue").title.as_str(), column("net_revenue").kind), ("Taken", ColumnType::Money));
    assert_eq!(column("margin").title, "Margin");
    assert!(column("margin").note.is_some(), "and what the measure means");
    // What it has no use for stays away, and nothing is published that does not say so.
    assert_eq!((mine.columns.len(), mine.publish.is_some(), mine.lookback), (3, false, 1));
    let day = [("from", "2026-03-08"), ("to", "2026-03-08")];
    assert_eq!(compute(&catalogue, &frames(), "mine", &day).unwrap().height(), 3);

    put(folder.path(), "reports/mine.sql", &own.replace("inherits = \"sales\"", "inherits = \"stock_now\""));
    put(folder.path(), "reports/other.sql", &own.replace("inherits = \"sales\"", "inherits = \"sails\""));
    let catalogue = load(folder.path());
    let because = |name: &str| catalogue.broken()[name][0].to_string();
    assert!(because("mine").contains("\"stock_now\", whose header has no table [report]"), "{}", because("mine"));
    assert!(because("other").contains("\"sails\", which is no sound view"), "{}", because("other"));

    // A shared header is part of what a kept result hangs on.
    let view = include_str!("../../../views/sales.sql").replace("\"$from - span\"", "\"$from - 1d\"");
    put(folder.path(), "views/sales.sql", &view);
    assert_ne!(load(folder.path()).get("channel_mix").unwrap().digest, catalogue.get("channel_mix").unwrap().digest);
}

#[test]
fn a_faulty_file_disables_itself_alone() {
    let folder = tempfile::tempdir().unwrap();
    let whole = load(folder.path()).reports().count();
    put(folder.path(), "reports/returns.sql", &STORES.replace("FROM stores", "FROM shops"));
    put(folder.path(), "reports/Bad Name.sql", STORES);
    put(folder.path(), "views/stock_now.sql", "SELECT 1");
    std::fs::create_dir_all(folder.path().join("reports/folder.sql")).unwrap();
    let catalogue = load(folder.path());
    let because = |name: &str| catalogue.broken()[name][0].to_string();
    // A broken file of one's own does not bring the shipped one back in silence.
    assert!(
        because("returns").contains("reports/returns.sql:10:22: there is no dataset or view \"shops\""),
        "{}",
        because("returns")
    );
    assert!(because("Bad Name").contains("lower-case letters"), "{}", because("Bad Name"));
    assert!(because("folder").contains("cannot be read"), "{}", because("folder"));
    assert!(because("views/stock_now").contains("TOML header"), "{}", because("views/stock_now"));
    assert!(because("inventory_status").contains("stock_now"), "{}", because("inventory_status"));
    let error = compute(&catalogue, &frames(), "returns", &[]).unwrap_err();
    assert!(matches!(&error, ReportError::Broken { diagnostics, .. } if diagnostics[0].line == 10), "{error}");
    let on_the_view = catalogue
        .broken()
        .keys()
        .filter(|name| !["returns", "Bad Name", "folder", "views/stock_now"].contains(&name.as_str()))
        .count();
    assert_eq!(catalogue.reports().count(), whole - 1 - on_the_view);
    assert_eq!(compute(&catalogue, &frames(), "discounts", &[]).map(|frame| frame.width()).unwrap(), 9);
}
