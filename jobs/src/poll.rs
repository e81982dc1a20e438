//! The job `poll`: ask one source for its changes and commit them as one lake snapshot.

use std::sync::Arc;

use aggregator::{Aggregator, poll::PollOutcome};
use futures_util::{FutureExt, future::BoxFuture};

use crate::engine::{Job, JobError, Run};
use crate::nothing::Nothing;

/// Polls one source.
pub struct Poll {
    /// The lake it is committed to.
    pub aggregator: Arc<Aggregator>,
    /// Which source.
    pub source: String,
}

/// The name of the declared job that polls a source.
#[must_use]
pub fn job_name(source: &str) -> String {
    format!("poll-{source}")
}

impl Job for Poll {
    const NAME: &'static str = "poll";
    type Arguments = Nothing;
    type Outcome = PollOutcome;

    async fn run(&self, _: Nothing, run: &Run) -> Result<PollOutcome, JobError> {
        let outcome = one(Arc::clone(&self.aggregator), self.source.clone()).await.map_err(anyhow::Error::new)?;
        if let Some(snapshot) = outcome.snapshot {
            run.log(format!(
                "snapshot {snapshot}: {} rows added, {} changed, {} removed, complete through {}",
                outcome.rows_added,
                outcome.rows_changed,
                outcome.rows_removed,
                outcome.complete_through.to_rfc3339()
            ))
            .await;
        }
        if outcome.rows_quarantined > 0 {
            run.log(format!("{} rows did not fit their declaration and are in quarantine", outcome.rows_quarantined))
                .await;
        }
        Ok(outcome)
    }
}

/// Poll one source. The future owns what it works with, so that it may go to any thread.
#[must_use]
pub fn one(aggregator: Arc<Aggregator>, source: String) -> BoxFuture<'static, Result<PollOutcome, aggregator::Error>> {
    async move { aggregator::poll::poll_source(&aggregator, &source).await }.boxed()
}
