//! The job `keep`: compute and keep the rows of views whose day has ended, the oldest change first.
//!
//! What a run keeps is as of the snapshot in which it began; what changes a day meanwhile makes it one for the next run.
//! Nothing waits for it: of a day that is not kept, or has changed since, every answer is computed from the datasets.

use aggregator::report::ReportError;
use anyhow::Context as _;
use lake::LakeError;
use serde::Serialize;

use crate::{
    context::Context,
    engine::{Job, JobError, Run},
    nothing::Nothing,
};

/// What the run came to.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Whether another replica is at it.
    pub busy: bool,
    /// Days whose rows were kept, of all views together.
    pub days: usize,
    /// Their rows.
    pub rows: usize,
}

/// Keeps rows of views.
pub struct Keep {
    context: Context,
}

impl Keep {
    /// The job over a context.
    #[must_use]
    pub fn new(context: &Context, _: Nothing) -> Self {
        Self { context: context.clone() }
    }
}

impl Job for Keep {
    const NAME: &'static str = "keep";
    type Arguments = Nothing;
    type Outcome = Outcome;

    async fn run(&self, _: Nothing, run: &Run) -> Result<Outcome, JobError> {
        let aggregator = &self.context.aggregator;
        let lock = match aggregator.lake().keeping().await {
            Ok(lock) => lock,
            Err(LakeError::Busy(_)) => return Ok(Outcome { busy: true, ..Outcome::default() }),
            Err(error) => return Err(anyhow::Error::new(error).into()),
        };
        let kept = self.keep_all(&lock, run).await;
        lock.release().await;
        kept
    }
}

impl Keep {
    async fn keep_all(&self, lock: &std::sync::Arc<base::AdvisoryLock>, run: &Run) -> Result<Outcome, JobError> {
        let reports = self.context.aggregator.reports();
        reports.tidy_rollups().await.context("the lake's views could not be brought in line with the catalogue")?;
        let as_of = reports.ended().await.context("the lake could not be read")?;
        let due = reports.to_keep(as_of).await.context("what is to be kept could not be found")?;
        let (mut outcome, mut failures) = (Outcome::default(), Vec::new());
        for (kept, due) in due {
            run.check().await?;
            match reports.keep(lock, as_of.0, &kept, &due.days).await {
                Ok(month) => {
                    outcome.days += month.days;
                    outcome.rows += month.rows;
                    let (view, days, rows) = (&month.view, month.days, month.rows);
                    run.log(format!("{view}, {}: {days} days, {rows} rows", month.first.format("%Y-%m"))).await;
                }
                // For the next run.
                Err(ReportError::Lake(error)) if matches!(*error, LakeError::Overtaken) => {}
                Err(error) => {
                    let (view, month) = (&kept.view.name, due.days.first().map(|day| day.format("%Y-%m").to_string()));
                    let (month, error) = (month.unwrap_or_default(), anyhow::Error::new(error));
                    failures.push(format!("{view}, {month}: {error:#}"));
                }
            }
        }
        if failures.is_empty() { Ok(outcome) } else { Err(anyhow::anyhow!("{}", failures.join("; ")).into()) }
    }
}
