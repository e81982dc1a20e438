//! A poll: everything a source has to tell, from its feed to one committed snapshot.
//!
//! Head, pages, merge, commit. Readers see the snapshot or nothing of the poll; a poll that was
//! interrupted anywhere is taken up by the next one behind the last page it staged.

mod commit;
mod merge;
mod read;
mod refresh;

use std::sync::Arc;
use std::time::Instant;

use base::AdvisoryLock;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::Aggregator;
use crate::error::Error;
use crate::metric;
use crate::source::Source;
pub(crate) use refresh::Shared;
pub use refresh::no_older;

/// What a poll came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PollOutcome {
    /// The source.
    pub source: String,
    /// The snapshot it committed; `None` when no row changed.
    pub snapshot: Option<i64>,
    /// Every change the source committed before this instant is now in the lake.
    pub complete_through: DateTime<Utc>,
    /// Rows that pages held, repeats included.
    pub rows_read: i64,
    /// Rows that the lake did not have.
    pub rows_added: i64,
    /// Rows that differ from what the lake had.
    pub rows_changed: i64,
    /// Rows that left the lake.
    pub rows_removed: i64,
    /// Rows put into quarantine.
    pub rows_quarantined: i64,
    /// Pages read.
    pub pages: i64,
    /// Bytes of page bodies.
    pub bytes: i64,
    /// Whether it went on with what an interrupted poll had staged.
    pub resumed: bool,
}

/// What a whole re-read may do to rows that did not come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drops {
    /// Refuse to drop more than the share that the declaration allows.
    Guarded,
    /// Drop them: an operator has said so.
    Allowed,
}

/// Poll a source: read what is new and commit it as one snapshot.
///
/// Waits for another poll of the source, in this process or another, to end: what this one brings was asked for
/// after that one began. A failure is written into `sync.poll` and the source's status before it is returned; what
/// was staged stays and the next poll goes on from it.
pub async fn poll_source(aggregator: &Aggregator, source: &str) -> Result<PollOutcome, Error> {
    poll_with(aggregator, source, Drops::Guarded).await
}

/// [`poll_source`], with a word on what a whole re-read may drop.
pub async fn poll_with(aggregator: &Aggregator, source: &str, drops: Drops) -> Result<PollOutcome, Error> {
    let source = aggregator.source(source)?;
    let lock = AdvisoryLock::wait(aggregator.db(), &lock_name(&source.declaration.name)).await?;
    poll_locked(aggregator, source, lock, drops).await
}

/// [`poll_source`], or `None` at once where another poll of the source runs.
async fn poll_unless_running(aggregator: &Aggregator, source: &str) -> Result<Option<PollOutcome>, Error> {
    let source = aggregator.source(source)?;
    match AdvisoryLock::take(aggregator.db(), &lock_name(&source.declaration.name)).await? {
        Some(lock) => poll_locked(aggregator, source, lock, Drops::Guarded).await.map(Some),
        None => Ok(None),
    }
}

async fn poll_locked(
    aggregator: &Aggregator,
    source: &Arc<Source>,
    lock: Arc<AdvisoryLock>,
    drops: Drops,
) -> Result<PollOutcome, Error> {
    let name = source.declaration.name.as_str();
    let (started, clock) = (Utc::now(), Instant::now());
    let result = read_and_commit(aggregator, source, &lock, drops).await;
    if let Err(error) = &result {
        note_failure(aggregator, name, started, error).await;
    }
    lock.release().await;
    metric::poll(name, result.as_ref().ok(), clock.elapsed());
    crate::report::moved_on(aggregator);
    result
}

/// Name of the lock that the one poller of a source holds.
fn lock_name(source: &str) -> String {
    format!("poll {source}")
}

async fn read_and_commit(
    aggregator: &Aggregator,
    source: &Arc<Source>,
    lock: &Arc<AdvisoryLock>,
    drops: Drops,
) -> Result<PollOutcome, Error> {
    let name = source.declaration.name.as_str();
    let sql = "INSERT INTO sync.source (name, last_attempt) VALUES ($1, now())
               ON CONFLICT (name) DO UPDATE SET last_attempt = excluded.last_attempt";
    sqlx::query(sql).bind(name).execute(aggregator.db()).await?;
    match read::read(aggregator, source, lock).await? {
        read::Read::Unchanged(moved) => commit::unchanged(aggregator, source, &moved).await,
        read::Read::Staged(staged) => commit::staged(aggregator, source, lock, &staged, drops).await,
    }
}

/// A failure that cannot be written down is logged; the caller gets the first error in any case.
async fn note_failure(aggregator: &Aggregator, name: &str, started: DateTime<Utc>, error: &Error) {
    let reason = base::error_chain(error);
    let note = async {
        let mut tx = base::begin(aggregator.db()).await?;
        let sql = "INSERT INTO sync.poll (source, started_at, finished_at, outcome, error)
                   VALUES ($1, $2, greatest(now(), $2), 'failed', $3)";
        sqlx::query(sql).bind(name).bind(started).bind(&reason).execute(&mut *tx).await?;
        let sql = "UPDATE sync.source SET failures = failures + 1, error = $2 WHERE name = $1";
        sqlx::query(sql).bind(name).bind(&reason).execute(&mut *tx).await?;
        tx.commit().await
    };
    if let Err(unwritten) = note.await {
        tracing::warn!(source = name, %unwritten, reason, "a failed poll could not be written down");
    }
}
