//! Every metric of the crate, by name.

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

/// Time from a claim to its end, by `job`.
pub const ATTEMPT_SECONDS: &str = "tributary_job_attempt_seconds";
/// Attempts by `job` and `ending` (`succeeded`, `failed`, `cancelled`, `retried`, `postponed`, `lost`).
pub const ATTEMPTS: &str = "tributary_job_attempts_total";

/// Tells the recorder what they mean.
pub fn describe() {
    describe_histogram!(ATTEMPT_SECONDS, Unit::Seconds, "Time from a claim to its end, by job");
    describe_counter!(ATTEMPTS, Unit::Count, "Attempts by job and ending");
}

/// An attempt ended.
pub(crate) fn attempt(job: &str, ending: &'static str) {
    counter!(ATTEMPTS, "job" => job.to_owned(), "ending" => ending).increment(1);
}

/// An attempt took this long.
pub(crate) fn attempt_seconds(job: &str, seconds: f64) {
    histogram!(ATTEMPT_SECONDS, "job" => job.to_owned()).record(seconds);
}
