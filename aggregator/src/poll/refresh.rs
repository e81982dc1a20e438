//! Polls for readers who want data no older than so much: one poll for all who ask at once.

use std::sync::Arc;
use std::time::Duration;

use base::AdvisoryLock;
use chrono::{DateTime, TimeDelta, Utc};
use moka::future::Cache;

use super::{PollError, Poller};
use crate::metric::{self, CacheRead, POLLS_SHARED};

/// A source whose horizon is held back is as old after a poll as before: it is not asked again for so long.
const REST: Duration = Duration::from_secs(1);
/// Sources times recent watermarks; one entry is a few bytes.
const CAPACITY: u64 = 1_000;

/// The source, and how far the lake was complete when the poll was asked for.
type Key = (String, Option<DateTime<Utc>>);

/// The polls under way for readers.
#[derive(Debug)]
pub(super) struct Shared(Cache<Key, DateTime<Utc>>);

impl Shared {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).time_to_live(REST).build())
    }
}

impl Poller {
    /// Have the lake hold what a source committed up to `max_age` ago, polling it if need be. Returns how far it is
    /// complete; whoever looks at the source's status from now on sees no less.
    ///
    /// Callers who ask at once share one poll, which goes on when they leave; a poll that runs already, here or in
    /// another replica, is waited for. The answer may be older than asked when the source itself is behind.
    ///
    /// # Errors
    /// As a poll; what was known before stays readable.
    pub async fn no_older(self: &Arc<Self>, source: &str, max_age: Duration) -> Result<DateTime<Utc>, PollError> {
        self.sources.get(source)?;
        let before = self.complete_through(source).await?;
        let oldest = Utc::now() - TimeDelta::from_std(max_age).unwrap_or(TimeDelta::MAX);
        if let Some(through) = before.filter(|it| *it >= oldest) {
            metric::cache(POLLS_SHARED, CacheRead::Hit);
            return Ok(through);
        }
        metric::cache(POLLS_SHARED, CacheRead::Load);
        let (poller, name) = (Arc::clone(self), source.to_owned());
        let task = tokio::spawn(async move {
            let polls = poller.shared.0.clone();
            polls.try_get_with((name.clone(), before), async { poller.in_turn(&name, before).await }).await
        });
        task.await?.map_err(PollError::Shared)
    }

    /// Poll, or let a poll that runs bring what it brings.
    async fn in_turn(&self, source: &str, before: Option<DateTime<Utc>>) -> Result<DateTime<Utc>, PollError> {
        loop {
            if let Some(outcome) = self.poll_unless_running(source).await? {
                return Ok(outcome.complete_through);
            }
            AdvisoryLock::wait(self.lake.db(), &super::lock_name(source)).await?.release().await;
            let now = self.complete_through(source).await?;
            if let Some(through) = now.filter(|_| now != before) {
                return Ok(through);
            }
        }
    }

    /// How far the database says that a source is complete, which those learn who keep an older look.
    async fn complete_through(&self, source: &str) -> Result<Option<DateTime<Utc>>, PollError> {
        let sql = "SELECT complete_through FROM sync.source WHERE name = $1";
        let found: Option<Option<DateTime<Utc>>> =
            sqlx::query_scalar(sql).bind(source).fetch_optional(self.lake.db()).await?;
        if let Some(through) = found.flatten() {
            self.commits.read(source, through);
        }
        Ok(found.flatten())
    }
}
