//! The change feed against a real cluster: no change lost whatever commits when, and no restored database taken for
//! the one that a cursor was read from.

mod bodies;
mod cluster;
mod completeness;
mod protocol;
mod reader;
mod restores;
mod toy;
mod truth;
mod writers;

/// The seed of a campaign: given back in `TRIBUTARY_SEED`, else from the clock. It is printed, so that a failed run
/// can be had again.
fn seed() -> u64 {
    let given = kit::config::Vars::from_env("TRIBUTARY_").optional::<u64>("SEED", "seed of fault campaigns");
    let seed =
        given.expect("TRIBUTARY_SEED is a number").unwrap_or_else(|| chrono::Utc::now().timestamp().unsigned_abs());
    println!("TRIBUTARY_SEED={seed}");
    seed
}

/// Whether the full counts are asked for (`make soak`).
fn soaking() -> bool {
    let asked = kit::config::Vars::from_env("TRIBUTARY_").optional::<String>("SOAK", "1: full counts");
    asked.expect("TRIBUTARY_SOAK is text").is_some_and(|value| value == "1")
}

/// The feed's SQL is one text, in three places because databases share nothing.
#[test]
fn the_feed_sql_is_the_same_in_every_database() {
    let first = include_str!("../../migrations/inventory/0001_feed.sql");
    assert_eq!(first, include_str!("../../migrations/ecommerce/0001_feed.sql"));
    assert_eq!(first, include_str!("../../migrations/retail/0001_feed.sql"));
}
