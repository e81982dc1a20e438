//! The metrics of `kit`: names, units, meanings; and the recorder that all crates of a process write to.

use std::sync::OnceLock;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Time to answer a request, by `service`, `method`, `route` (the pattern, not the path) and `status`.
pub const HTTP_REQUEST_SECONDS: &str = "http_request_duration_seconds";
/// Requests being answered now, by `service`.
pub const HTTP_REQUESTS_IN_FLIGHT: &str = "http_requests_in_flight";
/// Time of a call to another service, by `target`, `method` and `outcome` (a status, or `timeout`, `connect`, `body`).
pub const CALL_SECONDS: &str = "call_duration_seconds";
/// Handlers that panicked, by `service`; each is a bug.
pub const PANICS: &str = "http_panics_total";
/// Connections of the pool, by `pool` and `state` (`idle`, `used`).
pub const POOL_CONNECTIONS: &str = "db_pool_connections";

/// Upper bounds of the latency buckets, in seconds: fine below the 200 ms that calls between services may take.
const LATENCY_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The process's recorder, installed on first use: several services may run in one test process.
///
/// # Panics
/// Another recorder was installed by someone else; a program has one.
pub fn recorder() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS)
            .expect("the list of buckets is not empty")
            .install_recorder()
            .expect("kit installs the only recorder of the process");
        describe();
        handle
    })
}

fn describe() {
    describe_histogram!(HTTP_REQUEST_SECONDS, Unit::Seconds, "Time to answer a request, by route and status");
    describe_gauge!(HTTP_REQUESTS_IN_FLIGHT, Unit::Count, "Requests being answered now");
    describe_histogram!(CALL_SECONDS, Unit::Seconds, "Time of a call to another service, by target and outcome");
    describe_counter!(PANICS, Unit::Count, "Handlers that panicked");
    describe_gauge!(POOL_CONNECTIONS, Unit::Count, "Database connections of the pool, by state");
}
