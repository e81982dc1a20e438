//! When a fact can have happened.

use chrono::{DateTime, TimeDelta, Utc};

/// How far a till's clock may run ahead of ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// Checks that a moment is from 1970 to five minutes ahead of now.
///
/// # Errors
/// Why it is not.
pub fn check(at: DateTime<Utc>) -> Result<(), &'static str> {
    if at > Utc::now() + CLOCK_SKEW {
        Err("is in the future; is the clock right?")
    } else if at < DateTime::UNIX_EPOCH {
        Err("is before 1970")
    } else {
        Ok(())
    }
}
