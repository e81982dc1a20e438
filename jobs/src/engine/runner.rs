//! The one path by which a job runs: for the clock, the command line, HTTP and tests alike.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    EngineError, JobError, LeaseLost, Registry, Run, RunRow,
    claim::{self, Claim, Ending},
    history,
    job::{Done, Entry},
};
use crate::metric;

/// So many attempts an occurrence has at least while what fails is our own database, and not the job.
const DATABASE_AWAY_ATTEMPTS: i32 = 3;
/// How soon the next one follows: on connections of its own.
const DATABASE_AWAY_WAIT: Duration = Duration::from_secs(2);

/// How long a lease lasts without a heartbeat, and who we are.
#[derive(Debug, Clone)]
pub struct RunnerSettings {
    /// Lease length; heartbeats come three times as often. A silent replica's runs are taken over after it.
    pub lease: Duration,
    /// This replica's name in the rows; for people only, it decides nothing.
    pub replica: String,
}

/// Runs jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Runner {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    work: PgPool,
    registry: Registry,
    settings: RunnerSettings,
    stop: CancellationToken,
    wake: Notify,
}

impl Runner {
    /// A runner over the declared jobs. On `pool` it plans, claims and keeps its leases; on `work`, which may wait long for
    /// what the work itself has locked, runs write their logs and their ends.
    #[must_use]
    pub fn new(pool: PgPool, work: PgPool, registry: Registry, settings: RunnerSettings) -> Self {
        registry.names().iter().for_each(|job| metric::begin(job));
        let inner = Inner { pool, work, registry, settings, stop: CancellationToken::new(), wake: Notify::new() };
        Self { inner: Arc::new(inner) }
    }

    /// The database of the jobs.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.inner.pool
    }

    /// The declared jobs.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Cancelled when the process is stopping: attempts then end and their occurrences wait for the next process.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.inner.stop
    }

    pub(super) async fn woken(&self) {
        self.inner.wake.notified().await;
    }

    pub(super) fn wake(&self) {
        self.inner.wake.notify_one();
    }

    /// Put an occurrence on the list for whichever scheduler comes first; returns its row.
    ///
    /// # Errors
    /// [`EngineError::UnknownJob`], [`EngineError::Arguments`] or [`EngineError::Database`].
    pub async fn request(
        &self,
        job: &str,
        scheduled_for: DateTime<Utc>,
        arguments: &Value,
    ) -> Result<RunRow, EngineError> {
        let entry = self.inner.registry.get(job)?;
        (entry.check)(arguments).map_err(|reason| EngineError::Arguments { job: job.to_owned(), reason })?;
        let row = history::ensure(&self.inner.pool, job, scheduled_for, arguments).await?;
        self.wake();
        Ok(row)
    }

    /// Run one occurrence now, if it is ours to run, and return its row as it then is.
    ///
    /// Makes the row when there is none. When another replica has the occurrence, when it has ended, or when it waits
    /// for a later time, nothing is run and the row tells.
    ///
    /// # Errors
    /// [`EngineError::UnknownJob`] or [`EngineError::Database`]; a job's own failure is in the row.
    pub async fn run(&self, job: &str, scheduled_for: DateTime<Utc>) -> Result<RunRow, EngineError> {
        let entry = self.inner.registry.get(job)?.clone();
        let row = history::ensure(&self.inner.pool, job, scheduled_for, &serde_json::json!({})).await?;
        let Inner { pool, settings, .. } = &*self.inner;
        let claimed = claim::claim(pool, &entry.declaration, scheduled_for, &settings.replica, settings.lease).await?;
        if let Some(claim) = claimed {
            self.attempt(&entry, &row, claim).await?;
        }
        history::get(pool, row.id).await
    }

    /// Run an occurrence to its end: through waits and further attempts, for callers without a scheduler.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub async fn run_to_end(&self, job: &str, scheduled_for: DateTime<Utc>) -> Result<RunRow, EngineError> {
        loop {
            let row = self.run(job, scheduled_for).await?;
            if row.status.has_ended() || self.inner.stop.is_cancelled() {
                return Ok(row);
            }
            let wait = (row.not_before - Utc::now()).to_std().unwrap_or_default();
            let wait = wait.clamp(Duration::from_millis(200), Duration::from_secs(5));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.inner.stop.cancelled() => {}
            }
        }
    }

    async fn attempt(&self, entry: &Entry, row: &RunRow, claim: Claim) -> Result<(), EngineError> {
        let Inner { pool, work: writer, settings, .. } = &*self.inner;
        let Claim { lease, attempt, arguments, progress, now, begun_at, is_first } = claim;
        if is_first {
            metric::late(&row.job, (now - row.scheduled_for).to_std().unwrap_or_default());
        }
        let _running = metric::Running::of(&row.job);
        let run = Run {
            id: row.id,
            job: row.job.clone(),
            scheduled_for: row.scheduled_for,
            now,
            begun_at,
            attempt,
            lease,
            progress,
            pool: writer.clone(),
        };
        let started = tokio::time::Instant::now();
        // A task of its own, so that a panic is an outcome and a busy job cannot starve its heartbeat.
        let mut work = tokio::spawn((entry.run)(arguments, run));
        let ending = tokio::select! {
            finished = &mut work => Some(match finished {
                Ok(result) => ending_of(entry, row, attempt, result),
                Err(panic) => retry_or_fail(entry, attempt, format!("the job panicked: {panic}")),
            }),
            lost = lease.keep(pool, settings.lease) => match lost {
                LeaseLost::Cancelled { .. } => Some(Some(Ending::Cancelled)),
                LeaseLost::TakenOver { .. } | LeaseLost::Database(_) => None,
            },
            () = tokio::time::sleep(entry.declaration.timeout) => Some(retry_or_fail(
                entry,
                attempt,
                format!("took longer than its timeout of {}", base::format_span(entry.declaration.timeout)),
            )),
            () = self.inner.stop.cancelled() => Some(Some(Ending::Postponed {
                note: "the process that ran it was stopped".to_owned(),
                wait: Duration::ZERO,
            })),
        };
        work.abort();
        let ending = ending.flatten();
        let written = match &ending {
            Some(ending) => claim::end(writer, lease, ending).await?,
            None => false,
        };
        report(row, attempt, ending.as_ref().filter(|_| written), started.elapsed());
        Ok(())
    }
}

fn ending_of(entry: &Entry, row: &RunRow, attempt: i32, result: Result<Done, JobError>) -> Option<Ending> {
    match result {
        Ok(Done { outcome, quiet }) => Some(Ending::Succeeded { outcome, quiet }),
        Err(JobError::Failed(error)) => failed(entry, attempt, &error),
        // Whoever asked reads the run and can ask better. A scheduled run reports to the operator alone.
        Err(JobError::Refused(error)) if row.origin == "request" => Some(Ending::Refused(error)),
        Err(JobError::Refused(error)) => Some(Ending::Failed(error)),
        Err(JobError::NotYet { reason, again_in }) => Some(Ending::Postponed { note: reason, wait: again_in }),
        Err(JobError::Lease(LeaseLost::Cancelled { .. })) => Some(Ending::Cancelled),
        Err(JobError::Lease(LeaseLost::TakenOver { .. })) => None,
        Err(JobError::Lease(lost @ LeaseLost::Database(_))) => failed(entry, attempt, &lost.into()),
    }
}

fn failed(entry: &Entry, attempt: i32, error: &anyhow::Error) -> Option<Ending> {
    let text = format!("{error:#}");
    let is_away =
        error.chain().filter_map(|it| it.downcast_ref()).any(|error| base::Fault::of(error) == base::Fault::Away);
    if is_away && attempt < DATABASE_AWAY_ATTEMPTS {
        return Some(Ending::Retry { error: text, wait: DATABASE_AWAY_WAIT });
    }
    retry_or_fail(entry, attempt, text)
}

fn retry_or_fail(entry: &Entry, attempt: i32, error: String) -> Option<Ending> {
    let declaration = &entry.declaration;
    Some(if attempt < declaration.attempts {
        Ending::Retry { error, wait: declaration.wait_after(attempt) }
    } else {
        Ending::Failed(error)
    })
}

fn report(row: &RunRow, attempt: i32, ending: Option<&Ending>, took: Duration) {
    let (job, run) = (row.job.as_str(), row.id);
    let name = match ending {
        Some(Ending::Succeeded { .. }) => "succeeded",
        Some(Ending::Failed(_)) => "failed",
        Some(Ending::Refused(_)) => "refused",
        Some(Ending::Cancelled) => "cancelled",
        Some(Ending::Retry { .. }) => "retried",
        Some(Ending::Postponed { .. }) => "postponed",
        None => "lost",
    };
    metric::attempt(job, name, took);
    if matches!(ending, Some(Ending::Succeeded { .. } | Ending::Failed(_) | Ending::Refused(_) | Ending::Cancelled)) {
        metric::runs(job, name, 1);
    }
    match ending {
        Some(Ending::Failed(error) | Ending::Retry { error, .. }) => {
            tracing::error!(job, run, attempt, ending = name, "attempt failed: {error}");
        }
        _ => tracing::info!(job, run, attempt, ending = name, "attempt ended"),
    }
}
