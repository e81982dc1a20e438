//! What is wrong, and since when: one row per kind and subject while it lasts, whoever finds it and however often.
//!
//! Its notification is written in the same transaction (a transactional outbox) and sent later: see the job `watch`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use super::EngineError;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Kind {
    /// A run failed for good; over when a later one of the job succeeds.
    RunFailed,
    /// A source is older than its limit.
    SourceStale,
    /// What was sold and what was moved differ by more than the limit.
    ReconciliationDrift,
    /// A source has rows that do not fit their declaration.
    Quarantine,
    /// The clocks of a source, of the database and of this process differ by more than is tolerated.
    Clock,
    /// Rows of a source came too late for what is published to be published again by itself.
    Outdated,
    /// Files of a dataset are missing, or not as they were written.
    DamagedFile,
    /// A source computes local time by other zone data than this process.
    ZoneData,
    /// A loop of a replica does not turn any more.
    LoopStopped,
    /// The folder of the user's reports and views has gone, and what was last read of it goes on.
    CatalogueLost,
    /// A dataset stays as it was, because a full refresh would drop too many of its rows.
    DatasetHeld,
    /// A source's history is another one than before; everything was read again.
    HistoryRewritten,
}

impl Kind {
    /// As it is written in rows and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RunFailed => "run_failed",
            Self::SourceStale => "source_stale",
            Self::ReconciliationDrift => "reconciliation_drift",
            Self::Quarantine => "quarantine",
            Self::Clock => "clock",
            Self::Outdated => "outdated",
            Self::DamagedFile => "damaged_file",
            Self::ZoneData => "zone_data",
            Self::LoopStopped => "loop_stopped",
            Self::CatalogueLost => "catalogue_lost",
            Self::DatasetHeld => "dataset_held",
            Self::HistoryRewritten => "history_rewritten",
        }
    }
}

/// Something wrong, as it was found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// The job, source or report that it is about.
    pub subject: String,
    /// One sentence for a person.
    pub summary: String,
    /// The same in numbers.
    pub facts: Value,
}

/// One incident.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct Incident {
    /// Its number.
    pub id: i64,
    /// What is wrong.
    pub kind: Kind,
    /// The job, source or report that it is about.
    pub subject: String,
    /// One sentence for a person, as of its beginning.
    pub summary: String,
    /// The same in numbers.
    pub facts: Value,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// Until when; none while it lasts.
    pub closed_at: Option<DateTime<Utc>>,
}

/// Begin an incident; false when it is already under way, in which case nothing is written.
pub(crate) async fn open(connection: &mut PgConnection, finding: &Finding) -> Result<bool, sqlx::Error> {
    let opened = sqlx::query!(
        "WITH opened AS (
             INSERT INTO jobs.incident (kind, subject, summary, facts) VALUES ($1, $2, $3, $4)
             ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO NOTHING
             RETURNING id)
         INSERT INTO jobs.notice (incident_id, event) SELECT id, 'opened' FROM opened",
        finding.kind as _,
        &finding.subject,
        &finding.summary,
        &finding.facts
    )
    .execute(connection)
    .await?;
    Ok(opened.rows_affected() == 1)
}

/// End the incidents of a kind but for those of some subjects; returns how many ended.
pub(crate) async fn close_others(
    connection: &mut PgConnection,
    kind: Kind,
    lasting: &[String],
) -> Result<u64, sqlx::Error> {
    let closed = sqlx::query!(
        "WITH closed AS (
             UPDATE jobs.incident SET closed_at = clock_timestamp()
              WHERE kind = $1 AND closed_at IS NULL AND subject <> ALL($2)
              RETURNING id)
         INSERT INTO jobs.notice (incident_id, event) SELECT id, 'closed' FROM closed",
        kind as _,
        lasting
    )
    .execute(connection)
    .await?;
    Ok(closed.rows_affected())
}

/// Say that something is wrong still: begin its incident, or confirm the one that is under way.
///
/// # Errors
/// The database failed.
pub async fn confirm(connection: &mut PgConnection, finding: &Finding) -> Result<(), sqlx::Error> {
    let confirmed = sqlx::query!(
        "UPDATE jobs.incident SET facts = $3 || jsonb_build_object('seen_at', clock_timestamp())
          WHERE kind = $1 AND subject = $2 AND closed_at IS NULL",
        finding.kind as _,
        &finding.subject,
        &finding.facts
    )
    .execute(&mut *connection)
    .await?;
    if confirmed.rows_affected() == 0 {
        open(connection, finding).await?;
    }
    Ok(())
}

/// End the incidents of a kind that nobody has confirmed lately, as whoever does so has ended or is well again; returns how
/// many ended.
pub(crate) async fn close_unconfirmed(
    connection: &mut PgConnection,
    kind: Kind,
    since: Duration,
) -> Result<u64, sqlx::Error> {
    let closed = sqlx::query!(
        "WITH closed AS (
             UPDATE jobs.incident SET closed_at = clock_timestamp()
              WHERE kind = $1 AND closed_at IS NULL
                AND COALESCE((facts ->> 'seen_at')::timestamptz, opened_at)
                    < clock_timestamp() - make_interval(secs => $2)
              RETURNING id)
         INSERT INTO jobs.notice (incident_id, event) SELECT id, 'closed' FROM closed",
        kind as _,
        since.as_secs_f64()
    )
    .execute(connection)
    .await?;
    Ok(closed.rows_affected())
}

/// A run ended for good: its failure is an incident of its job, its success the end of one.
pub(super) async fn run_ended(
    connection: &mut PgConnection,
    job: &str,
    run: i64,
    failure: Option<&str>,
) -> Result<(), sqlx::Error> {
    let Some(error) = failure else {
        sqlx::query!(
            "WITH closed AS (
                 UPDATE jobs.incident SET closed_at = clock_timestamp()
                  WHERE kind = 'run_failed' AND subject = $1 AND closed_at IS NULL
                  RETURNING id)
             INSERT INTO jobs.notice (incident_id, event) SELECT id, 'closed' FROM closed",
            job
        )
        .execute(connection)
        .await?;
        return Ok(());
    };
    let finding = Finding {
        kind: Kind::RunFailed,
        subject: job.to_owned(),
        summary: format!("run {run} of job {job} failed for good: {error}"),
        facts: serde_json::json!({ "run": run, "error": error }),
    };
    open(connection, &finding).await.map(|_| ())
}

/// Incidents, the newest first: those before a number when given, only those that last when asked.
///
/// # Errors
/// [`EngineError::Database`].
pub async fn page(
    pool: &PgPool,
    only_open: bool,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Incident>, EngineError> {
    let rows = sqlx::query_as!(
        Incident,
        r#"SELECT id, kind AS "kind: _", subject, summary, facts, opened_at, closed_at FROM jobs.incident
          WHERE ($1::bigint IS NULL OR id < $1) AND (closed_at IS NULL OR NOT $2)
          ORDER BY id DESC LIMIT $3"#,
        before,
        only_open,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}
