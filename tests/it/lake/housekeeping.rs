//! Compaction, expiry and the sweep: what they let go of, and what they must keep.

use chrono::TimeDelta;
use system_tests::duckdb;
use system_tests::source::Fault;

use super::*;

async fn files(db: &PgPool, table: &str) -> i64 {
    let sql = "SELECT count(*) FROM lake.ducklake_data_file f JOIN lake.ducklake_table t USING (table_id)
               WHERE t.table_name = $1 AND f.end_snapshot IS NULL";
    sqlx::query_scalar(sql).bind(table).fetch_one(db).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_month_becomes_one_file_and_is_changed_and_read_like_before() {
    let it = Fixture::start().await;
    for round in 0..3 {
        for id in round * 4 + 1..=round * 4 + 4 {
            it.visit(id, 1, &format!("2026-03-{:02}T12:00:00.000000Z", id % 4 + 1), id);
            it.visit(id, 2, &format!("2026-04-{:02}T12:00:00.000000Z", id % 4 + 1), id);
        }
        it.poll().await;
    }
    let before = it.snapshot().await;
    assert_eq!(files(&it.db, "visits").await, 6);
    assert_eq!(it.aggregator.lake().compact(TimeDelta::days(7)).await.unwrap().months, 0, "not quiet yet");
    let done = it.aggregator.lake().compact(TimeDelta::zero()).await.unwrap();
    assert_eq!((done.months, done.files, done.rows, done.overtaken), (2, 6, 24, 0));
    assert_eq!(files(&it.db, "visits").await, 2);
    it.check_equal().await;
    let day = NaiveDate::from_ymd_opt(2026, 4, 3).unwrap();
    assert_eq!(it.rows_at(it.snapshot().await, "visits", Some(day..=day)).await.len(), 3);

    it.visit(13, 1, "2026-03-02T12:00:00.000000Z", 13);
    it.poll().await;
    assert_eq!(files(&it.db, "visits").await, 3, "a new row is put beside the month's file");
    it.visit(3, 1, "2026-03-04T12:00:00.000000Z", 333);
    it.source.model().delete("visits", &[5, 2]);
    it.poll().await;
    assert_eq!(files(&it.db, "visits").await, 4, "a changed row is put beside it");
    it.check_equal().await;
    let done = it.aggregator.lake().compact(TimeDelta::zero()).await.unwrap();
    assert_eq!((done.months, done.files, done.rows), (2, 4, 24), "also the month that has but lost a row");
    it.check_equal().await;
    assert_eq!(it.rows_at(before, "visits", None).await.len(), 24, "the snapshot before it all still reads the same");
    let judged = "SELECT count(*), sum(amount_cents)::BIGINT, count(DISTINCT business_day) FROM visits";
    assert_eq!(
        duckdb(&it.stack, judged),
        [[24.into(), (2 * 78 + 13 + 330 - 5).into(), 8.into()] as [serde_json::Value; 3]]
    );
    let changes = "SELECT count(*) FROM ducklake_snapshots('lake')";
    assert_eq!(duckdb(&it.stack, changes).len(), 1, "every token is one that DuckDB knows");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_snapshots_take_their_files_with_them_and_no_others() {
    let it = Fixture::start().await;
    let mut snapshots = Vec::new();
    for round in 1..=4 {
        for id in 1..=3 {
            it.visit(id, 1, &format!("2026-03-0{id}T12:00:00.000000Z"), id * round);
        }
        snapshots.push(it.poll().await.snapshot.unwrap());
    }
    assert_eq!(it.aggregator.expire(TimeDelta::days(90)).await.unwrap().snapshots, 0);
    let expired = it.aggregator.expire(TimeDelta::zero()).await.unwrap();
    assert_eq!(expired.files, 3);
    it.check_equal().await;
    let error = it.aggregator.lake().scan(snapshots[0], "visits", None).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, LakeError::UnknownSnapshot(_)), "{error}");
    super::commit::check_files(&it.db, it.aggregator.lake().dir()).await;
    assert_eq!(duckdb(&it.stack, "SELECT count(*) FROM visits"), [[serde_json::json!(3)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_removes_what_a_dead_worker_left_and_spares_the_living_and_the_staged() {
    let it = Fixture::start().await;
    for id in 1..=12 {
        it.visit(id, 1, "2026-03-01T12:00:00.000000Z", id);
    }
    let orphan = "main/visits/2026/03/left-behind.parquet";
    let path = it.aggregator.lake().dir().join(orphan);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"half").unwrap();
    let announce = "INSERT INTO sync.pending_file (path, fence) VALUES ($1, $2)";
    sqlx::query(announce).bind(orphan).bind(4711_i64).execute(&it.db).await.unwrap();

    let mut worker = it.db.acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(4711)").execute(&mut *worker).await.unwrap();
    assert_eq!(it.aggregator.lake().sweep().await.unwrap().spared, 1);
    assert!(path.exists());
    sqlx::query("SELECT pg_advisory_unlock(4711)").execute(&mut *worker).await.unwrap();

    // A poll that failed behind its second page: what it staged is kept for the next one.
    it.source.break_next([Fault::None, Fault::None, Fault::None]);
    it.source.break_next(std::iter::repeat_n(Fault::Status(500, 0), 1));
    it.aggregator.poller().poll("fourth", Drops::Guarded).await.unwrap_err();
    let swept = it.aggregator.lake().sweep().await.unwrap();
    assert_eq!((swept.files, swept.spared), (1, 0));
    assert!(!path.exists());
    assert!(it.poll().await.resumed);
    it.check_equal().await;
    super::commit::check_files(&it.db, it.aggregator.lake().dir()).await;
}
