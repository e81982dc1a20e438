//! The newest snapshot and the sources' status, asked at most a few times a second.
//!
//! A cached report would otherwise cost three statements per request. Whoever commits in this
//! process says so, and the next answer looks again; another process's commit shows within [`USABLE`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::lake::snapshot;
use crate::source::{self, SourceStatus};
use crate::{Aggregator, Error};

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

#[derive(Debug, Default)]
pub(crate) struct Clock {
    generation: AtomicU64,
    held: Mutex<Option<Look>>,
    /// Held by the one who looks. The others wait and share what was found: a crowd that comes when the last look has
    /// grown old would otherwise want a connection each.
    looking: tokio::sync::Mutex<()>,
}

/// One look into the database, and what came of it.
#[derive(Debug, Clone)]
struct Look {
    began: Instant,
    ended: Instant,
    generation: u64,
    found: Result<Arc<Now>, Arc<Error>>,
}

impl Clock {
    /// Something was committed: what is held is the past.
    pub(crate) fn moved_on(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) async fn now(&self, aggregator: &Aggregator) -> Result<Arc<Now>, Error> {
        let asked = Instant::now();
        let held = self.held(|look| look.began.elapsed() < USABLE);
        let is_fresh = held.as_ref().is_some_and(|look| look.began.elapsed() < FRESH);
        let _alone = match (held.and_then(|look| look.found.ok()), self.looking.try_lock()) {
            (Some(now), turn) if is_fresh || turn.is_err() => return Ok(now),
            (_, Ok(turn)) => turn,
            (_, Err(_)) => self.looking.lock().await,
        };
        // Also a failure is shared: waiters would else each wait for a database that is away, one after the other.
        if let Some(look) = self.held(|look| look.ended >= asked) {
            return look.found.map_err(Error::Shared);
        }
        // Read before the database is asked: a commit in between leaves the answer marked as old.
        let (generation, began) = (self.generation.load(Ordering::Acquire), Instant::now());
        let found = look(aggregator).await.map(Arc::new).map_err(Arc::new);
        let look = Look { began, ended: Instant::now(), generation, found: found.clone() };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
        found.map_err(Error::Shared)
    }

    /// The last look, when nothing was committed here since and it is recent enough.
    fn held(&self, is_recent: impl FnOnce(&Look) -> bool) -> Option<Look> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref()
            .filter(|look| look.generation == self.generation.load(Ordering::Acquire) && is_recent(look))
            .cloned()
    }
}

async fn look(aggregator: &Aggregator) -> Result<Now, Error> {
    // The status first: the snapshot can only be fresher than it says.
    let sources = source::status(aggregator).await?;
    Ok(Now { snapshot: snapshot::current(aggregator.db()).await?, sources })
}
