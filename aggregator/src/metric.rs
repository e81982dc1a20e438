//! Every metric of the crate, by name.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::poll::PollOutcome;
use crate::source::SourceStatus;
use crate::source::breaker::BreakerState;

/// Polls by source and outcome (`unchanged`, `committed`, `failed`).
pub const POLLS: &str = "tributary_polls_total";
/// Seconds a poll took, by source.
pub const POLL_SECONDS: &str = "tributary_poll_seconds";
/// Rows by source and what became of them (`read`, `added`, `changed`, `removed`, `quarantined`).
pub const POLL_ROWS: &str = "tributary_poll_rows_total";
/// Bytes of page bodies, by source.
pub const POLL_BYTES: &str = "tributary_poll_bytes_total";
/// Calls to sources by source and result (`ok`, `retried`, `failed`, `refused` by the open breaker).
pub const CALLS: &str = "tributary_source_calls_total";
/// The instant through which a source is complete, in seconds since 1970.
pub const COMPLETE_THROUGH: &str = "tributary_source_complete_through_seconds";
/// Seconds by which the source itself was behind when last asked.
pub const LAG: &str = "tributary_source_lag_seconds";
/// 1 when a source is stale.
pub const STALE: &str = "tributary_source_stale";
/// 0 closed, 1 half open, 2 open.
pub const BREAKER: &str = "tributary_source_breaker";
/// Rows in quarantine, by source.
pub const QUARANTINED: &str = "tributary_source_quarantined_rows";
/// Commits that had to be computed again because another came first.
pub const OVERTAKEN: &str = "tributary_lake_overtaken_commits_total";

/// A poll ended.
pub(crate) fn poll(source: &str, outcome: Option<&PollOutcome>, took: Duration) {
    let word = match outcome {
        Some(PollOutcome { pages: 0, .. }) => "unchanged",
        Some(_) => "committed",
        None => "failed",
    };
    counter!(POLLS, "source" => source.to_owned(), "outcome" => word).increment(1);
    histogram!(POLL_SECONDS, "source" => source.to_owned()).record(took.as_secs_f64());
    let Some(outcome) = outcome else { return };
    for (word, rows) in [
        ("read", outcome.rows_read),
        ("added", outcome.rows_added),
        ("changed", outcome.rows_changed),
        ("removed", outcome.rows_removed),
        ("quarantined", outcome.rows_quarantined),
    ] {
        counter!(POLL_ROWS, "source" => source.to_owned(), "what" => word).increment(rows.unsigned_abs());
    }
    counter!(POLL_BYTES, "source" => source.to_owned()).increment(outcome.bytes.unsigned_abs());
}

/// A call to a source was answered, is tried again, failed or was not sent.
pub(crate) fn call(source: &str, result: &'static str) {
    counter!(CALLS, "source" => source.to_owned(), "result" => result).increment(1);
}

/// A commit was overtaken.
pub(crate) fn overtaken() {
    counter!(OVERTAKEN).increment(1);
}

/// Set the gauges from the sources' status; call it before metrics are read.
pub fn observe(sources: &[SourceStatus]) {
    for source in sources {
        let name = || source.name.clone();
        let breaker = match source.breaker {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        };
        gauge!(BREAKER, "source" => name()).set(breaker);
        gauge!(STALE, "source" => name()).set(if source.stale { 1.0 } else { 0.0 });
        gauge!(QUARANTINED, "source" => name()).set(source.quarantined as f64);
        if let Some(through) = source.complete_through {
            gauge!(COMPLETE_THROUGH, "source" => name()).set(through.timestamp_micros() as f64 / 1e6);
        }
        if let Some(lag) = source.lag_seconds {
            gauge!(LAG, "source" => name()).set(lag as f64);
        }
    }
}
