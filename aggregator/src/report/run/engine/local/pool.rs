//! The workers that are kept: warm ones wait for jobs; one that has waited for long ends, unless it is the last. Where one
//! does not come back, another is started before the next job asks for it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::worker::{Ended, Worker};
use super::{Times, Workers};
use crate::metric;

/// Bytes of resident memory above which a worker is not kept: what a large job took should not be held for ever.
const LARGE: u64 = 160 << 20;

#[derive(Debug)]
pub(super) struct Pool {
    workers: Workers,
    times: Times,
    /// The most recently used last.
    idle: Mutex<Vec<(Worker, Instant)>>,
    /// Somebody wants one to wait for the next job.
    wanted: Arc<Notify>,
}

impl Pool {
    pub(super) fn open(workers: Workers, times: Times) -> Arc<Self> {
        let pool = Arc::new(Self { workers, times, idle: Mutex::default(), wanted: Arc::default() });
        // Detached: it ends when the pool does.
        tokio::spawn(keep(Arc::downgrade(&pool), times.look, Arc::clone(&pool.wanted)));
        pool
    }

    /// Bytes that a worker may take.
    pub(super) const fn memory(&self) -> u64 {
        self.workers.memory
    }

    /// A worker: the one that is warmest, else a new one.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Borrowed, Ended> {
        let borrowed = |worker| Borrowed { worker, place: Place { pool: Arc::clone(self), filled: false } };
        while let Some(mut worker) = self.with_idle(Vec::pop).map(|(worker, _)| worker) {
            if worker.is_alive() {
                return Ok(borrowed(worker));
            }
        }
        Worker::start(&self.workers).await.map(borrowed).map_err(Ended::NotBegun)
    }

    /// Has a worker started for the next job, unless one waits.
    pub(super) fn spare(&self) {
        self.wanted.notify_one();
    }

    async fn start_spare(&self) {
        if !self.with_idle(|idle| idle.is_empty()) {
            return;
        }
        match Worker::start(&self.workers).await {
            Ok(worker) => self.with_idle(|idle| idle.push((worker, Instant::now()))),
            Err(why) => tracing::warn!(why, "no process could be started to compute the next report"),
        }
    }

    /// Ends workers that wait for long, all but the last one used.
    pub(super) fn thin(&self) {
        self.with_idle(|idle| {
            let Some((last, used)) = idle.pop() else { return };
            idle.retain(|(_, used)| used.elapsed() < self.times.idle);
            idle.push((last, used));
        });
    }

    /// The processes that wait, the most recently used last.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Vec<u32> {
        self.with_idle(|idle| idle.iter().filter_map(|(worker, _)| worker.id()).collect())
    }

    fn with_idle<T>(&self, work: impl FnOnce(&mut Vec<(Worker, Instant)>) -> T) -> T {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut idle);
        metric::idle_workers(idle.len());
        done
    }
}

/// Looks after the workers that wait, and starts one where it is wanted: one at a time.
async fn keep(pool: Weak<Pool>, look: Duration, wanted: Arc<Notify>) {
    let mut look = tokio::time::interval(look);
    loop {
        let is_wanted = tokio::select! {
            _ = look.tick() => false,
            () = wanted.notified() => true,
        };
        let Some(pool) = pool.upgrade() else { return };
        if is_wanted { pool.start_spare().await } else { pool.thin() }
    }
}

/// A worker at work. Another takes its place when it is dropped without being given back.
#[derive(Debug)]
pub(super) struct Borrowed {
    pub(super) worker: Worker,
    place: Place,
}

impl Borrowed {
    /// Keeps a worker that has done its job, unless it is large.
    pub(super) fn give_back(self) {
        let Self { worker, mut place } = self;
        if worker.resident() < LARGE {
            place.filled = true;
            place.pool.with_idle(|idle| idle.push((worker, Instant::now())));
        }
    }
}

#[derive(Debug)]
struct Place {
    pool: Arc<Pool>,
    filled: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.filled {
            self.pool.spare();
        }
    }
}
