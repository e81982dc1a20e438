//! Pays what is still owed to Inventory after a crash, a timeout or an outage.
//!
//! One step claims what is due and settles it by the path that requests take; the loop around it only
//! waits. Any number of replicas may run it: a claim moves `due_at`, and settling twice changes nothing.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use kit::error::ApiError;

use super::settle::{self, Outcome};
use crate::App;

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
    /// Of those, sales that were pending too long and have been given up.
    pub given_up: usize,
}

#[derive(sqlx::FromRow)]
struct Claim {
    sale_id: i64,
    too_long: bool,
}

/// Runs [`step`] every `interval`, for ever; a failing step is logged and the next one tries again.
pub(crate) async fn run(app: App, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match kit::correlation::scope(kit::correlation::fresh(), step(&app)).await {
            Ok(Recovered { due: 0, .. }) => {}
            Ok(done) => {
                tracing::info!(due = done.due, settled = done.settled, given_up = done.given_up, "recovery step")
            }
            Err(error) => tracing::warn!(error = kit::telemetry::chain(&error), "recovery step failed"),
        }
    }
}

/// Claims what is due and settles it.
///
/// # Errors
/// The database's; what was claimed comes due again.
pub async fn step(app: &App) -> Result<Recovered, ApiError> {
    let claims: Vec<Claim> = sqlx::query_as(
        "UPDATE stock_tasks t SET attempts = attempts + 1, \
           due_at = now() + make_interval(secs => least(power(2, least(attempts, 6)), 60) * (0.5 + random())) \
         WHERE sale_id IN (SELECT sale_id FROM stock_tasks WHERE due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) \
         RETURNING sale_id, step = 'post' AND since < now() - make_interval(secs => $2) AS too_long",
    )
    .bind(BATCH)
    .bind(app.limits.pending.as_secs_f64())
    .fetch_all(&app.db)
    .await?;
    let due = claims.len();
    let outcomes: Vec<Result<Step, ApiError>> =
        stream::iter(claims).map(|claim| recover(app, claim)).buffer_unordered(CONCURRENCY).collect().await;
    let mut done = Recovered { due, ..Recovered::default() };
    for outcome in outcomes {
        let step = outcome?;
        done.settled += usize::from(step.settled);
        done.given_up += usize::from(step.given_up);
    }
    Ok(done)
}

struct Step {
    settled: bool,
    given_up: bool,
}

async fn recover(app: &App, claim: Claim) -> Result<Step, ApiError> {
    // The last question comes before giving up: Inventory may be back and say yes.
    let mut outcome = settle::settle(app, claim.sale_id).await?;
    let given_up = outcome == Outcome::Silent && claim.too_long && settle::give_up(app, claim.sale_id).await?;
    if given_up {
        outcome = settle::settle(app, claim.sale_id).await?;
    }
    Ok(Step { settled: outcome == Outcome::Settled, given_up })
}
