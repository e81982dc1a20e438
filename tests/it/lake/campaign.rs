//! Faults at random under a writer that never rests, with compaction and expiry racing the polls.
//!
//! After the last fault and one clean poll the lake must equal the source, and every snapshot that
//! can still be read must read as it did. `TRIBUTARY_SEED` repeats a campaign that failed.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use system_tests::source::Fault;
use system_tests::{campaign, seed};

use super::*;

fn fault(random: &mut StdRng) -> Fault {
    match random.random_range(0..9) {
        0 => Fault::Status(500, 0),
        1 => Fault::Status(503, 0),
        2 => Fault::Status(429, 0),
        3 | 4 => Fault::CutAt(random.random_range(0..600)),
        5 => Fault::RowsMissing(random.random_range(1..3)),
        6 => Fault::Nonsense,
        7 => Fault::Drip(Duration::from_millis(random.random_range(1..4))),
        _ => Fault::None,
    }
}

/// A few changes: new visits, corrected ones, removed ones, places.
fn write(it: &Fixture, random: &mut StdRng, next: &mut i64) {
    for _ in 0..random.random_range(1..6) {
        let (month, day) = (random.random_range(1..4), random.random_range(1..5));
        let at = format!("2026-{month:02}-{day:02}T{:02}:00:00.000000Z", random.random_range(0..24));
        let cents = random.random_range(-9_000_000_000..9_000_000_000);
        *next += 1;
        it.visit(*next, 1, &at, cents);
        let older = random.random_range(1..=*next);
        let at = it.source.model().live("visits").iter().find_map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            (fields[0] == older.to_string()).then(|| fields[2].to_owned())
        });
        // What happened keeps its instant; only the rest of a row may change.
        match (at, random.random_range(0..4)) {
            (Some(_), 0) => it.source.model().delete("visits", &[older, 1]),
            (Some(at), _) => it.visit(older, 1, &at, cents + 1),
            (None, _) => it.source.model().put("places", &[older % 7], &["moved", "\\N"]),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_at_random_lose_nothing_and_double_nothing() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut it = Fixture::start().await;
    let mut next = 0;
    let mut as_it_was: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for _ in 0..campaign(25, 200) {
        write(&it, &mut random, &mut next);
        let faults: Vec<Fault> = (0..random.random_range(0..6)).map(|_| fault(&mut random)).collect();
        it.source.break_next(faults);
        // Each round is a process of its own: what it knows in memory dies with it.
        it.reopen(DECLARATION).await.unwrap();
        let patience = Duration::from_millis(random.random_range(20..3000));
        let polled = tokio::time::timeout(patience, it.aggregator.poller().poll("fourth", Drops::Guarded));
        match random.random_range(0..4) {
            0 => {
                let (_, compacted) = tokio::join!(polled, it.aggregator.lake().compact(TimeDelta::zero()));
                compacted.unwrap();
            }
            1 => {
                let (_, swept) = tokio::join!(polled, it.aggregator.lake().sweep());
                swept.unwrap();
            }
            2 if random.random_range(0..4) == 0 => {
                let (_, expired) = tokio::join!(polled, it.aggregator.expire(TimeDelta::seconds(2)));
                expired.unwrap();
            }
            _ => drop(polled.await),
        }
        it.source.mend();
        let snapshot = it.snapshot().await;
        let rows = it.rows_at(snapshot, "visits", None).await;
        let before = as_it_was.entry(snapshot).or_insert_with(|| rows.clone());
        assert_eq!(*before, rows, "snapshot {snapshot} changed, seed {seed}");
    }
    it.reopen(DECLARATION).await.unwrap();
    // Waits for the lock of a poll that was cut off until the server sees the closed connection. One that takes up what an
    // interrupted one had read brings what was new when that began, and the next one the rest.
    while it.poll().await.resumed {}
    it.check_equal().await;
    let mut readable = 0;
    for (snapshot, rows) in as_it_was {
        if snapshot::require(&it.db, snapshot).await.is_ok() {
            readable += 1;
            let (mut now, mut then) = (it.rows_at(snapshot, "visits", None).await, rows);
            now.sort();
            then.sort();
            assert_eq!(now, then, "snapshot {snapshot}, seed {seed}");
        }
    }
    assert!(readable > 0, "seed {seed}");
    it.aggregator.lake().sweep().await.unwrap();
    super::commit::check_files(&it.db, it.aggregator.lake().dir()).await;
    let polls: i64 = sqlx::query_scalar("SELECT count(*) FROM sync.poll").fetch_one(&it.db).await.unwrap();
    assert!(polls > 1, "seed {seed}");
}
