//! A report of the user's own: the README's walk-through as written, and a folder that changes under a running service.

use std::collections::BTreeMap;

use aggregator::report::{Origin, Report, ReportError};
use polars::prelude::*;

use super::{Court, compare};

/// The file that the README of the aggregator tells to write.
fn readmes_report() -> String {
    let readme = std::fs::read_to_string(system_tests::binaries::repository().join("aggregator/README.md")).unwrap();
    let (_, rest) = readme.split_once("reports/sales_by_city.sql`:\n\n```sql\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_report_works_as_written_and_without_a_restart() {
    let court = Court::open().await;
    let aggregator = &court.aggregator;
    let whole_year =
        BTreeMap::from([("from", "2025-01-01"), ("to", "2026-03-31")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    let run = || aggregator.reports().run("sales_by_city", &whole_year, None);
    assert!(matches!(run().await, Err(ReportError::UnknownReport { .. })));

    let file = court.own_reports().join("sales_by_city.sql");
    std::fs::create_dir_all(court.own_reports()).unwrap();
    std::fs::write(&file, readmes_report()).unwrap();
    let catalogue = aggregator.reload().await.unwrap();
    assert_eq!(catalogue.get("sales_by_city").unwrap().origin, Origin::Own);
    let ours = run().await.unwrap();
    assert!(ours.frame.height() > 0);
    let (_, sql) = aggregator.reports().statement("sales_by_city", &whole_year).await.unwrap();
    compare(&ours.frame, ours.columns(), &court.judge(&[sql])[0]).unwrap();

    // A slip of the pen disables this report, says where, and leaves the others alone.
    std::fs::write(&file, readmes_report().replace("t.city AS city", "t.town AS city")).unwrap();
    let catalogue = aggregator.reload().await.unwrap();
    let told = catalogue.broken()["sales_by_city"][0].to_string();
    assert!(told.contains("sales_by_city.sql") && told.contains("town"), "{told}");
    let error = run().await.unwrap_err();
    assert!(matches!(&error, ReportError::Broken { .. }) && error.to_string().contains("town"), "{error}");
    assert!(aggregator.reports().run("channel_mix", &whole_year, None).await.is_ok());

    std::fs::write(&file, readmes_report()).unwrap();
    aggregator.reload().await.unwrap();
    assert!(run().await.unwrap().frame.equals_missing(&ours.frame));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_runs_give_the_same_bytes() {
    let court = Court::open().await;
    let whole_year = |report: &Report| super::parameter_sets(report).swap_remove(0);
    let catalogue = court.aggregator.reports().catalogue();
    let mut first: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for unused in 1_000..1_010_i64 {
        // A category that no product has changes no figure, but makes a snapshot that nothing was computed on.
        let category = df!("category_id" => [unused], "name" => ["unused"]).unwrap();
        let snapshot = court.aggregator.lake().append("categories", vec![category]).await.unwrap();
        for report in catalogue.reports() {
            let result =
                court.aggregator.reports().run(&report.name, &whole_year(report), Some(snapshot)).await.unwrap();
            let mut bytes = Vec::new();
            for column in result.frame.columns() {
                bytes.extend(format!("{:?}", column.as_materialized_series().iter().collect::<Vec<_>>()).bytes());
            }
            let held = first.entry(report.name.clone()).or_insert_with(|| bytes.clone());
            assert!(*held == bytes, "{} gives other rows, or in another order", report.name);
        }
    }
    assert!(first.len() >= 36);
}
