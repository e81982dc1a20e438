//! Pays what is still owed to Inventory after a crash, a timeout or an outage.
//!
//! One step claims what is due and settles it by the path that requests take; the loop around it only waits. Any
//! number of replicas may run it: a claim moves `due_at`, and settling twice changes nothing.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::MissedTickBehavior;

use super::task::{self, Claim};
use super::{Documents, Ledger, Outcome};
use crate::correlation;
use crate::error::ApiError;
use crate::metric;

/// Documents settled at the same time; Inventory has other callers.
const CONCURRENCY: usize = 8;
/// Documents claimed by one step.
const BATCH: i64 = 100;

/// What one step found and did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Documents that were due.
    pub due: usize,
    /// Of those, documents that owe nothing any more.
    pub settled: usize,
    /// Of those, documents that were pending too long and have been given up.
    pub given_up: usize,
}

impl<D: Documents> Ledger<D> {
    /// Runs [`Ledger::recover`] every `interval`, for ever; a failing step is logged and the next one tries again.
    pub async fn run(&self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match correlation::scope(correlation::fresh(), self.recover()).await {
                Ok(Recovered { due: 0, .. }) => {}
                Ok(done) => {
                    tracing::info!(due = done.due, settled = done.settled, given_up = done.given_up, "recovery step");
                }
                Err(error) => tracing::warn!(error = crate::telemetry::chain(&error), "recovery step failed"),
            }
        }
    }

    /// Claims what is due and settles it.
    ///
    /// # Errors
    /// The database's; what was claimed comes due again.
    pub async fn recover(&self) -> Result<Recovered, ApiError> {
        let claims = task::claim(&self.db, BATCH, self.limits.pending).await?;
        let mut done = Recovered { due: claims.len(), ..Recovered::default() };
        let mut outcomes = stream::iter(claims).map(|claim| self.resume(claim)).buffer_unordered(CONCURRENCY);
        while let Some(outcome) = outcomes.next().await {
            let (outcome, given_up) = outcome?;
            done.settled += usize::from(outcome == Outcome::Settled);
            done.given_up += usize::from(given_up);
        }
        Ok(done)
    }

    async fn resume(&self, claim: Claim) -> Result<(Outcome, bool), ApiError> {
        let id = D::Id::from(claim.document_id);
        // The last question comes before giving up: Inventory may be back and say yes.
        let outcome = self.settle(id).await?;
        if outcome == Outcome::Silent && claim.too_long && self.give_up(id).await? {
            return Ok((self.settle(id).await?, true));
        }
        Ok((outcome, false))
    }

    /// Refreshes the gauges of what is owed. Where the database cannot be asked they keep their last values.
    pub async fn observe(&self) {
        match task::standing(&self.db, self.limits.stuck).await {
            Ok(it) => metric::owed(it.posts, it.reversals, it.stuck, it.oldest),
            Err(error) => tracing::debug!(%error, "cannot count the stock tasks"),
        }
    }
}
