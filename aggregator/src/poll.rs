//! A poll: all changes of a source, from its feed to one committed snapshot.
//!
//! Head, pages, merge, commit. Readers see the snapshot or nothing of the poll; a poll that was
//! interrupted anywhere is taken up by the next one behind the last page it staged.

mod commit;
mod commits;
mod error;
mod held;
mod merge;
pub mod quarantine;
mod read;
mod refresh;
pub mod rewritten;
mod stage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::AdvisoryLock;
use chrono::{DateTime, TimeDelta, Utc};
use lake::Lake;
use metrics::{counter, histogram};
use serde::Serialize;
use sqlx::PgPool;
use tokio::sync::watch;

use crate::metric;
use crate::source::{Source, Sources};
use commits::Commits;
pub use error::PollError;
pub use held::Held;

/// What a poll came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PollOutcome {
    /// The source.
    pub source: String,
    /// The newest snapshot that it committed; `None` when no row changed.
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
    /// Whether it went on with what an interrupted poll had staged, before it read what has come since.
    pub resumed: bool,
    /// Datasets of the source that stay as they were, because a full refresh would drop too many of their rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// Whether it read everything because the source's history is another one than before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rewritten: bool,
}

impl PollOutcome {
    /// What this and the `next` commit of one poll came to.
    fn and(self, next: Self) -> Self {
        Self {
            source: self.source,
            snapshot: next.snapshot.or(self.snapshot),
            complete_through: next.complete_through,
            rows_read: self.rows_read + next.rows_read,
            rows_added: self.rows_added + next.rows_added,
            rows_changed: self.rows_changed + next.rows_changed,
            rows_removed: self.rows_removed + next.rows_removed,
            rows_quarantined: self.rows_quarantined + next.rows_quarantined,
            pages: self.pages + next.pages,
            bytes: self.bytes + next.bytes,
            resumed: self.resumed || next.resumed,
            held: next.held,
            rewritten: self.rewritten || next.rewritten,
        }
    }
}

/// What a full refresh may do to rows that did not come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drops {
    /// Hold a dataset back of which more than the share would be dropped that the declaration allows.
    Guarded,
    /// Drop them: an operator has said so.
    Allowed,
}

/// Polls the declared sources into the lake.
#[derive(Debug)]
pub struct Poller {
    sources: Arc<Sources>,
    lake: Arc<Lake>,
    /// Polls under way for readers.
    shared: refresh::Shared,
    commits: Commits,
}

/// A poll under way: of one source, under its lock.
#[derive(Clone, Copy)]
struct Poll<'a> {
    lake: &'a Lake,
    source: &'a Arc<Source>,
    lock: &'a Arc<AdvisoryLock>,
    drops: Drops,
}

impl Poll<'_> {
    fn db(&self) -> &PgPool {
        self.lake.db()
    }

    fn name(&self) -> &str {
        &self.source.declaration.name
    }
}

impl Poller {
    pub(crate) fn new(sources: Arc<Sources>, lake: Arc<Lake>) -> Self {
        Self { sources, lake, shared: refresh::Shared::new(), commits: Commits::default() }
    }

    /// A version that rises with every commit that this process learns of.
    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.version()
    }

    /// Poll a source: read what is new and commit it as one snapshot, after what an interrupted poll had staged.
    ///
    /// Waits for another poll of the source, in this process or another, to end: what this one brings was asked for
    /// after that one began.
    ///
    /// # Errors
    /// A failure is written into `sync.poll` and the source's status before it is returned; what was staged stays and
    /// the next poll goes on from it.
    pub async fn poll(&self, source: &str, drops: Drops) -> Result<PollOutcome, PollError> {
        let source = self.sources.get(source)?;
        let lock = AdvisoryLock::wait(self.lake.db(), &lock_name(&source.declaration.name)).await?;
        self.poll_locked(source, lock, drops).await
    }

    /// [`Self::poll`], or `None` at once where another poll of the source runs.
    async fn poll_unless_running(&self, source: &str) -> Result<Option<PollOutcome>, PollError> {
        let source = self.sources.get(source)?;
        match AdvisoryLock::take(self.lake.db(), &lock_name(&source.declaration.name)).await? {
            Some(lock) => self.poll_locked(source, lock, Drops::Guarded).await.map(Some),
            None => Ok(None),
        }
    }

    async fn poll_locked(
        &self,
        source: &Arc<Source>,
        lock: Arc<AdvisoryLock>,
        drops: Drops,
    ) -> Result<PollOutcome, PollError> {
        let name = source.declaration.name.as_str();
        let (started, clock) = (Utc::now(), Instant::now());
        let result = Poll { lake: &self.lake, source, lock: &lock, drops }.read_and_commit().await;
        if let Err(error) = &result {
            note_failure(self.lake.db(), name, started, error).await;
        }
        lock.release().await;
        count(name, result.as_ref().ok(), clock.elapsed());
        self.commits.polled(name, result.as_ref().ok());
        result
    }

    /// Let go of what is known of polls that are older than this.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn forget(&self, keep: TimeDelta) -> Result<(), sqlx::Error> {
        let db = self.lake.db();
        let before: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp() - make_interval(secs => $1)")
            .bind(keep.as_seconds_f64())
            .fetch_one(db)
            .await?;
        sqlx::query!("DELETE FROM sync.poll WHERE finished_at < $1", before).execute(db).await?;
        sqlx::query!("DELETE FROM sync.rewritten WHERE found_at < $1", before).execute(db).await?;
        sqlx::query!("DELETE FROM sync.quarantine WHERE resolved_at < $1", before).execute(db).await?;
        Ok(())
    }
}

/// Name of the lock that the one poller of a source holds.
fn lock_name(source: &str) -> String {
    format!("poll {source}")
}

impl Poll<'_> {
    async fn read_and_commit(&self) -> Result<PollOutcome, PollError> {
        sqlx::query!(
            "INSERT INTO sync.source (name, last_attempt) VALUES ($1, now())
             ON CONFLICT (name) DO UPDATE SET last_attempt = excluded.last_attempt",
            self.name()
        )
        .execute(self.db())
        .await?;
        self.lake.refuse_inlined(self.source.declaration.datasets.iter().map(|it| it.name.as_str())).await?;
        let outcome = self.pass().await?;
        if !outcome.resumed {
            return Ok(outcome);
        }
        // What was staged is as old as the poll that was interrupted: whoever polls now wants what is new now.
        Ok(outcome.and(self.pass().await?))
    }

    /// Reads and commits once: what an interrupted poll had staged, read to its end, or else what is new.
    async fn pass(&self) -> Result<PollOutcome, PollError> {
        match self.read().await? {
            read::Read::Unchanged(moved) => self.commit_unchanged(&moved).await,
            read::Read::Staged(staged) => self.commit_staged(&staged).await,
        }
    }
}

/// A failure that cannot be written down is logged; the caller gets the first error in any case.
async fn note_failure(db: &PgPool, name: &str, started: DateTime<Utc>, error: &PollError) {
    let reason = base::error_chain(error);
    let note = async {
        let mut tx = base::begin(db).await?;
        sqlx::query!(
            "INSERT INTO sync.poll (source, started_at, finished_at, outcome, error)
             VALUES ($1, $2, greatest(now(), $2), 'failed', $3)",
            name,
            started,
            &reason
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("UPDATE sync.source SET failures = failures + 1, error = $2 WHERE name = $1", name, &reason)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    };
    if let Err(unwritten) = note.await {
        tracing::warn!(source = name, %unwritten, reason, "a failed poll could not be written down");
    }
}

/// A poll ended.
fn count(source: &str, outcome: Option<&PollOutcome>, took: Duration) {
    let word = match outcome {
        Some(PollOutcome { pages: 0, .. }) => "unchanged",
        Some(_) => "committed",
        None => "failed",
    };
    counter!(metric::POLLS, "source" => source.to_owned(), "outcome" => word).increment(1);
    histogram!(metric::POLL_SECONDS, "source" => source.to_owned()).record(took.as_secs_f64());
    let Some(outcome) = outcome else { return };
    for (word, rows) in [
        ("read", outcome.rows_read),
        ("added", outcome.rows_added),
        ("changed", outcome.rows_changed),
        ("removed", outcome.rows_removed),
        ("quarantined", outcome.rows_quarantined),
    ] {
        counter!(metric::POLL_ROWS, "source" => source.to_owned(), "what" => word).increment(rows.unsigned_abs());
    }
    counter!(metric::POLL_BYTES, "source" => source.to_owned()).increment(outcome.bytes.unsigned_abs());
}
