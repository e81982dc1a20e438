//! A few changed rows of a large file: marked as gone where they are, their new state put beside.

use chrono::TimeDelta;
use serde_json::{Value, json};
use system_tests::{duckdb, eventually};

use super::*;

const NUMBERS: &str = "SELECT count(*), sum(amount_cents)::BIGINT, max(amount_cents), count(note) FROM visits";

/// Live data files by their rows, and live delete files by the rows they mark.
async fn files(db: &PgPool) -> (Vec<i64>, Vec<i64>) {
    let sql = "SELECT record_count FROM lake.ducklake_data_file f JOIN lake.ducklake_table t USING (table_id)
               WHERE t.table_name = 'visits' AND f.end_snapshot IS NULL ORDER BY data_file_id";
    let rows = sqlx::query_scalar(sql).fetch_all(db).await.unwrap();
    let sql = "SELECT delete_count FROM lake.ducklake_delete_file WHERE end_snapshot IS NULL ORDER BY data_file_id";
    (rows, sqlx::query_scalar(sql).fetch_all(db).await.unwrap())
}

/// Forty visits in two days of one month.
async fn forty() -> (Fixture, i64) {
    let it = Fixture::start().await;
    for id in 1..=40 {
        it.visit(id, 1, &format!("2026-03-{:02}T12:00:00.000000Z", id % 2 + 1), id);
    }
    let snapshot = it.poll().await.snapshot.unwrap();
    (it, snapshot)
}

fn numbers(rows: i64, sum: i64, max: i64) -> Vec<Vec<Value>> {
    vec![vec![json!(rows), json!(sum), json!(max), json!(0)]]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_large_file_stays_and_every_reader_sees_the_new_rows() {
    let (it, first) = forty().await;
    let (before, sum) = (it.rows("visits").await, 40 * 41 / 2);
    it.visit(7, 1, "2026-03-02T12:00:00.000000Z", 1_007);
    it.visit(8, 1, "2026-03-01T12:00:00.000000Z", 1_008);
    it.source.model().delete("visits", &[9, 1]);
    it.visit(41, 1, "2026-03-01T12:00:00.000000Z", 41);
    let outcome = it.poll().await;
    assert_eq!((outcome.rows_added, outcome.rows_changed, outcome.rows_removed), (1, 2, 1));
    assert_eq!(files(&it.db).await, (vec![40, 3], vec![3]));
    it.check_equal().await;
    let second = outcome.snapshot.unwrap();
    assert_eq!(duckdb(&it.stack, NUMBERS), numbers(40, sum + 2_000 - 9 + 41, 1_008));
    let one_day = "SELECT count(*) FROM visits WHERE business_day = DATE '2026-03-02' AND amount_cents < 1000";
    assert_eq!(duckdb(&it.stack, one_day), [[json!(18)]]);
    let day = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
    assert_eq!(it.rows_at(second, "visits", Some(day..=day)).await.len(), 19);

    // A row of the large file, one that was put beside it, and both kinds once more in the same state.
    it.visit(10, 1, "2026-03-01T12:00:00.000000Z", 2_010);
    it.visit(8, 1, "2026-03-01T12:00:00.000000Z", 2_008);
    it.visit(7, 1, "2026-03-02T12:00:00.000000Z", 1_007);
    it.visit(11, 1, "2026-03-02T12:00:00.000000Z", 11);
    let outcome = it.poll().await;
    assert_eq!((outcome.rows_added, outcome.rows_changed, outcome.rows_removed), (0, 2, 0));
    assert_eq!(files(&it.db).await, (vec![40, 3, 2], vec![4, 1]));
    it.check_equal().await;
    assert_eq!(duckdb(&it.stack, NUMBERS), numbers(40, sum + 2_000 - 9 + 41 + 2_000 + 1_000, 2_010));

    for (snapshot, expected) in [(first, numbers(40, sum, 40)), (second, numbers(40, sum + 2_000 - 9 + 41, 1_008))] {
        let then = NUMBERS.replace("visits", &format!("visits AT (VERSION => {snapshot})"));
        assert_eq!(duckdb(&it.stack, &then), expected, "snapshot {snapshot}");
    }
    assert_eq!(it.rows_at(first, "visits", None).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_are_made_one_when_they_are_many_and_when_the_month_is_quiet() {
    let (it, _) = forty().await;
    for id in 1..=12 {
        it.visit(id, 1, &format!("2026-03-{:02}T12:00:00.000000Z", id % 2 + 1), 100 + id);
        it.poll().await;
    }
    assert_eq!(files(&it.db).await, (std::iter::once(40).chain([1; 12]).collect(), vec![12]));
    let done = it.aggregator.lake().compact(TimeDelta::zero()).await.unwrap();
    assert_eq!((done.months, done.files, done.rows), (1, 13, 40));
    assert_eq!(files(&it.db).await, (vec![40], vec![]));
    it.check_equal().await;
    // Half of its rows: the file is better written anew.
    for id in 1..=20 {
        it.visit(id, 1, &format!("2026-03-{:02}T12:00:00.000000Z", id % 2 + 1), 200 + id);
    }
    it.poll().await;
    assert_eq!(files(&it.db).await, (vec![40], vec![]));
    it.check_equal().await;
    assert_eq!(duckdb(&it.stack, NUMBERS), numbers(40, (21..=40).sum::<i64>() + (201..=220).sum::<i64>(), 220));
    it.aggregator.expire(TimeDelta::zero()).await.unwrap();
    super::commit::check_files(&it.db, it.aggregator.lake().dir()).await;
    it.check_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_never_brings_back_a_row_that_was_marked_meanwhile() {
    let (it, _) = forty().await;
    it.visit(41, 1, "2026-03-01T12:00:00.000000Z", 41);
    it.poll().await;
    let mut poll = kit::db::begin(&it.db).await.unwrap();
    sqlx::query("SELECT FROM sync.catalogue FOR UPDATE").execute(&mut *poll).await.unwrap();
    let aggregator = Arc::clone(&it.aggregator);
    let compaction = tokio::spawn(async move { aggregator.lake().compact(TimeDelta::zero()).await });
    eventually("compaction to wait for the catalogue", async || {
        let sql = "SELECT EXISTS (SELECT FROM pg_stat_activity
                                  WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT FROM sync.catalogue%')";
        sqlx::query_scalar(sql).fetch_one(&it.db).await.unwrap()
    })
    .await;
    let mark = "INSERT INTO lake.ducklake_delete_file
                  (delete_file_id, table_id, begin_snapshot, data_file_id, path, path_is_relative, format,
                   delete_count, file_size_bytes, footer_size)
                SELECT 1000000, table_id, begin_snapshot, data_file_id, 'x', true, 'parquet', 1, 1, 1
                FROM lake.ducklake_data_file WHERE record_count = 40";
    sqlx::query(mark).execute(&mut *poll).await.unwrap();
    poll.commit().await.unwrap();
    let done = compaction.await.unwrap().unwrap();
    assert_eq!((done.months, done.overtaken), (0, 1));
    assert_eq!(files(&it.db).await, (vec![40, 1], vec![1]));
}
