//! Delivers the messages that a crash, a timeout or an outage has left in the outbox.
//!
//! One step claims the messages that are due and delivers them by the path that requests take; the loop around it only
//! waits. Any number of replicas may run it: a claim moves `due_at`, and a second delivery changes nothing.

use std::time::Duration;

use base::Turns;
use futures_util::{StreamExt, stream};
use tokio::time::MissedTickBehavior;

use super::message::{self, Claim};
use super::{Documents, Outbox, Outcome};
use crate::correlation;
use crate::error::ApiError;
use crate::metric;

/// Messages delivered at the same time; Inventory has other callers.
const CONCURRENCY: usize = 8;
/// Messages claimed by one step.
const BATCH: i64 = 100;
/// The longest that claiming, or the delivery of one message, may take: what the network has forgotten ends with it.
const LIMIT: Duration = Duration::from_secs(30);

/// What one step found and did.
#[derive(Default)]
struct Recovered {
    /// Documents whose message was due.
    due: usize,
    /// Of those, documents whose message is delivered.
    delivered: usize,
    /// Of those, documents that were pending too long and have been given up.
    given_up: usize,
}

impl<D: Documents> Outbox<D> {
    /// Delivers what is due every `interval`, for ever; a failing step is logged and the next one tries again.
    pub async fn run(&self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let turns = Turns::of("outbox", interval.max(LIMIT));
        loop {
            ticks.tick().await;
            turns.mark();
            match correlation::scope(correlation::fresh(), self.recover(&turns)).await {
                Ok(Recovered { due: 0, .. }) => {}
                Ok(Recovered { due, delivered, given_up }) => {
                    tracing::info!(due, delivered, given_up, "recovery step");
                }
                Err(error) => tracing::warn!(error = crate::telemetry::chain(&error), "recovery step failed"),
            }
        }
    }

    /// Claims the messages that are due and delivers them. One that fails, as that of a document of a newer version does,
    /// is logged and comes due again.
    async fn recover(&self, turns: &Turns) -> Result<Recovered, ApiError> {
        let claims = in_time(async { Ok(message::claim(&self.db, BATCH, self.limits.pending).await?) }).await?;
        let mut done = Recovered { due: claims.len(), ..Recovered::default() };
        let attempt = |claim: Claim| async move { (claim.document_id, in_time(self.resume(claim)).await) };
        let mut attempts = stream::iter(claims).map(attempt).buffer_unordered(CONCURRENCY);
        while let Some((document, attempted)) = attempts.next().await {
            turns.mark();
            match attempted {
                Ok((outcome, given_up)) => {
                    done.delivered += usize::from(outcome == Outcome::Delivered);
                    done.given_up += usize::from(given_up);
                }
                Err(error) => tracing::warn!(
                    document,
                    error = crate::telemetry::chain(&error),
                    "the message of a document cannot be delivered; it comes due again"
                ),
            }
        }
        Ok(done)
    }

    async fn resume(&self, claim: Claim) -> Result<(Outcome, bool), ApiError> {
        let id = D::Id::from(claim.document_id);
        // The last attempt comes before giving up: Inventory may be back and accept.
        let outcome = self.deliver(id).await?;
        if outcome == Outcome::NoAnswer && claim.too_long && self.give_up(id).await? {
            return Ok((self.deliver(id).await?, true));
        }
        Ok((outcome, false))
    }

    /// Refreshes the gauges of undelivered messages. Where the database does not answer they keep their last values.
    pub async fn observe(&self) {
        match message::backlog(&self.db, self.limits.stuck).await {
            Ok(it) => metric::undelivered(it.posts, it.reversals, it.stuck, it.oldest),
            Err(error) => tracing::debug!(%error, "cannot count the undelivered stock messages"),
        }
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    tokio::time::timeout(LIMIT, work).await.unwrap_or(Err(ApiError::Timeout { limit: LIMIT }))
}
