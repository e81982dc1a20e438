//! Two revisions side by side, without a database.

use chrono::{DateTime, Utc};
use polars::prelude::{Column, DataFrame};

use super::*;

fn rows(number: i32, columns: &[(&str, ColumnType)], frame: DataFrame) -> PublishedRows {
    let revision = Revision {
        revision_id: i64::from(number),
        report: "sample".to_owned(),
        business_day: NaiveDate::from_ymd_opt(2026, 3, 8).unwrap(),
        revision: number,
        version: 1,
        state: super::super::State::Final,
        missing: Vec::new(),
        parameters: serde_json::Value::Null,
        snapshot: 1,
        sources: serde_json::Value::Null,
        currency: "EUR".to_owned(),
        row_count: i64::try_from(frame.height()).unwrap(),
        digest: String::new(),
        cause: None,
        generated_at: DateTime::<Utc>::UNIX_EPOCH,
        published_at: DateTime::<Utc>::UNIX_EPOCH,
        outdated: None,
    };
    let columns = columns.iter().map(|(name, kind)| PublishedColumn { name: (*name).to_owned(), kind: *kind });
    PublishedRows { revision, columns: columns.collect(), frame }
}

const COLUMNS: [(&str, ColumnType); 3] =
    [("store", ColumnType::String), ("tickets", ColumnType::Int32), ("net", ColumnType::Money)];

fn stores(number: i32, stores: &[(&str, i32, Option<i64>)]) -> PublishedRows {
    let columns = vec![
        Column::new("store".into(), stores.iter().map(|it| it.0).collect::<Vec<_>>()),
        Column::new("tickets".into(), stores.iter().map(|it| it.1).collect::<Vec<_>>()),
        Column::new("net".into(), stores.iter().map(|it| it.2).collect::<Vec<_>>()),
    ];
    rows(number, &COLUMNS, DataFrame::new(stores.len(), columns).unwrap())
}

fn text(frame: &DataFrame, column: &str) -> Vec<String> {
    let column = frame.column(column).unwrap();
    (0..frame.height()).map(|row| column.get(row).unwrap().to_string()).collect()
}

#[test]
fn rows_are_matched_by_key_whatever_their_order() {
    let from = stores(1, &[("A", 3, Some(1_000)), ("B", 1, Some(500)), ("C", 7, None)]);
    let to = stores(2, &[("C", 7, None), ("D", 2, Some(90)), ("A", 2, Some(750))]);
    let diff = compare(from, to, Some(&["store".to_owned()])).unwrap();
    assert_eq!(text(&diff.added, "store"), ["\"D\""]);
    assert_eq!(text(&diff.removed, "store"), ["\"B\""]);
    assert_eq!(text(&diff.changed.after, "store"), ["\"A\""]);
    assert_eq!(diff.changed.differing, [["tickets", "net"]]);
    assert_eq!(
        (text(&diff.changed.by, "tickets"), text(&diff.changed.by, "net")),
        (vec!["-1".into()], vec!["-250".into()])
    );
    assert_eq!(diff.unchanged, 1);
    assert_eq!(diff.totals, [Total { column: "net".to_owned(), from: 1_500, to: 840 }]);
}

#[test]
fn equal_revisions_differ_in_nothing() {
    let same = &[("A", 3, Some(1_000)), ("B", 1, None)];
    let diff = compare(stores(1, same), stores(2, same), Some(&["store".to_owned()])).unwrap();
    assert_eq!((diff.added.height(), diff.removed.height(), diff.changed.differing.len()), (0, 0, 0));
    assert_eq!(diff.unchanged, 2);
}

#[test]
fn without_a_common_key_whole_rows_are_compared_and_each_counts() {
    let from = stores(1, &[("A", 1, Some(5)), ("A", 1, Some(5)), ("B", 1, None)]);
    let to = stores(2, &[("A", 1, Some(5)), ("B", 2, None)]);
    let diff = compare(from, to, None).unwrap();
    assert_eq!(
        (text(&diff.removed, "store"), text(&diff.added, "tickets")),
        (vec!["\"A\"".into(), "\"B\"".into()], vec!["2".into()])
    );
    assert_eq!((diff.unchanged, diff.changed.differing.len()), (1, 0));
}

#[test]
fn a_report_of_one_row_needs_no_key() {
    let from = stores(1, &[("all", 1, Some(5))]);
    let to = stores(2, &[("all", 1, Some(9))]);
    let diff = compare(from, to, Some(&[])).unwrap();
    assert_eq!(text(&diff.changed.by, "net"), ["4"]);
}

#[test]
fn columns_that_only_one_of_them_has_are_named() {
    let from = stores(1, &[("A", 1, Some(5))]);
    let columns = vec![
        Column::new("store".into(), ["A"]),
        Column::new("tickets".into(), [1_i64]),
        Column::new("net".into(), [5_i64]),
        Column::new("share".into(), [0.5]),
    ];
    let kinds = [COLUMNS[0], ("tickets", ColumnType::Int64), COLUMNS[2], ("share", ColumnType::Float)];
    let to = rows(2, &kinds, DataFrame::new(1, columns).unwrap());
    let diff = compare(from, to, Some(&["store".to_owned()])).unwrap();
    assert_eq!(diff.columns_added, ["tickets", "share"]);
    assert_eq!(diff.columns_removed, ["tickets"]);
    assert_eq!(diff.unchanged, 1);
}

#[test]
fn the_last_digits_of_a_float_are_no_change() {
    let kinds = [("share", ColumnType::Float)];
    let one = |number, value: f64| {
        rows(number, &kinds, DataFrame::new(1, vec![Column::new("share".into(), [value])]).unwrap())
    };
    assert_eq!(compare(one(1, 0.1 + 0.2), one(2, 0.3), Some(&[])).unwrap().unchanged, 1);
    assert_eq!(compare(one(1, 0.3), one(2, 0.31), Some(&[])).unwrap().changed.differing, [["share"]]);
}
