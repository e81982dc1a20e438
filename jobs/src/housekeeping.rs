//! The job `housekeeping`: let go of what nobody needs any more, a bounded amount per run.

use std::time::Duration;

use aggregator::{
    Error,
    lake::{self, Compacted, Expired, Swept},
};
use anyhow::Context as _;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{
    declared::Context,
    engine::{Job, JobError, Run},
    nightly::Span,
    nothing::Nothing,
};

/// The most runs, and the most export files, that one run of this job removes.
const MOST: i64 = 20_000;

/// What is configured, under `with`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HousekeepingSettings {
    /// How long a snapshot of the lake can be read.
    pub keep_snapshots: Span,
    /// How long a month must have been quiet before its files become one.
    pub quiet: Span,
    /// How long ended runs and their logs are kept.
    pub keep_runs: Span,
    /// How long export files of superseded revisions are kept.
    pub keep_superseded: Span,
}

impl Default for HousekeepingSettings {
    fn default() -> Self {
        let days = |days: u64| Span(Duration::from_secs(days * 86_400));
        Self { keep_snapshots: days(90), quiet: days(7), keep_runs: days(90), keep_superseded: days(35) }
    }
}

/// What the run came to. A part that another replica is busy with is null.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Month files made of day files.
    pub compacted: Option<Compacted>,
    /// Snapshots and files let go.
    pub expired: Option<Expired>,
    /// Orphaned files removed.
    pub swept: Option<Swept>,
    /// Runs forgotten.
    pub runs: u64,
    /// Superseded export files removed.
    pub export_files: u64,
}

/// Lets go.
pub struct Housekeeping {
    context: Context,
    settings: HousekeepingSettings,
}

impl Housekeeping {
    /// The job over a context.
    #[must_use]
    pub fn new(context: &Context, settings: HousekeepingSettings) -> Self {
        Self { context: context.clone(), settings }
    }
}

impl Job for Housekeeping {
    const NAME: &'static str = "housekeeping";
    type Arguments = Nothing;
    type Outcome = Outcome;

    async fn run(&self, _: Nothing, run: &Run) -> Result<Outcome, JobError> {
        let aggregator = &self.context.aggregator;
        let compacted = unless_busy(lake::compact(aggregator, delta(self.settings.quiet)).await)?;
        let expired = unless_busy(lake::expire(aggregator, delta(self.settings.keep_snapshots)).await)?;
        let swept = unless_busy(lake::sweep(aggregator).await)?;
        let runs = self.forget_runs(run).await?;
        let export_files = self.remove_superseded(run).await?;
        Ok(Outcome { compacted, expired, swept, runs, export_files })
    }
}

impl Housekeeping {
    async fn forget_runs(&self, run: &Run) -> Result<u64, JobError> {
        let mut tx = self.context.aggregator.db().begin().await.context("the jobs tables could not be written")?;
        run.lease().check(&mut tx).await?;
        let forgotten = sqlx::query(
            "DELETE FROM jobs.run WHERE id IN (
                 SELECT id FROM jobs.run WHERE finished_at < clock_timestamp() - make_interval(secs => $1)
                  ORDER BY finished_at LIMIT $2)",
        )
        .bind(self.settings.keep_runs.0.as_secs_f64())
        .bind(MOST)
        .execute(&mut *tx)
        .await
        .context("old runs could not be removed")?;
        tx.commit().await.context("old runs could not be removed")?;
        Ok(forgotten.rows_affected())
    }

    async fn remove_superseded(&self, run: &Run) -> Result<u64, JobError> {
        let mut tx = self.context.aggregator.db().begin().await.context("the exports tables could not be written")?;
        run.lease().check(&mut tx).await?;
        // The row goes first: a file without a row is harmless, a row without its file would be an error to a reader.
        let paths: Vec<String> = sqlx::query_scalar(
            "UPDATE exports.file f SET removed_at = clock_timestamp()
              WHERE f.id IN (
                  SELECT old.id FROM exports.file old
                   WHERE old.removed_at IS NULL
                     AND old.created_at < clock_timestamp() - make_interval(secs => $1)
                     AND EXISTS (SELECT FROM exports.file newer
                                  WHERE newer.business_day = old.business_day AND newer.report = old.report
                                    AND newer.format = old.format AND newer.revision > old.revision)
                   LIMIT $2)
              RETURNING path",
        )
        .bind(self.settings.keep_superseded.0.as_secs_f64())
        .bind(MOST)
        .fetch_all(&mut *tx)
        .await
        .context("superseded export files could not be found")?;
        tx.commit().await.context("the exports tables could not be written")?;
        for path in &paths {
            if let Err(error) = std::fs::remove_file(self.context.exports_dir.join(path)) {
                run.log(format!("{path} could not be removed: {error}")).await;
            }
        }
        Ok(paths.len() as u64)
    }
}

fn delta(span: Span) -> TimeDelta {
    TimeDelta::from_std(span.0).unwrap_or(TimeDelta::MAX)
}

/// Nothing where another replica is already at it.
fn unless_busy<T>(result: Result<T, Error>) -> Result<Option<T>, JobError> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(Error::Busy(_)) => Ok(None),
        Err(error) => Err(anyhow::Error::new(error).into()),
    }
}
