//! The newest snapshot and the sources' status, asked at most a few times a second.
//!
//! A cached report would otherwise cost three statements per request. A look is used only while nothing else is known to
//! be committed than when it began; another process's commit shows within [`USABLE`], or as soon as a poll learns of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use lake::{Lake, snapshot};
use tokio::sync::watch;

use super::error::ReportError;
use crate::report::SourceFreshness;
use crate::report::language::compile::Report;
use crate::source::{SourceStatus, Sources};

/// How long what was read is taken for the present.
const FRESH: Duration = Duration::from_millis(250);
/// How long it serves the others while one looks anew, so that a crowd does not stand still four times a second.
const USABLE: Duration = Duration::from_millis(500);

/// What the lake was when asked.
#[derive(Debug)]
pub(crate) struct Now {
    pub(crate) snapshot: i64,
    pub(crate) sources: Vec<SourceStatus>,
}

impl Now {
    /// How fresh the sources of a report are.
    pub(crate) fn freshness(&self, report: &Report) -> Vec<SourceFreshness> {
        let (now, read) = (Utc::now(), self.sources.iter().filter(|status| report.reads_of(&status.datasets)));
        read.map(|status| SourceFreshness::of(status, report, now)).collect()
    }
}

/// One look at the newest snapshot and the sources' status. Whatever is asked of the newest snapshot has one answer as
/// long as [`Reports::present`](super::Reports::present) gives an equal one.
#[derive(Debug, Clone)]
pub struct Present(pub(super) Arc<Now>);

impl PartialEq for Present {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What tells a look at the present from the past: what was committed here, and how often the catalogue was read again.
type Version = (u64, u64);

#[derive(Debug)]
pub(crate) struct Clock {
    sources: Arc<Sources>,
    lake: Arc<Lake>,
    commits: watch::Receiver<u64>,
    reloads: AtomicU64,
    last: Mutex<Option<Look>>,
    /// Held by the one who looks. The others wait and share what was found: a crowd that comes when the last look has
    /// grown old would otherwise want a connection each.
    looking: tokio::sync::Mutex<()>,
}

/// One look into the database, and what came of it.
#[derive(Debug, Clone)]
struct Look {
    began: Instant,
    ended: Instant,
    version: Version,
    found: Result<Arc<Now>, ReportError>,
}

impl Clock {
    pub(crate) fn new(sources: Arc<Sources>, lake: Arc<Lake>, commits: watch::Receiver<u64>) -> Self {
        let (reloads, last, looking) = Default::default();
        Self { sources, lake, commits, reloads, last, looking }
    }

    /// The catalogue was read again: what was answered by the old one is the past.
    pub(crate) fn reloaded(&self) {
        self.reloads.fetch_add(1, Ordering::AcqRel);
    }

    fn version(&self) -> Version {
        (*self.commits.borrow(), self.reloads.load(Ordering::Acquire))
    }

    pub(crate) async fn now(&self) -> Result<Arc<Now>, ReportError> {
        let asked = Instant::now();
        let last = self.last(|look| look.began.elapsed() < USABLE);
        let is_fresh = last.as_ref().is_some_and(|look| look.began.elapsed() < FRESH);
        let _alone = match (last.and_then(|look| look.found.ok()), self.looking.try_lock()) {
            (Some(now), turn) if is_fresh || turn.is_err() => return Ok(now),
            (_, Ok(turn)) => turn,
            (_, Err(_)) => self.looking.lock().await,
        };
        // Also a failure is shared: waiters would else each wait for a database that is away, one after the other.
        if let Some(look) = self.last(|look| look.ended >= asked) {
            return look.found;
        }
        // Read before the database is asked: a commit in between leaves the answer marked as old.
        let (version, began) = (self.version(), Instant::now());
        let found = self.look().await.map(Arc::new);
        let look = Look { began, ended: Instant::now(), version, found: found.clone() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
        found
    }

    /// The last look, when nothing was committed here since and it is recent enough.
    fn last(&self, is_recent: impl FnOnce(&Look) -> bool) -> Option<Look> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|look| look.version == self.version() && is_recent(look)).cloned()
    }

    pub(crate) async fn look(&self) -> Result<Now, ReportError> {
        // The status first: the snapshot can only be fresher than it says.
        let sources = self.sources.status().await.map_err(Arc::new)?;
        Ok(Now { snapshot: snapshot::current(self.lake.db()).await?, sources })
    }
}
