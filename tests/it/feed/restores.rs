//! A restored database is another one, whatever its numbers say: 410, then everything, correctly.

use std::path::{Path, PathBuf};

use kit::feed::Feed;
use sqlx::PgPool;

use super::cluster::{Cluster, OWNER, SERVICE};
use super::reader::{NotAPage, Polled, Reader};
use super::toy::{DATASETS, Toy, migrate};
use super::truth::compare;

async fn documents(pool: &PgPool, count: i64, code: &str) {
    sqlx::query(
        "WITH doc AS (INSERT INTO docs (status) SELECT 'completed' FROM generate_series(1, $1) RETURNING id)
         INSERT INTO doc_lines SELECT id, $2, id * 100, NULL FROM doc",
    )
    .bind(count)
    .bind(code)
    .execute(pool)
    .await
    .expect("documents");
}

/// A new head's token.
async fn head(reader: &Reader) -> String {
    let head: serde_json::Value = reader.get("/changes", &[]).await.expect("a head").json().await.expect("JSON");
    head["head"].as_str().expect("a token").to_owned()
}

/// Uses up transaction numbers, so that this cluster's are beyond those of a fresh one.
async fn age(pool: &PgPool) {
    for _ in 0..500 {
        sqlx::query("SELECT pg_current_xact_id()").execute(pool).await.expect("a number");
    }
}

/// A cluster that serves some documents, its owner's connections, and a reader of pages of that many rows.
async fn begun(count: i64, rows: usize) -> (Cluster, Toy, PgPool, Reader) {
    let cluster = Cluster::start().await;
    migrate(&cluster).await;
    let toy = Toy::serve(&cluster, &DATASETS).await;
    let writing = cluster.pool(OWNER, "toy", &[]).await;
    documents(&writing, count, "first").await;
    let reader = Reader::new(toy.address, rows);
    (cluster, toy, writing, reader)
}

async fn copy_of(cluster: &mut Cluster) -> PathBuf {
    cluster.stop();
    let copy = cluster.copy();
    cluster.resume().await;
    copy
}

async fn restore(cluster: &mut Cluster, copy: &Path) {
    cluster.stop();
    cluster.restore(copy);
    cluster.resume().await;
}

#[tokio::test]
async fn a_dump_restored_into_a_new_cluster_is_read_again() {
    let old = Cluster::start().await;
    migrate(&old).await;
    let toy = Toy::serve(&old, &DATASETS).await;
    let writing = old.pool(OWNER, "toy", &[]).await;
    age(&writing).await;
    for _ in 0..5 {
        documents(&writing, 10, "first").await;
    }
    let mut reader = Reader::new(toy.address, 7);
    assert_eq!(reader.poll(async || {}).await, Polled::Rows(50));
    let dump = old.dump();
    // What is written after the dump is lost with the old cluster, and must leave the copy.
    documents(&writing, 3, "lost").await;
    reader.poll(async || {}).await;

    let new = Cluster::start().await;
    new.load(&dump);
    let toy = Toy::serve(&new, &DATASETS).await;
    let replica = Feed::new(new.pool(SERVICE, "toy", &[]).await, &DATASETS);
    // Two replicas start at once; the database lets one of them stamp.
    let (one, other) = tokio::join!(toy.feed.prepare(), replica.prepare());
    one.and(other).expect("the stamps are renewed");
    let writing = new.pool(OWNER, "toy", &[]).await;
    let stamps: i64 = sqlx::query_scalar("SELECT count(DISTINCT change_xid::text) FROM docs")
        .fetch_one(&writing)
        .await
        .expect("stamps");
    assert_eq!(stamps, 1);
    documents(&writing, 2, "new").await;
    reader.turn_to(toy.address);
    assert_eq!(reader.poll(async || {}).await, Polled::Rows(52));
    assert_eq!(reader.started_over, 1);
    compare(&reader, &writing).await;
    // And from here on as ever.
    documents(&writing, 1, "later").await;
    reader.poll(async || {}).await;
    assert_eq!(reader.started_over, 1);
    compare(&reader, &writing).await;
}

#[tokio::test]
async fn a_cold_copy_restored_in_place_is_read_again() {
    let (mut cluster, _toy, writing, mut reader) = begun(20, 7).await;
    reader.poll(async || {}).await;

    let copy = copy_of(&mut cluster).await;
    documents(&writing, 5, "phantom").await;
    reader.poll(async || {}).await;
    assert_eq!(reader.copies["doc_lines"].len(), 25);

    restore(&mut cluster, &copy).await;
    // The same numbers again, for other rows: same identity, same stamps, same highs.
    documents(&writing, 5, "real").await;
    reader.poll(async || {}).await;
    assert_eq!(reader.started_over, 1);
    compare(&reader, &writing).await;
}

#[tokio::test]
async fn a_copy_taken_within_a_poll_is_distinguished_from_the_history_that_was_read() {
    let (mut cluster, _toy, writing, mut reader) = begun(4, 100).await;
    let head = head(&reader).await;
    // The copy knows the head's witness, but not what the pages after it deliver.
    let copy = copy_of(&mut cluster).await;
    documents(&writing, 3, "phantom").await;
    let page = reader.page("doc_lines", &head, None).await.expect("a page");
    assert_eq!(page.rows.len(), 7);
    reader.cursors.insert("doc_lines".to_owned(), page.resume);
    restore(&mut cluster, &copy).await;
    documents(&writing, 1, "real").await;
    reader.poll(async || {}).await;
    assert_eq!(reader.started_over, 1);
    compare(&reader, &writing).await;
}

#[tokio::test]
async fn a_position_that_moved_over_nothing_is_distinguished_from_a_history_that_forked_before_it() {
    let (mut cluster, _toy, writing, mut reader) = begun(4, 100).await;
    reader.poll(async || {}).await;
    let copy = copy_of(&mut cluster).await;

    // Nothing of this dataset comes, and its position moves beyond numbers that the copy will give out again.
    age(&writing).await;
    let after = reader.cursors["doc_lines"].clone();
    let page = reader.page("doc_lines", &head(&reader).await, Some(&after)).await.expect("a page");
    assert_eq!(page.rows.len(), 0);

    restore(&mut cluster, &copy).await;
    documents(&writing, 3, "real").await;
    let beyond = reader.page("doc_lines", &head(&reader).await, Some(&page.resume)).await;
    assert!(matches!(beyond, Err(NotAPage::Refused(410, _))), "beyond every number of the copy");
    // Its numbers have passed the position since: the horizon tells nothing any more, the witness does.
    age(&writing).await;
    age(&writing).await;
    let passed = reader.page("doc_lines", &head(&reader).await, Some(&page.resume)).await;
    assert!(matches!(passed, Err(NotAPage::Refused(410, _))), "3 lines would never come");
    // The position before is one of both histories.
    let page = reader.page("doc_lines", &head(&reader).await, Some(&after)).await.expect("a page");
    assert_eq!(page.rows.len(), 3);
}
