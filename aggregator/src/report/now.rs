//! The newest snapshot and the sources' status, asked at most a few times a second.
//!
//! A cached report would otherwise cost three statements per request. Whoever commits in this
//! process says so, and the next answer looks again; another process's commit shows within [`FRESH`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::lake::snapshot;
use crate::source::{self, SourceStatus};
use crate::{Aggregator, Error};

/// How long what was read is taken for the present.
const FRESH: Duration = Duration::from_millis(250);

/// What the lake was when asked.
#[derive(Debug)]
pub(crate) struct Now {
    pub(crate) snapshot: i64,
    pub(crate) sources: Vec<SourceStatus>,
}

#[derive(Debug, Default)]
pub(crate) struct Clock {
    generation: AtomicU64,
    held: Mutex<Option<(Instant, u64, Arc<Now>)>>,
}

impl Clock {
    /// Something was committed: what is held is the past.
    pub(crate) fn moved_on(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) async fn now(&self, aggregator: &Aggregator) -> Result<Arc<Now>, Error> {
        // Read before the database is asked: a commit in between leaves the answer marked as old.
        let generation = self.generation.load(Ordering::Acquire);
        if let Some((at, of, now)) = &*self.held.lock().unwrap_or_else(PoisonError::into_inner)
            && *of == generation
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(now));
        }
        let at = Instant::now();
        // The status first: the snapshot can only be fresher than it says.
        let sources = source::status(aggregator).await?;
        let snapshot = snapshot::current(aggregator.db()).await?;
        let now = Arc::new(Now { snapshot, sources });
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, generation, Arc::clone(&now)));
        Ok(now)
    }
}
