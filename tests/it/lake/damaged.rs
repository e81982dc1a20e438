//! Files that the disk lost or changed: found before their rows are written anew, named, and brought back.

use aggregator::report::{Bounds, Given, ReportError};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_ends_the_poll_that_reads_it_and_a_replay_brings_its_rows_back() {
    let it = Fixture::start().await;
    for id in 1..=3 {
        it.visit(id, 1, "2026-03-01T12:00:00.000000Z", id);
        it.visit(id, 2, "2026-03-02T12:00:00.000000Z", id);
        it.source.model().put("places", &[id], &["x", "1"]);
    }
    it.poll().await;
    let visits = it.aggregator.lake().table("visits").unwrap().table_id;
    let files = snapshot::files(&it.db, it.snapshot().await, visits, None).await.unwrap();
    let path = it.aggregator.lake().dir().join("main/visits").join(&files[0].path);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    it.visit(4, 1, "2026-03-01T13:00:00.000000Z", 4);
    let error = it.aggregator.poller().poll("fourth", Drops::Guarded).await.unwrap_err();
    assert!(error.to_string().contains(&files[0].path) && error.to_string().contains("of visits"), "{error}");
    assert_eq!(it.aggregator.lake().damages().await.unwrap().len(), 1);

    assert_eq!(it.aggregator.poller().ask_again("fourth").await.unwrap(), 1);
    let status = it.aggregator.sources().status().await.unwrap();
    let fourth = status.iter().find(|it| it.name == "fourth").unwrap();
    assert_eq!(fourth.complete_through, None, "what is not there is not called complete");
    let outcome = it.poll().await;
    assert!(outcome.rows_added >= 3, "{outcome:?}");
    it.check_equal().await;
    assert_eq!(it.aggregator.lake().damages().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_misses_a_file_names_itself_the_file_and_the_snapshot() {
    let it = Fixture::start().await;
    let snapshot = it.snapshot().await;
    let calendar = it.aggregator.lake().table("calendar").unwrap().table_id;
    let files = snapshot::files(&it.db, snapshot, calendar, None).await.unwrap();
    for file in &files {
        std::fs::remove_file(it.aggregator.lake().dir().join("main/calendar").join(&file.path)).unwrap();
    }
    let reports = it.aggregator.reports();
    let march: Given = [("from", "2026-03-01"), ("to", "2026-03-31")].into_iter().collect();
    let question = reports.ask("sales_by_month", march, None).await.unwrap();
    let error = reports.compute(&question, Bounds::ON_DEMAND).await.unwrap_err();
    assert!(matches!(error, ReportError::Damaged { .. }), "{error:?}");
    let said = error.to_string();
    for part in ["\"sales_by_month\"", &format!("snapshot {snapshot}"), &files[0].path, "is missing", "backup"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
