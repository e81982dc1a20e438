//! The metrics of `kit`: names, units, meanings; and the recorder that all crates of a process write to.
//!
//! Each crate has such a list, and its `describe` is the whole of it: a test holds what a running system shows
//! on `/metrics` to it, both ways.

mod process;

use std::sync::OnceLock;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use sqlx::PgPool;
use tokio::time::{Duration, Instant, timeout};

use crate::stock::Step;
pub(crate) use process::observe as process;

/// Time to answer a request, by `service`, `method`, `route` (the pattern, not the path) and `status`.
pub const HTTP_REQUEST_SECONDS: &str = "http_request_duration_seconds";
/// Requests being answered now, by `service`.
pub const HTTP_REQUESTS_IN_FLIGHT: &str = "http_requests_in_flight";
/// Time of a call to another service, by `target`, `method` and `outcome` (a status, or `timeout`, `connect`, `body`).
pub const CALL_SECONDS: &str = "call_duration_seconds";
/// Handlers that panicked; each is a bug.
pub const PANICS: &str = "http_panics_total";
/// Connections of the pool, by `pool` and `state` (`idle`, `used`).
pub const POOL_CONNECTIONS: &str = "db_pool_connections";
/// Connections that the pool may have, by `pool`.
pub const POOL_LIMIT: &str = "db_pool_connections_max";
/// How long each scrape, as one more who asks, waited for a connection, by `pool`.
pub const POOL_WAIT_SECONDS: &str = "db_pool_wait_seconds";
/// Rows of imports, by `outcome` (`applied`, `unchanged`, `refused`).
pub const IMPORT_ROWS: &str = "import_rows_total";

/// Documents with an undelivered message to Inventory now, by `owed` (`post`, `reverse`).
pub const STOCK_TASKS: &str = "stock_tasks";
/// Of those, documents whose message is undelivered for longer than the service's limit.
pub const STOCK_TASKS_STUCK: &str = "stock_tasks_stuck";
/// The age of the oldest undelivered message.
pub const STOCK_TASK_OLDEST: &str = "stock_task_oldest_seconds";
/// What came of asking Inventory for stock, by `outcome` (`Delivery`).
pub const STOCK_SETTLEMENTS: &str = "stock_settlements_total";

pub(crate) const FEED_HORIZON: &str = "feed_horizon_xid";
pub(crate) const FEED_HORIZON_AGE: &str = "feed_horizon_age_seconds";
pub(crate) const FEED_OPEN: &str = "feed_open_transactions";
pub(crate) const FEED_OLDEST: &str = "feed_oldest_transaction_seconds";
pub(crate) const FEED_HEADS: &str = "feed_heads_total";
pub(crate) const FEED_PAGES: &str = "feed_pages_total";
pub(crate) const FEED_ROWS: &str = "feed_rows_total";

/// Upper bounds of the latency buckets, in seconds: fine below the 200 ms that calls between services may take.
const LATENCY_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0, 60.0];
/// The same for work in the background, which takes up to hours.
const JOB_BUCKETS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0];

/// How long a scrape waits for a connection before it gives up.
const PATIENCE: Duration = Duration::from_secs(1);

/// The process's recorder, installed on first use: several services may run in one test process.
///
/// # Panics
/// Another recorder was installed by someone else; a program has one.
pub fn recorder() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Prefix("tributary_job_".to_owned()), &JOB_BUCKETS)
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS)
            })
            .expect("the lists of buckets are not empty")
            .install_recorder()
            .expect("kit installs the only recorder of the process");
        describe();
        handle
    })
}

/// Tells the recorder what the metrics of this crate mean, and begins those that count rare things at zero: a rate
/// needs a value to rise from.
pub fn describe() {
    describe_histogram!(HTTP_REQUEST_SECONDS, Unit::Seconds, "Time to answer a request, by route and status");
    describe_gauge!(HTTP_REQUESTS_IN_FLIGHT, Unit::Count, "Requests being answered now");
    describe_histogram!(CALL_SECONDS, Unit::Seconds, "Time of a call to another service, by target and outcome");
    describe_counter!(PANICS, Unit::Count, "Handlers that panicked");
    describe_gauge!(POOL_CONNECTIONS, Unit::Count, "Database connections of the pool, by state");
    describe_gauge!(POOL_LIMIT, Unit::Count, "Database connections that the pool may have");
    describe_histogram!(POOL_WAIT_SECONDS, Unit::Seconds, "How long each scrape waited for a database connection");
    describe_counter!(IMPORT_ROWS, Unit::Count, "Rows of imports, by outcome");
    describe_gauge!(FEED_HORIZON, Unit::Count, "Every transaction below this number is finished");
    describe_gauge!(
        FEED_HORIZON_AGE,
        Unit::Seconds,
        "Age of the oldest open transaction that has written and so holds the horizon back"
    );
    describe_gauge!(FEED_OPEN, Unit::Count, "Open transactions of sessions that are not feed readers");
    describe_gauge!(FEED_OLDEST, Unit::Seconds, "Age of the oldest open transaction, which holds completeness back");
    describe_counter!(FEED_HEADS, Unit::Count, "Heads answered, by status");
    describe_counter!(FEED_PAGES, Unit::Count, "Pages answered, by dataset and format");
    describe_counter!(FEED_ROWS, Unit::Count, "Rows handed out, by dataset and format");
    describe_gauge!(STOCK_TASKS, Unit::Count, "Documents with an undelivered message to Inventory now, by its kind");
    describe_gauge!(
        STOCK_TASKS_STUCK,
        Unit::Count,
        "Documents with a message to Inventory that is undelivered for too long"
    );
    describe_gauge!(STOCK_TASK_OLDEST, Unit::Seconds, "Age of the oldest undelivered message to Inventory");
    describe_counter!(STOCK_SETTLEMENTS, Unit::Count, "What came of asking Inventory for stock, by outcome");
    process::describe();
    counter!(PANICS).increment(0);
}

/// What came of asking Inventory for a document's stock.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Delivery {
    Accepted,
    Rejected,
    GivenUp,
    Reversed,
    NoAnswer,
}

impl Delivery {
    const ALL: [Self; 5] = [Self::Accepted, Self::Rejected, Self::GivenUp, Self::Reversed, Self::NoAnswer];

    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::GivenUp => "given_up",
            Self::Reversed => "reversed",
            Self::NoAnswer => "silent",
        }
    }
}

/// Begins the counters of a service that takes stock at zero.
pub(crate) fn begin_deliveries() {
    recorder();
    for outcome in Delivery::ALL {
        counter!(STOCK_SETTLEMENTS, "outcome" => outcome.as_str()).increment(0);
    }
}

pub(crate) fn delivery(outcome: Delivery) {
    counter!(STOCK_SETTLEMENTS, "outcome" => outcome.as_str()).increment(1);
}

#[expect(clippy::cast_precision_loss, reason = "counts of documents; a gauge is a float")]
pub(crate) fn undelivered(posts: i64, reversals: i64, stuck: i64, oldest_seconds: f64) {
    gauge!(STOCK_TASKS, "owed" => Step::Post.as_str()).set(posts as f64);
    gauge!(STOCK_TASKS, "owed" => Step::Reverse.as_str()).set(reversals as f64);
    gauge!(STOCK_TASKS_STUCK).set(stuck as f64);
    gauge!(STOCK_TASK_OLDEST).set(oldest_seconds);
}

/// What a pool has and may have, and how long one who asks it now must wait.
pub(crate) async fn pool(name: &'static str, pool: &PgPool) {
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    gauge!(POOL_CONNECTIONS, "pool" => name, "state" => "idle").set(idle);
    gauge!(POOL_CONNECTIONS, "pool" => name, "state" => "used").set(pool.size().saturating_sub(idle));
    gauge!(POOL_LIMIT, "pool" => name).set(pool.options().get_max_connections());
    let began = Instant::now();
    // The connection goes back at once. One that does not come in time counts as the whole patience.
    drop(timeout(PATIENCE, pool.acquire()).await);
    histogram!(POOL_WAIT_SECONDS, "pool" => name).record(began.elapsed().as_secs_f64());
}
