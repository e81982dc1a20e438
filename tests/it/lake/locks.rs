//! A lock goes with its connection, whatever its holder is doing: no file is left without a name.

use std::time::Duration;

use system_tests::source::Fault;
use system_tests::wait_until;

use super::commit::check_files;
use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// End every session that holds an advisory lock, as a database that is restarted does.
async fn cut_locks(db: &PgPool) {
    let sql = "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
               WHERE l.locktype = 'advisory' AND d.datname = current_database()";
    let cut: Vec<bool> = sqlx::query_scalar(sql).fetch_all(db).await.unwrap();
    assert!(!cut.is_empty(), "somebody held a lock");
}

async fn pending(db: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM sync.pending_file").fetch_one(db).await.unwrap()
}

/// Sweep until no name is left: a lock that was cut is free when the server has noticed. Returns the files removed.
async fn sweep_all(it: &Fixture) -> u64 {
    let mut removed = 0;
    wait_until("a sweep to find every lock free", PATIENCE, async || {
        removed += it.aggregator.lake().sweep().await.unwrap().files;
        (pending(&it.db).await == 0).then_some(())
    })
    .await;
    removed
}

/// A file on its way that takes far longer than a sweep: its statistics alone do, before it is there at all.
async fn writing(it: &Fixture) -> tokio::task::JoinHandle<Result<i64, LakeError>> {
    const ROWS: usize = 4_000_000;
    let ids = Int64Chunked::from_vec("place_id".into(), (0..ROWS as i64).collect());
    let name = StringChunked::full("name".into(), "a place", ROWS);
    let capacity = Int32Chunked::full_null("capacity".into(), ROWS);
    let columns = vec![ids.into_column(), name.into_column(), capacity.into_column()];
    let frame = DataFrame::new(ROWS, columns).unwrap();
    let aggregator = Arc::clone(&it.aggregator);
    let appended = tokio::spawn(async move { aggregator.lake().append("places", vec![frame]).await });
    wait_until("its name to be recorded", PATIENCE, async || (pending(&it.db).await > 0).then_some(())).await;
    appended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_lost_its_lock_writes_nothing_more_and_the_next_one_begins_where_it_was() {
    let mut it = Fixture::start().await;
    it.reopen(&DECLARATION.replace("page = 3", "page = 1000").replace("timeout = \"2s\"", "")).await.unwrap();
    for id in 1..=9 {
        it.visit(id, 1, "2026-03-01T12:00:00.000000Z", id);
    }
    it.source.break_next([Fault::None, Fault::HeldUntilAsked]);
    let aggregator = Arc::clone(&it.aggregator);
    let poll = tokio::spawn(async move { aggregator.poller().poll("fourth", Drops::Guarded).await });
    wait_until("the poll to ask for a page", PATIENCE, async || {
        it.source.take_requests().iter().any(|it| it.contains("/changes/")).then_some(())
    })
    .await;
    cut_locks(&it.db).await;
    reqwest::get(format!("{}/fourth/api/v1/changes", it.source.url())).await.unwrap();
    let outcome = poll.await.unwrap();
    assert!(matches!(outcome, Err(PollError::Lake(LakeError::LockLost))), "{outcome:?}");
    sweep_all(&it).await;
    check_files(&it.db, it.aggregator.lake().dir()).await;
    assert!(it.poll().await.resumed);
    it.check_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_name_was_forgotten_while_it_was_written_is_removed() {
    let it = Fixture::start().await;
    let appended = writing(&it).await;
    cut_locks(&it.db).await;
    sweep_all(&it).await;
    let outcome = appended.await.unwrap();
    assert!(matches!(outcome, Err(LakeError::LockLost)), "{outcome:?}");
    check_files(&it.db, it.aggregator.lake().dir()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_in_the_middle_of_writing_keeps_the_lock_until_it_is_done() {
    let it = Fixture::start().await;
    let appended = writing(&it).await;
    appended.abort();
    assert_eq!(sweep_all(&it).await, 1, "no sweep forgot the file before it was there");
    check_files(&it.db, it.aggregator.lake().dir()).await;
}
