//! Loops that run as long as the process mark their turns, so that one that has stopped is seen.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After so many of its intervals without a turn a loop has stopped.
const PATIENCE: u32 = 3;

static LOOPS: Mutex<Vec<Arc<Loop>>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Loop {
    name: String,
    interval: Duration,
    turned: Mutex<Instant>,
}

/// The marks of one loop. It is watched until this is dropped.
#[derive(Debug)]
pub struct Turns(Arc<Loop>);

/// A loop that has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The loop.
    pub name: String,
    /// Since when it has not turned.
    pub silence: Duration,
}

impl Turns {
    /// Watches a loop that turns at least once in `interval`.
    #[must_use]
    pub fn of(name: impl Into<String>, interval: Duration) -> Self {
        let marked = Arc::new(Loop { name: name.into(), interval, turned: Mutex::new(Instant::now()) });
        all().push(Arc::clone(&marked));
        Self(marked)
    }

    /// The loop turns.
    pub fn mark(&self) {
        *lock(&self.0.turned) = Instant::now();
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        all().retain(|other| !Arc::ptr_eq(other, &self.0));
    }
}

/// The loops of this process that have not turned for three of their intervals.
#[must_use]
pub fn stopped() -> Vec<Stopped> {
    let silent = |it: &Arc<Loop>| {
        let silence = lock(&it.turned).elapsed();
        (silence > it.interval * PATIENCE).then(|| Stopped { name: it.name.clone(), silence })
    };
    all().iter().filter_map(silent).collect()
}

fn all() -> MutexGuard<'static, Vec<Arc<Loop>>> {
    lock(&LOOPS)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_does_not_turn_is_named_until_it_does_or_is_over() {
        let named = |name: &str| stopped().iter().any(|it| it.name == name);
        let turning = Turns::of("turning", Duration::from_secs(60));
        let silent = Turns::of("silent", Duration::ZERO);
        std::thread::yield_now();
        assert!(!named("turning") && named("silent"));
        drop((turning, silent));
        assert!(!named("silent"));
    }
}
