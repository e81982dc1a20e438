//! The workers that are kept: warm ones wait for jobs; one that has waited for long ends, unless it is the last.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::Workers;
use super::worker::{Ended, Worker};
use crate::metric;

/// How long a worker waits for its next job before it is one too many.
const IDLE: Duration = Duration::from_secs(60);
/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Bytes of resident memory above which a worker is not kept: what a large job took should not be held for ever.
const LARGE: u64 = 160 << 20;

#[derive(Debug)]
pub(super) struct Pool {
    workers: Workers,
    /// The most recently used last.
    idle: Mutex<Vec<(Worker, Instant)>>,
}

impl Pool {
    pub(super) fn open(workers: Workers) -> Arc<Self> {
        let pool = Arc::new(Self { workers, idle: Mutex::default() });
        // Detached: it ends when the pool does.
        tokio::spawn(tidy(Arc::downgrade(&pool)));
        pool
    }

    /// Bytes that a worker may take.
    pub(super) const fn memory(&self) -> u64 {
        self.workers.memory
    }

    /// A worker: the one that is warmest, else a new one.
    pub(super) async fn take(&self) -> Result<Worker, Ended> {
        while let Some(mut worker) = self.with_idle(Vec::pop).map(|(worker, _)| worker) {
            if worker.is_alive() {
                return Ok(worker);
            }
        }
        Worker::start(&self.workers).await
    }

    /// Keeps a worker that has done its job.
    pub(super) fn give_back(&self, worker: Worker) {
        if worker.resident() < LARGE {
            self.with_idle(|idle| idle.push((worker, Instant::now())));
        }
    }

    /// Starts a worker for the next job, unless one waits.
    pub(super) fn spare(self: &Arc<Self>) {
        if !self.with_idle(|idle| idle.is_empty()) {
            return;
        }
        let pool = Arc::clone(self);
        // Detached: a worker is ready, or is not, within seconds.
        tokio::spawn(async move {
            match Worker::start(&pool.workers).await {
                Ok(worker) => pool.give_back(worker),
                Err(ended) => tracing::warn!("no worker could be started: {ended:?}"),
            }
        });
    }

    fn with_idle<T>(&self, work: impl FnOnce(&mut Vec<(Worker, Instant)>) -> T) -> T {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut idle);
        metric::idle_workers(idle.len());
        done
    }
}

/// Ends workers that wait for long, all but the last one used.
async fn tidy(pool: Weak<Pool>) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        pool.with_idle(|idle| {
            let Some((last, used)) = idle.pop() else { return };
            idle.retain(|(_, used)| used.elapsed() < IDLE);
            idle.push((last, used));
        });
    }
}
