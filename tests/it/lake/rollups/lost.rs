//! Kept rows whose file is gone, and changes that name no days.

use std::collections::BTreeSet;

use aggregator::report::ReportError;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn kept_rows_that_are_lost_or_that_others_write_past_are_computed() {
    let mut it = Fixture::with_view().await;
    // Another view with the same SELECT has rows of its own.
    it.write("views/twin_days.sql", VIEW);
    it.aggregator.reload().await.unwrap();
    let mut right = Vec::new();
    for day in 1..=3 {
        let date = format!("2026-02-0{day}");
        it.visit(day, 1, &noon(&date), 100);
        right.push((date, 1, 100));
    }
    it.poll().await;
    assert_eq!((it.keep().await, it.days().await, it.newest().await), (6, (3, 0), right.clone()));

    // A report goes on without what is lost, and so does the next keeping, of some days and of all.
    it.lose_kept_rows().await;
    assert_eq!((it.newest().await, it.days().await), (right.clone(), (0, 0)));
    assert_eq!((it.keep().await, it.verify(false).await.wrong, it.newest().await), (3, vec![], right.clone()));
    it.lose_kept_rows().await;
    let found = it.verify(true).await;
    assert_eq!((found.wrong.len(), it.days().await, it.keep().await), (3, (0, 0), 3));
    assert_eq!((it.verify(false).await.wrong, it.newest().await), (vec![], right.clone()));
    it.lose_kept_rows().await;
    it.aggregator.lake().examine_share(1).await.unwrap();
    it.visit(9, 1, &noon("2026-02-02"), 5);
    it.poll().await;
    right[1] = ("2026-02-02".to_owned(), 2, 105);
    // The changed day of both views; then the other days of the month whose file was lost.
    assert_eq!((it.keep().await, it.days().await, it.newest().await), (2, (1, 0), right.clone()));
    assert_eq!((it.keep().await, it.days().await, it.newest().await), (2, (3, 0), right.clone()));

    // What DuckDB leaves in the catalogue when it writes with the owner's password names no days.
    let table = it.aggregator.lake().table("visits").unwrap().table_id;
    let read = it.snapshot().await;
    sqlx::query(
        "WITH newest AS (SELECT snapshot_id, schema_version, next_catalog_id, next_file_id FROM lake.ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1), next AS (
             INSERT INTO lake.ducklake_snapshot (snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id)
             SELECT snapshot_id + 1, now(), schema_version, next_catalog_id, next_file_id FROM newest RETURNING snapshot_id)
         INSERT INTO lake.ducklake_snapshot_changes (snapshot_id, changes_made)
         SELECT snapshot_id, 'inserted_into_table:' || $1 FROM next",
    )
    .bind(table.to_string())
    .execute(&it.db)
    .await
    .unwrap();
    assert_eq!((it.days().await, it.newest().await), ((0, 0), right.clone()));
    assert_eq!(it.visits(read, &[]).await.height(), 3);
    let (lock, days) = (it.aggregator.lake().keeping().await.unwrap(), BTreeSet::from(["2026-02-01".parse().unwrap()]));
    let kept = it.aggregator.reports().keep(&lock, read, &it.kept_view(), &days).await;
    assert!(matches!(kept, Err(ReportError::Lake(ref error)) if matches!(**error, LakeError::Overtaken)), "{kept:?}");
    lock.release().await;
    assert_eq!((it.keep().await, it.days().await, it.newest().await), (6, (3, 0), right.clone()));

    // Nor does a column that goes.
    it.reopen(&DECLARATION.replace("good = \"bool?\"\n", "")).await.unwrap();
    assert_eq!((it.days().await, it.newest().await), ((0, 0), right.clone()));
    assert_eq!((it.keep().await, it.newest().await), (6, right));
}
