//! Heads by source: what a source said of itself last, for whoever wants to know between two polls.
//!
//! A head is asked for at most once in a while and by one task at a time, with the last one's `ETag`; the load runs
//! detached, so that a caller who leaves stops nobody. While a source does not answer, the last head is served and
//! marked stale. The key holds the `ETag` that the lake has: a poll that commits leaves older answers behind it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::future::Cache;
use serde::Serialize;

use super::Source;
use super::client::{CallError, HeadAnswer};
use crate::metric::{self, CacheRead};

/// How long an answer, good or bad, is passed on before the source is asked again.
const FRESH: Duration = Duration::from_secs(10);
/// How long a caller waits for a source that is slow to answer.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Bytes of heads that are kept; one takes some hundred.
const CAPACITY: u64 = 256 * 1024;

/// A source's head, as it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    etag: String,
    /// The `ETag` that the lake had then, and whether the source had more.
    in_lake: Option<String>,
    pending: bool,
    as_of: DateTime<Utc>,
    asked_at: DateTime<Utc>,
}

/// What is known of a source without a poll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeadSeen {
    /// Whether the source has changes that the lake does not have yet.
    pub pending: bool,
    /// The instant through which that was true.
    pub as_of: DateTime<Utc>,
    /// When the source was asked.
    pub asked_at: DateTime<Utc>,
    /// Whether the source did not answer since, so that this is the last that is known.
    pub stale: bool,
}

/// The answers kept.
#[derive(Debug)]
pub(super) struct Heads {
    /// Answers that are passed on as they are, failures (`None`) among them.
    fresh: Cache<Key, Option<Arc<Known>>>,
    /// The last good answer of each source.
    last: Cache<String, Arc<Known>>,
}

/// The source, and the `ETag` of what the lake has of it.
type Key = (String, Option<String>);

impl Heads {
    pub(super) fn new() -> Self {
        let weigh = |it: &Arc<Known>| u32::try_from(size_of::<Known>() + it.etag.len()).unwrap_or(u32::MAX);
        Self {
            fresh: Cache::builder()
                .max_capacity(CAPACITY)
                .weigher(move |_, known: &Option<Arc<Known>>| known.as_ref().map_or(1, weigh))
                .time_to_live(FRESH)
                .build(),
            last: Cache::builder().max_capacity(CAPACITY).weigher(move |_, known| weigh(known)).build(),
        }
    }

    /// What a source says of itself, beside the `ETag` of what the lake has of it. `None` when it has not answered yet.
    pub(super) async fn see(&self, source: &Arc<Source>, in_lake: Option<String>) -> Option<HeadSeen> {
        let name = source.declaration.name.clone();
        let key = (name.clone(), in_lake.clone());
        let read = if self.fresh.contains_key(&key) { CacheRead::Hit } else { CacheRead::Load };
        let (fresh, load) = (self.fresh.clone(), load(Arc::clone(source), in_lake, self.last.clone()));
        let task = tokio::spawn(async move { fresh.get_with(key, load).await });
        let answer = tokio::time::timeout(PATIENCE, task).await.ok().and_then(Result::ok).flatten();
        let stale = answer.is_none();
        metric::cache(metric::HEADS, if stale { CacheRead::Stale } else { read });
        let known = match answer {
            Some(known) => known,
            None => self.last.get(&name).await?,
        };
        Some(HeadSeen { pending: known.pending, as_of: known.as_of, asked_at: known.asked_at, stale })
    }

    /// Bytes kept.
    pub(super) fn bytes(&self) -> u64 {
        self.fresh.weighted_size() + self.last.weighted_size()
    }
}

/// Ask, with the `ETag` known best: a source that has not changed since answers in a few bytes.
///
/// One state of a source may have several: each that it answered with stands for its own witness. So only the answer to a
/// question, and no comparison of ours, says whether there is more.
async fn load(source: Arc<Source>, in_lake: Option<String>, last: Cache<String, Arc<Known>>) -> Option<Arc<Known>> {
    let name = source.declaration.name.clone();
    let before = last.get(&name).await.filter(|it| it.in_lake == in_lake);
    let etag = before.as_ref().map(|it| it.etag.clone()).or_else(|| in_lake.clone());
    let asked_at = Utc::now();
    let known = match (source.client.head(etag.as_deref()).await, etag) {
        (Ok(HeadAnswer::Changed(head)), _) => {
            Known { etag: head.etag, in_lake, pending: true, as_of: head.as_of, asked_at }
        }
        (Ok(HeadAnswer::Unchanged(moved)), Some(etag)) => {
            Known { etag, in_lake, pending: before.is_some_and(|it| it.pending), as_of: moved.as_of, asked_at }
        }
        (Ok(HeadAnswer::Unchanged(_)), None) => return failed(&name, &CallError::unexpected_304()),
        (Err(error), _) => return failed(&name, &error),
    };
    let known = Arc::new(known);
    last.insert(name, Arc::clone(&known)).await;
    Some(known)
}

fn failed(source: &str, error: &CallError) -> Option<Arc<Known>> {
    tracing::debug!(source, %error, "the head could not be read; the last one is served");
    None
}
