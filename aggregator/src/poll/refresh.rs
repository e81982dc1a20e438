//! Polls for readers who want data no older than so much: one poll for all who ask at once.

use std::sync::Arc;
use std::time::Duration;

use base::AdvisoryLock;
use chrono::{DateTime, TimeDelta, Utc};
use moka::future::Cache;

use super::poll_unless_running;
use crate::Aggregator;
use crate::error::Error;
use crate::metric::{self, CacheRead};

/// A source whose horizon is held back is as old after a poll as before: it is not asked again for so long.
const REST: Duration = Duration::from_secs(1);
/// Sources times recent watermarks; one entry is a few bytes.
const CAPACITY: u64 = 1_000;

/// The source, and how far the lake was complete when the poll was asked for.
type Key = (String, Option<DateTime<Utc>>);

/// The polls under way for readers.
#[derive(Debug)]
pub(crate) struct Shared(Cache<Key, DateTime<Utc>>);

impl Shared {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).time_to_live(REST).build())
    }
}

/// Have the lake hold what a source committed up to `max_age` ago, polling it if need be. Returns how far it is complete.
///
/// Callers who ask at once share one poll, which goes on when they leave; a poll that runs already, here or in another
/// replica, is waited for. The answer may be older than asked when the source itself is behind. Fails as a poll does;
/// what was known before stays readable.
pub async fn no_older(aggregator: &Arc<Aggregator>, source: &str, max_age: Duration) -> Result<DateTime<Utc>, Error> {
    aggregator.source(source)?;
    let held = complete_through(aggregator, source).await?;
    let oldest = Utc::now() - TimeDelta::from_std(max_age).unwrap_or(TimeDelta::MAX);
    if let Some(through) = held.filter(|it| *it >= oldest) {
        metric::cache(metric::POLLS_SHARED, CacheRead::Hit);
        return Ok(through);
    }
    metric::cache(metric::POLLS_SHARED, CacheRead::Load);
    let (polls, poller, name) = (aggregator.polls.0.clone(), Arc::clone(aggregator), source.to_owned());
    let task = tokio::spawn(async move {
        let key = (name.clone(), held);
        polls.try_get_with(key, in_turn(poller, name, held)).await
    });
    task.await?.map_err(Error::Shared)
}

/// Poll, or let a poll that runs bring what it brings.
async fn in_turn(
    aggregator: Arc<Aggregator>,
    source: String,
    held: Option<DateTime<Utc>>,
) -> Result<DateTime<Utc>, Error> {
    loop {
        if let Some(outcome) = poll_unless_running(&aggregator, &source).await? {
            return Ok(outcome.complete_through);
        }
        AdvisoryLock::wait(aggregator.db(), &super::lock_name(&source)).await?.release().await;
        let now = complete_through(&aggregator, &source).await?;
        if let Some(through) = now.filter(|_| now != held) {
            return Ok(through);
        }
    }
}

async fn complete_through(aggregator: &Aggregator, source: &str) -> Result<Option<DateTime<Utc>>, Error> {
    let sql = "SELECT complete_through FROM sync.source WHERE name = $1";
    let found: Option<Option<DateTime<Utc>>> =
        sqlx::query_scalar(sql).bind(source).fetch_optional(aggregator.db()).await?;
    Ok(found.flatten())
}
