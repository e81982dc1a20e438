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

/// The SQL of the feed and of imports is one text each, in three places because databases share nothing.
#[test]
fn the_sql_of_kit_is_the_same_in_every_database() {
    let first = include_str!("../../migrations/inventory/0001_feed.sql");
    assert_eq!(first, include_str!("../../migrations/ecommerce/0001_feed.sql"));
    assert_eq!(first, include_str!("../../migrations/retail/0001_feed.sql"));
    let first = include_str!("../../migrations/inventory/0020_local_time.sql");
    assert_eq!(first, include_str!("../../migrations/ecommerce/0020_local_time.sql"));
    assert_eq!(first, include_str!("../../migrations/retail/0020_local_time.sql"));
    let first = include_str!("../../migrations/inventory/0006_imports.sql");
    assert_eq!(first, include_str!("../../migrations/ecommerce/0006_imports.sql"));
    assert_eq!(first, include_str!("../../migrations/retail/0006_imports.sql"));
    let first = include_str!("../../migrations/inventory/0022_files.sql");
    assert_eq!(first, include_str!("../../migrations/ecommerce/0022_files.sql"));
    assert_eq!(first, include_str!("../../migrations/retail/0022_files.sql"));
}
