//! Asking for a run of a job.

use ::jobs::{
    engine::{RunRow, Runner},
    poll::{PollArguments, job_name},
};
use aggregator::Aggregator;
use chrono::{SubsecRound as _, Utc};
use serde_json::Value;

use super::AnswerError;

/// Enqueue a run of a job, under an occurrence of its own.
///
/// # Errors
/// An unknown job, or arguments that it does not take.
pub async fn start(runner: &Runner, job: &str, arguments: &Value) -> Result<RunRow, AnswerError> {
    // PostgreSQL keeps microseconds: cut the rest, or the row would not be found again by its occurrence.
    let scheduled_for = Utc::now().trunc_subsecs(6);
    Ok(runner.request(job, scheduled_for, arguments).await?)
}

/// Enqueue a poll of a source.
///
/// # Errors
/// An unknown source.
pub async fn start_poll(
    aggregator: &Aggregator,
    runner: &Runner,
    source: &str,
    arguments: PollArguments,
) -> Result<RunRow, AnswerError> {
    aggregator.sources().get(source)?;
    let arguments = serde_json::to_value(arguments).map_err(AnswerError::internal)?;
    start(runner, &job_name(source), &arguments).await
}
