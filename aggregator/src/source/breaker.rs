//! A circuit breaker per source: after failures in a row it answers at once for a while, then lets
//! one call try.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Failures in a row that open it.
const THRESHOLD: u32 = 5;

/// What the outside sees of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// Calls are refused without being sent.
    Open,
    /// One call is on trial; the others are refused.
    HalfOpen,
}

#[derive(Debug, Clone, Copy)]
enum Inner {
    Closed { failures: u32 },
    Open { since: Instant },
    HalfOpen { since: Instant },
}

/// The breaker. Every answer of a source, good or bad, must be reported to it.
#[derive(Debug)]
pub struct Breaker {
    inner: Mutex<Inner>,
    cool_down: Duration,
}

impl Breaker {
    /// A closed one, which once open stays so for `cool_down` before one call may try.
    pub fn new(cool_down: Duration) -> Self {
        Self { inner: Mutex::new(Inner::Closed { failures: 0 }), cool_down }
    }

    /// The state at an instant.
    pub fn state(&self, now: Instant) -> BreakerState {
        match *self.lock() {
            Inner::Closed { .. } => BreakerState::Closed,
            Inner::Open { since } if now.duration_since(since) < self.cool_down => BreakerState::Open,
            Inner::Open { .. } | Inner::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Ask to send a call; on refusal, how long until it is worth asking again.
    pub fn admit(&self, now: Instant) -> Result<(), Duration> {
        let mut inner = self.lock();
        match *inner {
            Inner::Closed { .. } => Ok(()),
            // A trial whose caller left without a word must not keep the breaker shut for ever.
            Inner::Open { since } | Inner::HalfOpen { since } => {
                let waited = now.duration_since(since);
                if waited < self.cool_down {
                    return Err(self.cool_down - waited);
                }
                *inner = Inner::HalfOpen { since: now };
                Ok(())
            }
        }
    }

    /// A call was answered.
    pub fn succeeded(&self) {
        *self.lock() = Inner::Closed { failures: 0 };
    }

    /// A call failed in a way that says the source is not well.
    pub fn failed(&self, now: Instant) {
        let mut inner = self.lock();
        *inner = match *inner {
            Inner::Closed { failures } if failures + 1 < THRESHOLD => Inner::Closed { failures: failures + 1 },
            Inner::Closed { .. } | Inner::HalfOpen { .. } => Inner::Open { since: now },
            Inner::Open { since } => Inner::Open { since },
        };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOL_DOWN: Duration = Duration::from_secs(30);

    #[test]
    fn opens_after_failures_in_a_row_and_lets_one_try_after_the_pause() {
        let (breaker, start) = (Breaker::new(COOL_DOWN), Instant::now());
        for _ in 1..THRESHOLD {
            breaker.failed(start);
        }
        assert_eq!(breaker.state(start), BreakerState::Closed);
        breaker.failed(start);
        assert_eq!(breaker.admit(start + COOL_DOWN / 2), Err(COOL_DOWN / 2));

        let later = start + COOL_DOWN;
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        assert!(breaker.admit(later).is_err(), "only one call is on trial");
        breaker.failed(later);
        assert_eq!(breaker.state(later), BreakerState::Open);
        breaker.admit(later + COOL_DOWN).unwrap();
        breaker.succeeded();
        assert_eq!(breaker.state(later + COOL_DOWN), BreakerState::Closed);
    }

    #[test]
    fn an_answer_in_between_starts_the_count_again() {
        let (breaker, now) = (Breaker::new(COOL_DOWN), Instant::now());
        for _ in 0..THRESHOLD * 2 {
            breaker.failed(now);
            breaker.succeeded();
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }
}
