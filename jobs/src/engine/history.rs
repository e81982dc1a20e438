//! What is remembered of every occurrence, and the questions asked about it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;

use super::{EngineError, Lease};
use crate::metric;

/// How many log lines are kept with one run.
pub const LOG_LINES: i64 = 1_000;

/// How many runs of one job are picked up in one step.
const AT_ONCE: i64 = 4;

/// How many attempts are shown of one run.
const ATTEMPTS: i64 = 100;

/// Where an occurrence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum RunStatus {
    /// Nobody has begun.
    Queued,
    /// Between two attempts, or waiting for its data.
    Waiting,
    /// Somebody is at it.
    Running,
    /// Done.
    Succeeded,
    /// Given up.
    Failed,
    /// Never begun, for the reason in `note`.
    Skipped,
    /// Stopped on somebody's word.
    Cancelled,
}

impl RunStatus {
    /// As it is written in rows and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen to the run.
    #[must_use]
    pub fn has_ended(self) -> bool {
        match self {
            Self::Queued | Self::Waiting | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled => true,
        }
    }
}

/// One occurrence.
#[derive(Debug, Clone, Serialize)]
pub struct RunRow {
    /// Its number.
    pub id: i64,
    /// The declared job.
    pub job: String,
    /// The occurrence.
    pub scheduled_for: DateTime<Utc>,
    /// `schedule` or `request`.
    pub origin: String,
    /// What was asked.
    pub arguments: Value,
    /// Where it stands.
    pub status: RunStatus,
    /// Attempts begun so far.
    pub attempt: i32,
    /// When the first attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Not before this instant is it tried (again).
    pub not_before: DateTime<Utc>,
    /// How far it has come.
    pub progress: Option<Value>,
    /// What a successful run reports, in numbers.
    pub outcome: Option<Value>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// Why it was skipped or waits.
    pub note: Option<String>,
}

/// A checked query of [`RunRow`]s: the rest of the statement, then its arguments.
macro_rules! query_runs {
    ($rest:literal, $($arguments:tt)*) => {
        sqlx::query_as!(
            RunRow,
            r#"SELECT id, job, scheduled_for, origin, arguments, status AS "status: _", attempt, started_at, finished_at,
             not_before, progress, outcome, error, note FROM jobs.run "# + $rest,
            $($arguments)*
        )
    };
}

/// Make sure that a requested occurrence has a row; returns the row as it is.
///
/// # Errors
/// [`EngineError::Database`].
pub async fn ensure(
    pool: &PgPool,
    job: &str,
    scheduled_for: DateTime<Utc>,
    arguments: &Value,
) -> Result<RunRow, EngineError> {
    sqlx::query!(
        "INSERT INTO jobs.run (job, scheduled_for, origin, arguments) VALUES ($1, $2, 'request', $3)
         ON CONFLICT ON CONSTRAINT run_occurrence_key DO NOTHING",
        job,
        scheduled_for,
        arguments
    )
    .execute(pool)
    .await?;
    let row = query_runs!("WHERE job = $1 AND scheduled_for = $2", job, scheduled_for).fetch_one(pool).await?;
    Ok(row)
}

/// The run of a number.
///
/// # Errors
/// [`EngineError::UnknownRun`] or [`EngineError::Database`].
pub async fn get(pool: &PgPool, id: i64) -> Result<RunRow, EngineError> {
    query_runs!("WHERE id = $1", id).fetch_optional(pool).await?.ok_or(EngineError::UnknownRun { id })
}

/// A job's runs, latest occurrence first: those before `(scheduled_for, id)` when given.
///
/// # Errors
/// [`EngineError::Database`].
pub async fn page(
    pool: &PgPool,
    job: &str,
    before: Option<(DateTime<Utc>, i64)>,
    limit: i64,
) -> Result<Vec<RunRow>, EngineError> {
    let rows = query_runs!(
        "WHERE job = $1 AND ($2::timestamptz IS NULL OR (scheduled_for, id) < ($2, $3))
             ORDER BY scheduled_for DESC, id DESC
             LIMIT $4",
        job,
        before.map(|(at, _)| at),
        before.map_or(0, |(_, id)| id),
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// Runs that failed since an instant, the last one first.
///
/// # Errors
/// [`EngineError::Database`].
pub async fn failed(pool: &PgPool, since: DateTime<Utc>, limit: i64) -> Result<Vec<RunRow>, EngineError> {
    let rows =
        query_runs!("WHERE status = 'failed' AND finished_at > $1 ORDER BY finished_at DESC LIMIT $2", since, limit)
            .fetch_all(pool)
            .await?;
    Ok(rows)
}

/// Runs that somebody should pick up now: due, or fallen silent.
///
/// Of every job its oldest occurrences, and the first of each before the second of any: a job with a hundred nights to
/// make up for keeps no other from its turn.
///
/// # Errors
/// [`EngineError::Database`].
pub async fn due(pool: &PgPool, jobs: &[String], limit: i64) -> Result<Vec<RunRow>, EngineError> {
    let rows = query_runs!(
        "JOIN (SELECT id, row_number() OVER (PARTITION BY job ORDER BY scheduled_for, id) AS place FROM jobs.run
                    WHERE job = ANY($1)
                      AND (   (status IN ('queued', 'waiting') AND not_before <= clock_timestamp())
                           OR (status = 'running' AND lease_until < clock_timestamp()))) AS due USING (id)
             WHERE place <= $3
             ORDER BY place, scheduled_for, id
             LIMIT $2",
        jobs,
        limit,
        AT_ONCE
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// Ask for a run to be cancelled; returns the row as it then is.
///
/// What nobody has begun ends at once; a running one is stopped by its holder at the next heartbeat, and can write
/// nothing more from this moment on.
///
/// # Errors
/// [`EngineError::UnknownRun`] or [`EngineError::Database`].
pub async fn cancel(pool: &PgPool, id: i64) -> Result<RunRow, EngineError> {
    let changed = sqlx::query!(
        "UPDATE jobs.run
            SET cancel_requested_at = clock_timestamp(),
                status = CASE WHEN status = 'running' THEN status ELSE 'cancelled' END,
                finished_at = CASE WHEN status = 'running' THEN NULL ELSE clock_timestamp() END
          WHERE id = $1 AND status IN ('queued', 'waiting', 'running') AND cancel_requested_at IS NULL",
        id
    )
    .execute(pool)
    .await?
    .rows_affected();
    let row = get(pool, id).await?;
    if changed == 1 && row.status == RunStatus::Cancelled {
        metric::runs(&row.job, "cancelled", 1);
    }
    Ok(row)
}

/// One attempt at a run: somebody claimed it, and how that ended.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptRow {
    /// Which attempt, from 1; the same number again where a silent one was taken over.
    pub attempt: i32,
    /// The replica.
    pub owner: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; none while it lasts.
    pub ended_at: Option<DateTime<Utc>>,
    /// `succeeded`, `failed`, `cancelled`, `postponed` or `lost`; none while it lasts.
    pub ending: Option<String>,
    /// Why it ended so.
    pub reason: Option<String>,
}

/// The latest attempts at a run, oldest first: a run that waits for its data has one a minute.
///
/// # Errors
/// [`EngineError::Database`].
pub async fn attempts(pool: &PgPool, run: i64) -> Result<Vec<AttemptRow>, EngineError> {
    let rows = sqlx::query_as!(
        AttemptRow,
        "SELECT attempt, owner, started_at, ended_at, ending, reason FROM (
             SELECT fence, attempt, owner, started_at, ended_at, ending, reason FROM jobs.attempt
                         WHERE run_id = $1 ORDER BY fence DESC LIMIT $2) AS latest ORDER BY fence",
        run,
        ATTEMPTS
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// One kept log line.
#[derive(Debug, Clone, Serialize)]
pub struct LogLine {
    /// When, by the database's clock.
    pub at: DateTime<Utc>,
    /// What.
    pub line: String,
}

/// The log lines of a run, oldest first.
///
/// # Errors
/// [`EngineError::Database`].
pub async fn log_lines(pool: &PgPool, run: i64) -> Result<Vec<LogLine>, EngineError> {
    let lines = sqlx::query_as!(
        LogLine,
        "SELECT at, line FROM jobs.run_log WHERE run_id = $1 ORDER BY id LIMIT $2",
        run,
        LOG_LINES
    )
    .fetch_all(pool)
    .await?;
    Ok(lines)
}

pub(super) async fn log(pool: &PgPool, run: i64, line: &str) -> Result<(), sqlx::Error> {
    // The count is bounded by the insert itself; a line beyond the bound is only in the process's log.
    sqlx::query!(
        "INSERT INTO jobs.run_log (run_id, line)
         SELECT $1, left($2, 2000) WHERE (SELECT count(*) FROM jobs.run_log WHERE run_id = $1) < $3",
        run,
        line,
        LOG_LINES
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn progress(pool: &PgPool, lease: &Lease, progress: &Value) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE jobs.run SET progress = $3, takeovers = 0 WHERE id = $1 AND fence = $2 AND status = 'running'",
        lease.run,
        lease.token,
        progress
    )
    .execute(pool)
    .await?;
    Ok(())
}
