//! The job `poll`: ask one source for its changes and commit them as one lake snapshot.
//!
//! On request it also carries an operator's word: to read quarantined datasets, or all, again, and to let a full refresh
//! drop many rows.

use std::sync::Arc;

use aggregator::{
    Aggregator,
    poll::{Drops, PollError, PollOutcome},
};
use futures_util::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};

use crate::{
    engine::{Job, JobError, Run},
    nothing::Nothing,
};

/// Polls one source.
pub struct Poll {
    aggregator: Arc<Aggregator>,
    source: String,
}

impl Poll {
    /// The job for one source, committed to its lake.
    #[must_use]
    pub fn new(aggregator: &Arc<Aggregator>, source: &str, _: Nothing) -> Self {
        Self { aggregator: Arc::clone(aggregator), source: source.to_owned() }
    }
}

/// The name of the declared job that polls a source.
#[must_use]
pub fn job_name(source: &str) -> String {
    format!("poll-{source}")
}

/// What an operator may ask of a poll.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollArguments {
    /// Read the datasets that have rows in quarantine from their start, and commit what fits now.
    #[serde(default, skip_serializing_if = "is_false")]
    pub replay: bool,
    /// Let a full refresh drop more of the rows in the lake than the source's declaration allows.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_drops: bool,
    /// Read every dataset from its start: what was changed past the feed comes, too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub whole: bool,
}

/// Only what was asked for is written: a plain poll shows `{}`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(asked: &bool) -> bool {
    !asked
}

impl Job for Poll {
    const NAME: &'static str = "poll";
    type Arguments = PollArguments;
    type Outcome = PollOutcome;

    async fn run(&self, asked: PollArguments, run: &Run) -> Result<PollOutcome, JobError> {
        let polled = one(Arc::clone(&self.aggregator), self.source.clone(), asked).await;
        let outcome = polled.map_err(not_polled)?;
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
        if outcome.rewritten {
            run.log("the source's history is another one than before: everything was read again").await;
        }
        for held in &outcome.held {
            run.log(format!("{held}; the others of the source go on")).await;
        }
        if outcome.rows_quarantined > 0 {
            run.log(format!("{} rows did not fit their declaration and are in quarantine", outcome.rows_quarantined))
                .await;
        }
        Ok(outcome)
    }
}

/// A poll that was not sent, because of the breaker, has not failed yet: it waits until one call may try, which tells.
fn not_polled(error: PollError) -> JobError {
    let again_in = error.ask_again_in();
    let error = anyhow::Error::new(error);
    match again_in {
        Some(again_in) => JobError::NotYet { reason: format!("{error:#}"), again_in },
        None => JobError::Failed(error),
    }
}

/// Poll one source. The future owns what it works with, so that it may go to any thread.
#[must_use]
pub fn one(
    aggregator: Arc<Aggregator>,
    source: String,
    asked: PollArguments,
) -> BoxFuture<'static, Result<PollOutcome, PollError>> {
    let drops = if asked.allow_drops { Drops::Allowed } else { Drops::Guarded };
    async move {
        if asked.replay {
            aggregator.poller().ask_again(&source).await?;
        }
        if asked.whole {
            aggregator.poller().ask_whole(&source).await?;
        }
        aggregator.poller().poll(&source, drops).await
    }
    .boxed()
}
