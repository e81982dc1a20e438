//! Every metric of the crate, by name.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// Polls by `source` and `outcome` (`unchanged`, `committed`, `failed`).
pub const POLLS: &str = "tributary_polls_total";
/// Seconds a poll took, by `source`.
pub const POLL_SECONDS: &str = "tributary_poll_seconds";
/// Rows by `source` and `what` became of them (`read`, `added`, `changed`, `removed`, `quarantined`).
pub const POLL_ROWS: &str = "tributary_poll_rows_total";
/// Bytes of page bodies, by `source`.
pub const POLL_BYTES: &str = "tributary_poll_bytes_total";
/// Calls to sources by `source` and `result` (`ok`, `retried`, `failed`, `refused` by the open breaker).
pub const CALLS: &str = "tributary_source_calls_total";
/// The instant through which a source is complete, in seconds since 1970.
pub const COMPLETE_THROUGH: &str = "tributary_source_complete_through_timestamp_seconds";
/// Seconds by which the source itself was behind when last asked.
pub const LAG: &str = "tributary_source_lag_seconds";
/// 1 when a source is stale.
pub const STALE: &str = "tributary_source_stale";
/// 0 closed, 1 half open, 2 open.
pub const BREAKER: &str = "tributary_source_breaker";
/// Seconds by which a clock is ahead, by `clock`: a source's of the database's, `reporting_db`'s of this process's.
pub const CLOCK_AHEAD: &str = "tributary_clock_ahead_seconds";
/// Rows in quarantine, by source.
pub const QUARANTINED: &str = "tributary_source_quarantined_rows";
/// Commits that had to be computed again because another came first.
pub const OVERTAKEN: &str = "tributary_lake_overtaken_commits_total";
/// Reads of a `cache` (`heads`, `polls`) by `result` (`hit`, `load`, `stale`).
pub const CACHE_READS: &str = "tributary_cache_reads_total";
/// Bytes that a `cache` holds.
pub const CACHE_BYTES: &str = "tributary_cache_bytes";
/// Seconds a report's statement took, without waiting for its turn, by `report`.
pub const REPORT_SECONDS: &str = "tributary_report_seconds";
/// Seconds that computations waited for their turn.
pub const REPORT_WAIT_SECONDS: &str = "tributary_report_wait_seconds";
/// Rows that computations gave, by `report`.
pub const REPORT_ROWS: &str = "tributary_report_rows_total";
/// Results asked for, by `from`: `cache`, or `compute` (several who ask the same at once share one).
pub const REPORT_RESULTS: &str = "tributary_report_results_total";
/// Computations that gave no result, by `report`: too many rows, out of time, or a fault.
pub const REPORT_FAILURES: &str = "tributary_report_failures_total";
/// Computations that were ended, by `reason`.
///
/// `failed`, `time`, `memory`, `overtaken` (it grew long while another long one ran, and begins anew), `left` (nobody
/// waited any more), `died`, `not_begun` (no process could be started for it).
pub const COMPUTATIONS_ENDED: &str = "tributary_computations_ended_total";
/// Processes that compute reports and wait for the next.
pub const IDLE_WORKERS: &str = "tributary_idle_workers";
/// Revisions published, by `state`.
pub const REVISIONS: &str = "tributary_revisions_total";

/// Tells the recorder what they mean, and begins those without a name of their own at zero: a rate needs a value to
/// rise from.
pub fn describe() {
    describe_counter!(POLLS, Unit::Count, "Polls by source and outcome");
    describe_histogram!(POLL_SECONDS, Unit::Seconds, "Time of a poll, by source");
    describe_counter!(POLL_ROWS, Unit::Count, "Rows of polls, by source and what became of them");
    describe_counter!(POLL_BYTES, Unit::Bytes, "Bytes of page bodies, by source");
    describe_counter!(CALLS, Unit::Count, "Calls to sources, by source and result");
    describe_gauge!(
        CLOCK_AHEAD,
        Unit::Seconds,
        "By how much a source's clock is ahead of the database's, and that of this process's"
    );
    describe_gauge!(COMPLETE_THROUGH, Unit::Seconds, "The instant through which a source is complete, since 1970");
    describe_gauge!(LAG, Unit::Seconds, "How far the source itself was behind when last asked");
    describe_gauge!(STALE, Unit::Count, "1 when a source is stale");
    describe_gauge!(BREAKER, Unit::Count, "0 closed, 1 half open, 2 open, by source");
    describe_gauge!(QUARANTINED, Unit::Count, "Rows in quarantine, by source");
    describe_counter!(OVERTAKEN, Unit::Count, "Commits computed again because another came first");
    describe_counter!(CACHE_READS, Unit::Count, "Reads of a cache, by what came of them");
    describe_gauge!(CACHE_BYTES, Unit::Bytes, "Bytes that a cache holds");
    describe_histogram!(REPORT_SECONDS, Unit::Seconds, "Time of a report's statement, by report");
    describe_histogram!(REPORT_WAIT_SECONDS, Unit::Seconds, "Time that computations waited for their turn");
    describe_counter!(REPORT_ROWS, Unit::Count, "Rows that computations gave, by report");
    describe_counter!(REPORT_RESULTS, Unit::Count, "Results asked for, by where they came from");
    describe_counter!(REPORT_FAILURES, Unit::Count, "Computations that gave no result, by report");
    describe_counter!(COMPUTATIONS_ENDED, Unit::Count, "Computations that were ended without a result, by reason");
    describe_gauge!(IDLE_WORKERS, Unit::Count, "Processes that compute reports and wait for the next");
    describe_counter!(REVISIONS, Unit::Count, "Revisions published, by state");
    counter!(OVERTAKEN).increment(0);
    for name in [HEADS, POLLS_SHARED] {
        for read in [CacheRead::Hit, CacheRead::Load, CacheRead::Stale] {
            counter!(CACHE_READS, "cache" => name, "result" => read.name()).increment(0);
        }
    }
    for from in [FROM_CACHE, FROM_COMPUTE] {
        counter!(REPORT_RESULTS, "from" => from).increment(0);
    }
    for reason in ENDED {
        counter!(COMPUTATIONS_ENDED, "reason" => reason).increment(0);
    }
    for state in ["provisional", "final"] {
        counter!(REVISIONS, "state" => state).increment(0);
    }
}

/// Begins what a declared source counts at zero.
pub(crate) fn begin_source(source: &str) {
    for outcome in POLL_OUTCOMES {
        counter!(POLLS, "source" => source.to_owned(), "outcome" => outcome).increment(0);
    }
    for result in CALL_RESULTS {
        counter!(CALLS, "source" => source.to_owned(), "result" => result).increment(0);
    }
}

/// Begins what a report of the catalogue counts at zero.
pub(crate) fn begin_report(report: &str) {
    // Registered and not recorded: its buckets are there, and empty.
    drop(histogram!(REPORT_SECONDS, "report" => report.to_owned()));
    counter!(REPORT_ROWS, "report" => report.to_owned()).increment(0);
    counter!(REPORT_FAILURES, "report" => report.to_owned()).increment(0);
}

const POLL_OUTCOMES: [&str; 3] = ["unchanged", "committed", "failed"];
const CALL_RESULTS: [&str; 4] = ["ok", "retried", "failed", "refused"];

/// The cache of sources' heads.
pub(crate) const HEADS: &str = "heads";
/// Polls that several callers share.
pub(crate) const POLLS_SHARED: &str = "polls";

const FROM_CACHE: &str = "cache";
const FROM_COMPUTE: &str = "compute";

/// What came of a read of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheRead {
    /// Kept.
    Hit,
    /// Loaded, or waited for with others.
    Load,
    /// The load failed or took too long: an older one was served.
    Stale,
}

impl CacheRead {
    /// As in the label `result`.
    const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Load => "load",
            Self::Stale => "stale",
        }
    }
}

/// A cache was read.
pub(crate) fn cache(name: &'static str, read: CacheRead) {
    counter!(CACHE_READS, "cache" => name, "result" => read.name()).increment(1);
}

/// A result was asked for.
pub(crate) fn report_result(cached: bool) {
    counter!(REPORT_RESULTS, "from" => if cached { FROM_CACHE } else { FROM_COMPUTE }).increment(1);
}

/// A computation got its turn.
pub(crate) fn report_turn(waited: Duration) {
    histogram!(REPORT_WAIT_SECONDS).record(waited.as_secs_f64());
}

/// A computation ended, with so many rows or none.
pub(crate) fn report(report: &str, took: Duration, rows: Option<usize>) {
    histogram!(REPORT_SECONDS, "report" => report.to_owned()).record(took.as_secs_f64());
    let failures = counter!(REPORT_FAILURES, "report" => report.to_owned());
    failures.increment(u64::from(rows.is_none()));
    counter!(REPORT_ROWS, "report" => report.to_owned()).increment(rows.unwrap_or(0) as u64);
}

/// The reasons for which a computation is ended.
const ENDED: [&str; 7] = ["failed", "time", "memory", "overtaken", LEFT, "died", "not_begun"];
/// Nobody waited for it any more.
pub(crate) const LEFT: &str = "left";

/// A computation was ended without a result.
pub(crate) fn computation_ended(reason: &'static str) {
    counter!(COMPUTATIONS_ENDED, "reason" => reason).increment(1);
}

/// So many workers wait.
pub(crate) fn idle_workers(count: usize) {
    gauge!(IDLE_WORKERS).set(count as f64);
}

/// A call to a source was answered, is tried again, failed or was not sent.
pub(crate) fn call(source: &str, result: &'static str) {
    counter!(CALLS, "source" => source.to_owned(), "result" => result).increment(1);
}

/// A commit was overtaken.
pub(crate) fn overtaken() {
    counter!(OVERTAKEN).increment(1);
}
