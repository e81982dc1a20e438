//! The wait before a repeated attempt.

use std::time::Duration;

use rand::RngExt as _;

/// The wait after so many failures, from 1: doubled after each, up to the longest.
#[must_use]
pub fn backoff(first: Duration, failures: u32, longest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    first.saturating_mul(1 << doublings).min(longest)
}

/// Full jitter: a random wait below `bound`, so that callers that failed together return apart.
#[must_use]
pub fn jittered(bound: Duration) -> Duration {
    bound.mul_f64(rand::rng().random_range(0.0..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_longest() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(30));
        let waits = [0, 1, 2, 3, 5, 6, u32::MAX].map(|failures| backoff(first, failures, longest).as_secs());
        assert_eq!(waits, [1, 1, 2, 4, 16, 30, 30]);
    }

    #[test]
    fn a_jittered_wait_stays_below_its_bound() {
        assert!((0..100).all(|_| jittered(Duration::from_secs(1)) < Duration::from_secs(1)));
        assert_eq!(jittered(Duration::ZERO), Duration::ZERO);
    }
}
