//! The job `housekeeping`: let go of what nobody needs any more, a bounded amount per run.

use std::{collections::BTreeSet, io, path::Path, time::Duration};

use anyhow::Context as _;
use base::Span;
use chrono::{NaiveDate, TimeDelta};
use lake::{Compacted, Examined, Expired, LakeError, Swept};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, postgres::PgArguments, query::Query};

use crate::{
    clocks,
    context::Context,
    engine::{Job, JobError, Run},
    export_pack,
    nothing::Nothing,
};

/// The most of each kind that one run of this job removes.
const MOST: i64 = 20_000;

/// Runs in which every file of the lake is read whole once.
const TURNS: i64 = 30;

/// What is configured, under `with`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HousekeepingSettings {
    /// How long a snapshot of the lake can be read.
    pub keep_snapshots: Span,
    /// How long a month must have been quiet before its files become one.
    pub quiet: Span,
    /// How long ended runs and their logs, incidents that are over, deliveries that were made and what is known of export
    /// files that have gone are kept.
    pub keep_runs: Span,
    /// How long export files of superseded revisions are kept.
    pub keep_superseded: Span,
    /// How long a built download is kept after its last use.
    pub keep_spool: Span,
}

impl Default for HousekeepingSettings {
    fn default() -> Self {
        Self {
            keep_snapshots: Span::days(90),
            quiet: Span::days(7),
            keep_runs: Span::days(90),
            keep_superseded: Span::days(35),
            keep_spool: Span::days(1),
        }
    }
}

/// What the run came to. A part that another replica is busy with is null.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Files of the lake held against what was written.
    pub examined: Examined,
    /// Month files made of day files.
    pub compacted: Option<Compacted>,
    /// Snapshots and files let go.
    pub expired: Option<Expired>,
    /// Orphaned files removed.
    pub swept: Option<Swept>,
    /// Runs forgotten.
    pub runs: u64,
    /// Incidents and deliveries forgotten.
    pub messages: u64,
    /// Superseded export files removed.
    pub export_files: u64,
    /// Folders of dead export attempts removed.
    pub attempt_folders: u64,
    /// Downloads removed from the spool.
    pub spool_files: u64,
}

/// How soon it is asked again whether the clocks agree.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

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
        if let Some(reason) = clocks::differ(aggregator, run.now).await? {
            return Err(JobError::NotYet { reason: format!("nothing expires: {reason}"), again_in: LOOK_AGAIN });
        }
        let examined =
            aggregator.lake().examine_share(TURNS).await.context("the lake's files could not be examined")?;
        let compacted = unless_busy(aggregator.lake().compact(delta(self.settings.quiet)).await)?;
        let expired = unless_busy(aggregator.expire(delta(self.settings.keep_snapshots)).await)?;
        let swept = unless_busy(aggregator.lake().sweep().await)?;
        let keep = self.settings.keep_runs;
        let runs = self.forget(run, old_runs(keep)).await?;
        let messages = self.forget(run, old_incidents(keep)).await? + self.forget(run, old_deliveries(keep)).await?;
        let export_files = self.remove_superseded(run).await?;
        self.forget(run, old_files(keep)).await?;
        let attempt_folders = export_pack::remove_abandoned(&self.context.exports_dir, aggregator.db()).await?;
        let (spool, keep) = (self.context.spool_dir.clone(), self.settings.keep_spool.0);
        let spool_files = tokio::task::spawn_blocking(move || clear_spool(&spool, keep));
        let spool_files = spool_files.await.context("clearing the spool was stopped")??;
        Ok(Outcome { examined, compacted, expired, swept, runs, messages, export_files, attempt_folders, spool_files })
    }
}

/// A statement that lets go of old rows.
type Forget = Query<'static, Postgres, PgArguments>;

fn old_runs(keep: Span) -> Forget {
    sqlx::query!(
        "DELETE FROM jobs.run WHERE id IN (
             SELECT id FROM jobs.run WHERE finished_at < clock_timestamp() - make_interval(secs => $1)
              ORDER BY finished_at LIMIT $2)",
        keep.0.as_secs_f64(),
        MOST
    )
}

fn old_incidents(keep: Span) -> Forget {
    sqlx::query!(
        "DELETE FROM jobs.incident WHERE id IN (
             SELECT id FROM jobs.incident WHERE closed_at < clock_timestamp() - make_interval(secs => $1)
              ORDER BY closed_at LIMIT $2)",
        keep.0.as_secs_f64(),
        MOST
    )
}

fn old_deliveries(keep: Span) -> Forget {
    sqlx::query!(
        "DELETE FROM exports.delivery WHERE id IN (
             SELECT id FROM exports.delivery
              WHERE COALESCE(delivered_at, given_up_at) < clock_timestamp() - make_interval(secs => $1)
              ORDER BY id LIMIT $2)",
        keep.0.as_secs_f64(),
        MOST
    )
}

/// Files that have gone: a later revision of theirs stays.
fn old_files(keep: Span) -> Forget {
    sqlx::query!(
        "DELETE FROM exports.file WHERE id IN (
             SELECT id FROM exports.file WHERE cleared_at < clock_timestamp() - make_interval(secs => $1)
              ORDER BY id LIMIT $2)",
        keep.0.as_secs_f64(),
        MOST
    )
}

impl Housekeeping {
    async fn forget(&self, run: &Run, old: Forget) -> Result<u64, JobError> {
        let mut tx = run.begin().await?;
        let forgotten = old.execute(&mut *tx).await.context("old rows could not be removed")?;
        tx.commit().await.context("old rows could not be removed")?;
        Ok(forgotten.rows_affected())
    }

    /// A file is taken out of the offer first, then from its day's manifest, then from the disk: whoever reads one of
    /// them finds what the next names. A run that dies in between is made up for by the next.
    async fn remove_superseded(&self, run: &Run) -> Result<u64, JobError> {
        let db = self.context.aggregator.db();
        let mut tx = run.begin().await?;
        sqlx::query!(
            "UPDATE exports.file f SET removed_at = clock_timestamp()
              WHERE f.id IN (
                  SELECT old.id FROM exports.file old
                   WHERE old.removed_at IS NULL
                     AND old.created_at < clock_timestamp() - make_interval(secs => $1)
                     AND EXISTS (SELECT FROM exports.file newer
                                  WHERE newer.business_day = old.business_day AND newer.report = old.report
                                    AND newer.format = old.format AND newer.revision > old.revision)
                   LIMIT $2)",
            self.settings.keep_superseded.0.as_secs_f64(),
            MOST
        )
        .execute(&mut *tx)
        .await
        .context("superseded export files could not be found")?;
        tx.commit().await.context("the exports tables could not be written")?;

        let leaving: Vec<(i64, NaiveDate, String)> = sqlx::query_as(
            "SELECT id, business_day, path FROM exports.file WHERE removed_at IS NOT NULL AND cleared_at IS NULL",
        )
        .fetch_all(db)
        .await
        .context("the exports tables could not be read")?;
        for day in leaving.iter().map(|(_, day, _)| *day).collect::<BTreeSet<_>>() {
            export_pack::rewrite(&self.context, run, day).await?;
        }
        let mut cleared = Vec::new();
        for (id, _, path) in leaving {
            match std::fs::remove_file(self.context.exports_dir.join(&path)) {
                Ok(()) => cleared.push(id),
                Err(error) if error.kind() == io::ErrorKind::NotFound => cleared.push(id),
                Err(error) => run.log(format!("{path} could not be removed: {error}")).await,
            }
        }
        let mut tx = run.begin().await?;
        sqlx::query!("UPDATE exports.file SET cleared_at = clock_timestamp() WHERE id = ANY($1)", &cleared)
            .execute(&mut *tx)
            .await
            .context("the exports tables could not be written")?;
        tx.commit().await.context("the exports tables could not be written")?;
        Ok(cleared.len() as u64)
    }
}

/// Remove downloads that nobody has asked for lately; returns how many went. A reader that still holds one open reads on.
fn clear_spool(folder: &Path, keep: Duration) -> anyhow::Result<u64> {
    let mut removed = 0;
    for entry in std::fs::read_dir(folder).context("the spool folder cannot be read")? {
        let entry = entry.context("the spool folder cannot be read")?;
        // A file's time is that of its last use.
        let unused = entry.metadata().and_then(|it| it.modified()).map(|at| at.elapsed().unwrap_or_default());
        let path = entry.path();
        if unused.is_ok_and(|unused| unused > keep) && path.is_file() && std::fs::remove_file(&path).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

fn delta(span: Span) -> TimeDelta {
    TimeDelta::from_std(span.0).unwrap_or(TimeDelta::MAX)
}

/// Nothing where another replica is already at it.
fn unless_busy<T>(result: Result<T, LakeError>) -> Result<Option<T>, JobError> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(LakeError::Busy(_)) => Ok(None),
        Err(error) => Err(anyhow::Error::new(error).into()),
    }
}
