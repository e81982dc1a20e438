//! What a job is: a name, its arguments, a typed outcome, and one `run`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::{FutureExt, future::BoxFuture};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::{PgPool, Postgres, Transaction};

use super::{Declaration, EngineError, Lease, LeaseLost, history};

/// Work that the engine can run.
pub trait Job: Send + Sync + 'static {
    /// The kind of job, as declared in configuration; never rename it.
    const NAME: &'static str;
    /// What a caller may ask of a run; scheduled occurrences get `{}`.
    type Arguments: DeserializeOwned + Send;
    /// What a finished run reports, in numbers; stored as JSON in `jobs.run.outcome`.
    type Outcome: Serialize + Send;

    /// Do the work of one occurrence. May be called again for the same occurrence after a failure or a crash, so it
    /// looks at the state that is, and writes in transactions of [`Run::begin`].
    fn run(
        &self,
        arguments: Self::Arguments,
        run: &Run,
    ) -> impl Future<Output = Result<Self::Outcome, JobError>> + Send;

    /// Whether there was nothing to do. Of scheduled runs that say so only the newest is kept: a job that looks every
    /// minute leaves a row where it found something.
    fn is_quiet(_outcome: &Self::Outcome) -> bool {
        false
    }
}

/// What a job has done.
pub(super) struct Done {
    pub(super) outcome: Value,
    /// See [`Job::is_quiet`].
    pub(super) quiet: bool,
}

/// Why an attempt did not finish its work.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It failed; another attempt may do better.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
    /// It failed, and no further attempt can do better: what was asked cannot be done. Told to whoever asked; an
    /// incident only where that was the clock.
    #[error("{0}")]
    Refused(String),
    /// It is too early. The occurrence waits and is tried again; this does not count as an attempt.
    #[error("waiting: {reason}")]
    NotYet {
        /// What it waits for.
        reason: String,
        /// How long until it is worth looking again.
        again_in: Duration,
    },
    /// Another replica took the run over, or somebody cancelled it.
    #[error(transparent)]
    Lease(#[from] LeaseLost),
}

/// One attempt at one occurrence, as its job sees it.
#[derive(Debug, Clone)]
pub struct Run {
    /// Number of the run's row.
    pub id: i64,
    /// The declared name of the job.
    pub job: String,
    /// The occurrence.
    pub scheduled_for: DateTime<Utc>,
    /// When this attempt began, by the database's clock.
    pub now: DateTime<Utc>,
    /// When the run's first attempt began, by the same clock.
    pub begun_at: DateTime<Utc>,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    pub(super) lease: Lease,
    pub(super) progress: Option<Value>,
    pub(super) pool: PgPool,
}

impl Run {
    /// The right to write, to be checked inside each writing transaction.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// A transaction that writes the run's work: nobody can take the run over before it ends.
    ///
    /// # Errors
    /// [`LeaseLost`].
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, LeaseLost> {
        let mut tx = base::begin(&self.pool).await?;
        self.lease.check(&mut tx).await?;
        Ok(tx)
    }

    /// How many steps earlier attempts at this occurrence had done, as reported by [`Run::progress`].
    #[must_use]
    pub fn done_before(&self) -> Option<u64> {
        self.progress.as_ref()?.get("done")?.as_u64()
    }

    /// Whether the run is still ours, asked outside of any writing transaction.
    ///
    /// # Errors
    /// [`LeaseLost`].
    pub async fn check(&self) -> Result<(), LeaseLost> {
        Ok(self.begin().await?.rollback().await?)
    }

    /// Keep a line with the run (bounded: see [`history::LOG_LINES`]) and in the process's log.
    pub async fn log(&self, line: impl Into<String> + Send) {
        let line = line.into();
        tracing::info!(job = %self.job, run = self.id, "{line}");
        if let Err(error) = history::log(&self.pool, self.id, &line).await {
            tracing::warn!(job = %self.job, run = self.id, %error, "a log line could not be kept with its run");
        }
    }

    /// Tell how far the work has come; shown while the run lasts.
    pub async fn progress(&self, done: usize, total: usize, at: &str) {
        let progress = serde_json::json!({ "done": done, "total": total, "at": at });
        if let Err(error) = history::progress(&self.pool, &self.lease, &progress).await {
            tracing::warn!(job = %self.job, run = self.id, %error, "progress could not be kept");
        }
    }
}

type Erased = Arc<dyn Fn(Value, Run) -> BoxFuture<'static, Result<Done, JobError>> + Send + Sync>;

/// A declared job with the code that runs it.
#[derive(Clone)]
pub struct Entry {
    /// What is configured.
    pub declaration: Declaration,
    /// The kind of job.
    pub kind: &'static str,
    pub(super) run: Erased,
    pub(super) check: fn(&Value) -> Result<(), String>,
}

/// The declared jobs, by name.
#[derive(Clone, Default)]
pub struct Registry {
    entries: BTreeMap<String, Entry>,
}

impl Registry {
    /// Add a job under a declaration.
    ///
    /// # Errors
    /// [`EngineError::Declaration`] when the name is already taken.
    pub fn add<J: Job>(&mut self, declaration: Declaration, job: J) -> Result<(), EngineError> {
        let job = Arc::new(job);
        let run: Erased = Arc::new(move |arguments, run| {
            let job = Arc::clone(&job);
            async move {
                let arguments = parse::<J>(&arguments).map_err(JobError::Refused)?;
                let outcome = job.run(arguments, &run).await?;
                let quiet = J::is_quiet(&outcome);
                let outcome = serde_json::to_value(outcome).map_err(|error| JobError::Failed(error.into()))?;
                Ok(Done { outcome, quiet })
            }
            .boxed()
        });
        let check = |arguments: &Value| parse::<J>(arguments).map(|_| ());
        let name = declaration.name.clone();
        if self.entries.contains_key(&name) {
            return Err(EngineError::Declaration { job: name, reason: "declared twice".to_owned() });
        }
        self.entries.insert(name, Entry { declaration, kind: J::NAME, run, check });
        Ok(())
    }

    /// The entry of a name.
    ///
    /// # Errors
    /// [`EngineError::UnknownJob`], listing what there is.
    pub fn get(&self, name: &str) -> Result<&Entry, EngineError> {
        self.entries.get(name).ok_or_else(|| EngineError::UnknownJob {
            name: name.to_owned(),
            known: self.entries.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }

    /// All entries, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// All names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }
}

/// serde would take an array of the fields for them: `[true]` for a word that an operator has to write out.
fn parse<J: Job>(arguments: &Value) -> Result<J::Arguments, String> {
    if !arguments.is_object() {
        return Err("arguments are an object, `{}` for none".to_owned());
    }
    <J::Arguments as serde::Deserialize>::deserialize(arguments).map_err(|error| error.to_string())
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}
