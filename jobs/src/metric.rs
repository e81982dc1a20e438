//! Every metric of the crate, by name. The label is `job_name`, because Prometheus gives every sample a `job`.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// Occurrences that ended, by `job_name` and `outcome` (`succeeded`, `failed`, `refused`, `cancelled`, `skipped`):
/// `refused` is a failure of what a caller asked for, and no operator's business.
pub const RUNS: &str = "tributary_job_runs_total";
/// Attempts by `job_name` and `ending` (`succeeded`, `failed`, `refused`, `cancelled`, `retried`, `postponed`, `lost`).
pub const ATTEMPTS: &str = "tributary_job_attempts_total";
/// Time from a claim to its end, by `job_name`.
pub const ATTEMPT_SECONDS: &str = "tributary_job_attempt_seconds";
/// Time from the instant a scheduled run was due to its first attempt, by `job_name`.
pub const LATENESS_SECONDS: &str = "tributary_job_lateness_seconds";
/// Attempts under way in this process, by `job_name`.
pub const RUNNING: &str = "tributary_jobs_running";

/// How an occurrence can end.
const OUTCOMES: [&str; 5] = ["succeeded", "failed", "refused", "cancelled", "skipped"];

/// How an attempt can end.
const ENDINGS: [&str; 7] = ["succeeded", "failed", "refused", "cancelled", "retried", "postponed", "lost"];

/// Tells the recorder what they mean.
pub fn describe() {
    describe_counter!(RUNS, Unit::Count, "Occurrences that ended, by job and outcome");
    describe_counter!(ATTEMPTS, Unit::Count, "Attempts by job and ending");
    describe_histogram!(ATTEMPT_SECONDS, Unit::Seconds, "Time from a claim to its end, by job");
    describe_histogram!(
        LATENESS_SECONDS,
        Unit::Seconds,
        "Time from the instant a scheduled run was due to its first attempt, by job"
    );
    describe_gauge!(RUNNING, Unit::Count, "Attempts under way in this process, by job");
}

/// Begins a declared job's own at zero: a rate needs a value to rise from.
pub(crate) fn begin(job: &str) {
    for outcome in OUTCOMES {
        runs(job, outcome, 0);
    }
    for ending in ENDINGS {
        attempts(job, ending, 0);
    }
    gauge!(RUNNING, "job_name" => job.to_owned()).increment(0.0);
    // Registered and not recorded: their buckets are there, and empty.
    drop(histogram!(LATENESS_SECONDS, "job_name" => job.to_owned()));
    drop(histogram!(ATTEMPT_SECONDS, "job_name" => job.to_owned()));
}

/// So many occurrences ended.
pub(crate) fn runs(job: &str, outcome: &'static str, ended: u64) {
    counter!(RUNS, "job_name" => job.to_owned(), "outcome" => outcome).increment(ended);
}

fn attempts(job: &str, ending: &'static str, ended: u64) {
    counter!(ATTEMPTS, "job_name" => job.to_owned(), "ending" => ending).increment(ended);
}

/// An attempt ended.
pub(crate) fn attempt(job: &str, ending: &'static str, took: Duration) {
    attempts(job, ending, 1);
    histogram!(ATTEMPT_SECONDS, "job_name" => job.to_owned()).record(took.as_secs_f64());
}

/// A scheduled run began so much later than it was due.
pub(crate) fn late(job: &str, by: Duration) {
    histogram!(LATENESS_SECONDS, "job_name" => job.to_owned()).record(by.as_secs_f64());
}

/// Counts an attempt as under way while it lives.
pub(crate) struct Running(metrics::Gauge);

impl Running {
    pub(crate) fn of(job: &str) -> Self {
        let gauge = gauge!(RUNNING, "job_name" => job.to_owned());
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
