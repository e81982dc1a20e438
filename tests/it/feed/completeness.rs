//! Each poll holds every document committed before its head, and the last one equals the tables.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::PgPool;
use system_tests::{campaign, seed};
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, OWNER};
use super::reader::{Copy, Polled, Reader};
use super::toy::{DATASETS, Toy, migrate};
use super::truth::compare;
use super::writers::{self, Known, Ledger};

/// Writers of random length, a write before every page, voids beside new lines, and a row that never rests.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_poll_holds_what_was_committed_before_its_head() {
    let rounds = usize::try_from(campaign(12, 150)).unwrap();
    // Seconds that a transaction stays open, at most.
    let longest = if rounds > 12 { 3.0 } else { 0.3 };
    let seed = seed();
    let cluster = Cluster::start().await;
    migrate(&cluster).await;
    let toy = Toy::serve(&cluster, &DATASETS).await;
    let writing = cluster.pool(OWNER, "toy", &[]).await;
    let (ledger, stop) = (Ledger::default(), CancellationToken::new());
    let mut tasks = writers::start(&writing, &ledger, seed, 6, longest, &stop);
    tasks.push(restless(writing.clone(), stop.clone()));

    let mut reader = Reader::new(toy.address, 7);
    let mut random = StdRng::seed_from_u64(seed);
    let mut past: Vec<(DateTime<Utc>, BTreeSet<String>)> = Vec::new();
    let mut hot = 0;
    for round in 0..rounds {
        // A page size that puts the bounds of pages somewhere else each time, within documents too.
        reader.limit = 3 + round % 40;
        let known = ledger.now();
        let moved = committed_version(&writing).await;
        reader.poll(async || writers::step(&writing, &ledger, &mut random, 0.0).await).await;
        for ((dataset, id), version) in &known {
            holds(&reader.copies[*dataset], id, version, round);
        }
        let delivered = version_of(&reader.copies["items"], "restless");
        assert!(
            delivered >= moved && delivered > hot,
            "round {round}: the restless row came as {delivered}, was {hot}"
        );
        hot = delivered;
        past.push((reader.as_of, ids(&reader.copies["doc_lines"])));
    }
    stop.cancel();
    for task in tasks {
        task.await.expect("a writer");
    }
    reader.poll(async || {}).await;
    compare(&reader, &writing).await;

    // Every transaction that began before a poll's as_of is in that poll.
    let docs: Vec<(String, DateTime<Utc>)> = sqlx::query_as(
        "SELECT id::text, occurred_at FROM docs WHERE NOT deleted AND id IN (SELECT doc_id FROM doc_lines)",
    )
    .fetch_all(&writing)
    .await
    .expect("the documents");
    for (as_of, ids) in past {
        let missing: Vec<_> = docs.iter().filter(|(id, began)| *began < as_of && !ids.contains(id)).collect();
        assert!(missing.is_empty(), "complete through {as_of}, but without {missing:?}");
    }
    // Nothing writes any more: at most one more delivery, then none.
    reader.poll(async || {}).await;
    assert_eq!(reader.poll(async || {}).await, Polled::Unchanged);
}

/// Changes one row five times a second.
fn restless(pool: PgPool, stop: CancellationToken) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while !stop.is_cancelled() {
            sqlx::query(
                "INSERT INTO items (sku) VALUES ('restless')
                 ON CONFLICT (sku) DO UPDATE SET version = items.version + 1",
            )
            .execute(&pool)
            .await
            .expect("the restless row");
            sqlx::query("SELECT pg_sleep(0.2)").execute(&pool).await.expect("a fifth of a second");
        }
    })
}

async fn committed_version(pool: &PgPool) -> i32 {
    // The first poll must not come before the row does, nor the next before it moved on.
    let version = sqlx::query_scalar("SELECT version FROM items WHERE sku = 'restless'").fetch_optional(pool);
    let first: i32 = version.await.expect("the restless row").unwrap_or(0);
    loop {
        let version = sqlx::query_scalar("SELECT version FROM items WHERE sku = 'restless'").fetch_optional(pool);
        match version.await.expect("the restless row") {
            Some(version) if version > first => return version,
            _ => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

fn holds(copy: &Copy, id: &str, version: &Known, round: usize) {
    let rows: Vec<_> = copy.iter().filter(|(key, _)| key[0] == id).collect();
    match version {
        Known::Deleted => assert!(rows.is_empty(), "round {round}: {id} was deleted, the copy has {rows:?}"),
        Known::Version(least) => {
            // Deleted meanwhile is later than any version.
            for (key, row) in rows {
                let column = if row.len() == 2 { 1 } else { 3 };
                let found: i32 = row[column].as_deref().and_then(|text| text.parse().ok()).expect("a version");
                assert!(found >= *least, "round {round}: {key:?} was committed as {least}, the copy has {found}");
            }
        }
    }
}

fn version_of(items: &Copy, sku: &str) -> i32 {
    items[&vec![sku.to_owned()]][1].as_deref().and_then(|text| text.parse().ok()).expect("a version")
}

fn ids(lines: &Copy) -> BTreeSet<String> {
    lines.keys().map(|key| key[0].clone()).collect()
}
