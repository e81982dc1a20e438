//! A row gets one runner: claiming, and ending what was claimed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use super::{Declaration, EngineError, Lease, Overlap, incident, planner};
use crate::metric;

/// How often a run may lose its process, without coming further in between, before it is given up: it may be what ends it.
const MOST_TAKEOVERS: i32 = 2;

/// A run that is ours.
#[derive(Debug)]
pub struct Claim {
    /// The right to write.
    pub lease: Lease,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    /// What was asked of this run.
    pub arguments: Value,
    /// How far earlier attempts came.
    pub progress: Option<Value>,
    /// The database's clock at the claim.
    pub now: DateTime<Utc>,
    /// When the run's first attempt began, by the same clock.
    pub begun_at: DateTime<Utc>,
    /// Whether nobody had begun the run before, and the clock asked for it.
    pub is_first: bool,
}

struct Candidate {
    id: i64,
    status: super::RunStatus,
    cancel_requested: bool,
    origin: String,
    attempt: i32,
    takeovers: i32,
    token: i64,
    owner: Option<String>,
    arguments: Value,
    progress: Option<Value>,
    started_at: Option<DateTime<Utc>>,
    scheduled_for: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

impl Candidate {
    /// Whether the clock asked for it and nobody has begun.
    fn is_untouched(&self) -> bool {
        self.started_at.is_none() && self.origin == "schedule"
    }

    /// Whether it was due while no scheduler was running, and is made up for now.
    fn is_caught_up(&self) -> bool {
        self.created_at - self.scheduled_for > planner::ON_TIME
    }
}

/// Try to become the one runner of an occurrence.
///
/// None when another replica has it, when it has ended or waits for a later time, or when the overlap policy keeps it
/// back (in which case it may just have been skipped: read the row).
///
/// # Errors
/// [`EngineError::Database`].
pub async fn claim(
    pool: &PgPool,
    declaration: &Declaration,
    scheduled_for: DateTime<Utc>,
    replica: &str,
    length: Duration,
) -> Result<Option<Claim>, EngineError> {
    let mut tx = base::begin(pool).await?;
    // Claims of one job are taken one after the other, or two occurrences could each see no other running.
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('tributary jobs.run ' || $1, 0))", &declaration.name)
        .execute(&mut *tx)
        .await?;
    let Some(candidate) = lock(&mut tx, &declaration.name, scheduled_for).await? else { return Ok(None) };
    let taken_over = candidate.status == super::RunStatus::Running;
    if !taken_over && !overlap_allows(&mut tx, declaration, &candidate).await? {
        tx.commit().await?;
        return Ok(None);
    }
    if let Some(owner) = candidate.owner.as_deref().filter(|owner| taken_over && *owner != replica) {
        end_sessions(&mut tx, owner).await?;
    }
    if taken_over && let Some(status) = end_lost(&mut tx, &declaration.name, &candidate).await? {
        tx.commit().await?;
        metric::runs(&declaration.name, status, 1);
        return Ok(None);
    }
    let attempt = if taken_over { candidate.attempt } else { candidate.attempt + 1 };
    let lease = Lease { run: candidate.id, token: candidate.token + 1 };
    let begun = sqlx::query!(
        r#"UPDATE jobs.run
              SET status = 'running', fence = $2, attempt = $3, takeovers = takeovers + $4, owner = $5,
                  lease_until = clock_timestamp() + make_interval(secs => $6),
                  started_at = COALESCE(started_at, clock_timestamp()), note = NULL
            WHERE id = $1
            RETURNING clock_timestamp() AS "now!", started_at AS "at!""#,
        lease.run,
        lease.token,
        attempt,
        i32::from(taken_over),
        replica,
        length.as_secs_f64()
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO jobs.attempt (run_id, fence, attempt, owner) VALUES ($1, $2, $3, $4)",
        lease.run,
        lease.token,
        attempt,
        replica
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    let is_first = candidate.is_untouched();
    let Candidate { arguments, progress, .. } = candidate;
    Ok(Some(Claim { lease, attempt, arguments, progress, now: begun.now, begun_at: begun.at, is_first }))
}

/// The occurrence, if it can be claimed, with its row locked.
async fn lock(
    connection: &mut PgConnection,
    job: &str,
    scheduled_for: DateTime<Utc>,
) -> Result<Option<Candidate>, sqlx::Error> {
    sqlx::query_as!(
        Candidate,
        r#"SELECT id, status AS "status: _", cancel_requested_at IS NOT NULL AS "cancel_requested!", origin, attempt,
                  takeovers, fence AS token, owner, arguments, progress, started_at, scheduled_for, created_at
           FROM jobs.run
          WHERE job = $1 AND scheduled_for = $2
            AND (   (status IN ('queued', 'waiting') AND not_before <= clock_timestamp())
                 OR (status = 'running' AND lease_until < clock_timestamp()))
            FOR UPDATE SKIP LOCKED"#,
        job,
        scheduled_for
    )
    .fetch_optional(connection)
    .await
}

/// What the sessions in which a replica works are called; those of one that fell silent are ended by it.
#[must_use]
pub fn sessions_of(replica: &str) -> String {
    // As the server keeps it: 63 bytes of plain text.
    let plain = |it: char| if it.is_ascii_graphic() || it == ' ' { it } else { '?' };
    format!("reporting work {replica}").chars().map(plain).take(63).collect()
}

/// Ends the sessions of a replica of whose runs none is alive: its host may be gone, and PostgreSQL would keep them, with
/// their locks, until it notices.
async fn end_sessions(connection: &mut PgConnection, owner: &str) -> Result<(), sqlx::Error> {
    let ended = sqlx::query!(
        r#"SELECT pg_terminate_backend(pid) AS "ended!" FROM pg_stat_activity
            WHERE application_name = $1 AND usename = current_user
              AND NOT EXISTS (SELECT FROM jobs.run
                               WHERE owner = $2 AND status = 'running' AND lease_until >= clock_timestamp())"#,
        sessions_of(owner),
        owner
    )
    .fetch_all(connection)
    .await?;
    if !ended.is_empty() {
        tracing::warn!(owner, sessions = ended.len(), "a replica fell silent; its sessions are ended");
    }
    Ok(())
}

/// Ends the attempt of a lost process; the status of its run, where that ends too.
async fn end_lost(
    connection: &mut PgConnection,
    job: &str,
    candidate: &Candidate,
) -> Result<Option<&'static str>, sqlx::Error> {
    let lost = Lease { run: candidate.id, token: candidate.token };
    end_attempt(connection, lost, "lost", Some("its process fell silent")).await?;
    if candidate.cancel_requested {
        cancelled(connection, candidate).await?;
        return Ok(Some("cancelled"));
    }
    if candidate.takeovers >= MOST_TAKEOVERS {
        give_up(connection, job, candidate).await?;
        return Ok(Some("failed"));
    }
    Ok(None)
}

async fn overlap_allows(
    connection: &mut PgConnection,
    declaration: &Declaration,
    candidate: &Candidate,
) -> Result<bool, sqlx::Error> {
    if declaration.overlap == Overlap::Allow {
        return Ok(true);
    }
    if candidate.is_untouched() && has_older(connection, declaration, candidate).await? {
        return Ok(false);
    }
    let other: Option<i64> = sqlx::query_scalar!(
        "SELECT id FROM jobs.run WHERE job = $1 AND status = 'running' AND id <> $2 LIMIT 1",
        &declaration.name,
        candidate.id
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(other) = other else { return Ok(true) };
    // Only what the clock asked for and nobody has begun is skipped; a person's wish waits its turn, and so does what
    // was missed: several are made up for at once, and none of them was due while another ran.
    if declaration.overlap == Overlap::Skip && candidate.is_untouched() && !candidate.is_caught_up() {
        sqlx::query!(
            "UPDATE jobs.run SET status = 'skipped', finished_at = clock_timestamp(), note = $2 WHERE id = $1",
            candidate.id,
            format!("run {other} of the same job was still running")
        )
        .execute(connection)
        .await?;
        metric::runs(&declaration.name, "skipped", 1);
    }
    Ok(false)
}

/// Whether an older occurrence that the clock asked for waits to be begun: it goes first.
async fn has_older(
    connection: &mut PgConnection,
    declaration: &Declaration,
    candidate: &Candidate,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM jobs.run
                         WHERE job = $1 AND scheduled_for < $2 AND status = 'queued' AND origin = 'schedule'
                           AND started_at IS NULL AND not_before <= clock_timestamp()) AS "is!""#,
        &declaration.name,
        candidate.scheduled_for
    )
    .fetch_one(connection)
    .await
}

/// Its process was lost before it could see the request.
async fn cancelled(connection: &mut PgConnection, candidate: &Candidate) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE jobs.run SET status = 'cancelled', fence = fence + 1, lease_until = NULL, owner = NULL,
                finished_at = clock_timestamp()
          WHERE id = $1",
        candidate.id
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn give_up(connection: &mut PgConnection, job: &str, candidate: &Candidate) -> Result<(), sqlx::Error> {
    let error =
        format!("its process fell silent {} times; see what kills it, then run it again", candidate.takeovers + 1);
    sqlx::query!(
        "UPDATE jobs.run SET status = 'failed', fence = fence + 1, lease_until = NULL, finished_at = clock_timestamp(),
                error = $2
          WHERE id = $1",
        candidate.id,
        &error
    )
    .execute(&mut *connection)
    .await?;
    incident::run_ended(connection, job, candidate.id, Some(&error)).await
}

/// How an attempt ended, and what becomes of its run.
#[derive(Debug)]
pub enum Ending {
    /// The work is done.
    Succeeded {
        /// What it came to.
        outcome: Value,
        /// Whether there was nothing to do: of such scheduled runs the newest alone is kept.
        quiet: bool,
    },
    /// The work failed for good.
    Failed(String),
    /// What a caller asked for cannot be done: the failure is reported to the caller, and to no operator.
    Refused(String),
    /// Somebody cancelled it.
    Cancelled,
    /// The attempt failed and another follows.
    Retry {
        /// Why it failed.
        error: String,
        /// The wait before the next attempt.
        wait: Duration,
    },
    /// It was too early, or the process had to stop; the attempt does not count.
    Postponed {
        /// Why.
        note: String,
        /// The wait before the next look.
        wait: Duration,
    },
}

/// Write how an attempt ended; false when the run was no longer ours, in which case nothing was written.
///
/// # Errors
/// [`EngineError::Database`].
pub async fn end(pool: &PgPool, lease: Lease, ending: &Ending) -> Result<bool, EngineError> {
    let (status, attempt, error, note, outcome, wait, uncounted) = match ending {
        Ending::Succeeded { outcome, .. } => ("succeeded", "succeeded", None, None, Some(outcome), None, 0),
        Ending::Failed(error) | Ending::Refused(error) => ("failed", "failed", Some(error), None, None, None, 0),
        Ending::Cancelled => ("cancelled", "cancelled", None, None, None, None, 0),
        Ending::Retry { error, wait } => ("waiting", "failed", Some(error), None, None, Some(*wait), 0),
        Ending::Postponed { note, wait } => ("waiting", "postponed", None, Some(note), None, Some(*wait), 1),
    };
    let mut tx = base::begin(pool).await?;
    let job: Option<String> = sqlx::query_scalar!(
        "UPDATE jobs.run
            SET status = $3, error = $4, note = $5, outcome = $6, attempt = attempt - $8, lease_until = NULL, owner = NULL,
                not_before = CASE WHEN $7::float8 IS NULL THEN not_before
                                  ELSE clock_timestamp() + make_interval(secs => $7) END,
                finished_at = CASE WHEN $7::float8 IS NULL THEN clock_timestamp() END
          WHERE id = $1 AND fence = $2 AND status = 'running'
          RETURNING job",
        lease.run,
        lease.token,
        status,
        error,
        note,
        outcome,
        wait.map(|wait| wait.as_secs_f64()),
        uncounted
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(job) = job else { return Ok(false) };
    end_attempt(&mut tx, lease, attempt, error.or(note).map(String::as_str)).await?;
    match ending {
        Ending::Succeeded { quiet, .. } => {
            incident::run_ended(&mut tx, &job, lease.run, None).await?;
            if *quiet {
                replace_quiet(&mut tx, &job, lease.run).await?;
            }
        }
        Ending::Failed(error) => incident::run_ended(&mut tx, &job, lease.run, Some(error)).await?,
        Ending::Refused(_) | Ending::Cancelled | Ending::Retry { .. } | Ending::Postponed { .. } => {}
    }
    tx.commit().await?;
    Ok(true)
}

/// Of the scheduled runs of a job that found nothing to do, this one alone is kept.
async fn replace_quiet(connection: &mut PgConnection, job: &str, run: i64) -> Result<(), sqlx::Error> {
    let marked = sqlx::query!("UPDATE jobs.run SET quiet = true WHERE id = $1 AND origin = 'schedule'", run);
    if marked.execute(&mut *connection).await?.rows_affected() == 1 {
        let older = sqlx::query!("DELETE FROM jobs.run WHERE job = $1 AND quiet AND id < $2", job, run);
        older.execute(connection).await?;
    }
    Ok(())
}

async fn end_attempt(
    connection: &mut PgConnection,
    lease: Lease,
    ending: &str,
    reason: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE jobs.attempt SET ended_at = clock_timestamp(), ending = $3, reason = $4 WHERE run_id = $1 AND fence = $2",
        lease.run,
        lease.token,
        ending,
        reason
    )
    .execute(connection)
    .await?;
    Ok(())
}
