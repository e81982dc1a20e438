//! The clocks of the database, of this process and of the sources: what they say of each other.

use aggregator::Aggregator;
use anyhow::Context as _;
use chrono::{DateTime, Utc};

use crate::engine::JobError;

/// Which clocks differ by more than is tolerated, in words; `now` is the database's.
pub(crate) async fn differ(aggregator: &Aggregator, now: DateTime<Utc>) -> Result<Option<String>, JobError> {
    let tolerance = tolerance(aggregator);
    let process = (now - Utc::now()).num_seconds().abs();
    if process > tolerance {
        return Ok(Some(format!("the clocks of the reporting database and of this process are {process} s apart")));
    }
    let sources = aggregator.sources().status().await.context("the sources' status could not be read")?;
    let ahead = sources.iter().find(|source| source.clock_ahead_seconds > tolerance);
    Ok(ahead.map(|source| format!("the clock of {} is {} s ahead", source.name, source.clock_ahead_seconds)))
}

/// By how many seconds they may differ.
pub(crate) fn tolerance(aggregator: &Aggregator) -> i64 {
    i64::try_from(aggregator.settings().clock_tolerance.as_secs()).unwrap_or(i64::MAX)
}
