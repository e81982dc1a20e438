//! Random numbers that are the same on every machine and with every version of every crate: `SplitMix64`, written
//! out, because the demo's figures must not change when a dependency does.

/// A stream of numbers, made from what it is for.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of one thing: the seed, what is drawn, and its coordinates (a store, a day …).
    pub(crate) fn of(seed: u64, what: &str, coordinates: &[u64]) -> Self {
        let mut random = Self(seed);
        for byte in what.bytes() {
            random.0 = random.next() ^ u64::from(byte);
        }
        for coordinate in coordinates {
            random.0 = random.next() ^ coordinate;
        }
        random
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        let span = u64::from(high - low) + 1;
        // The remainder is below 2³² by construction, and a bias of 2⁻³² does no harm to a demo.
        low + u32::try_from(self.next() % span).unwrap_or_default()
    }

    /// True `percent` times in a hundred.
    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.between(0, 99) < percent
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let last = u32::try_from(from.len()).unwrap_or(u32::MAX).saturating_sub(1);
        &from[self.between(0, last) as usize]
    }

    /// An index below `n`, small ones much more often: a few products make most of the turnover.
    pub(crate) fn popular(&mut self, n: u32) -> u32 {
        let first = self.between(0, n - 1);
        let second = self.between(0, first);
        self.between(0, second.max(first / 3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_never_changes() {
        let mut random = Random::of(2026, "sales", &[3, 20_000]);
        let drawn: Vec<u32> = (0..6).map(|_| random.between(0, 999)).collect();
        let mut again = Random::of(2026, "sales", &[3, 20_000]);
        assert_eq!(drawn, (0..6).map(|_| again.between(0, 999)).collect::<Vec<_>>());
        let mut other = Random::of(2026, "sales", &[3, 20_001]);
        assert_ne!(drawn, (0..6).map(|_| other.between(0, 999)).collect::<Vec<_>>());
        // The published reference value of SplitMix64 for seed 1234567.
        assert_eq!(Random(1_234_567).next(), 6_457_827_717_110_365_317);
    }

    #[test]
    fn popular_products_are_popular() {
        let mut random = Random::of(1, "popular", &[]);
        let drawn: Vec<u32> = (0..1_000).map(|_| random.popular(100)).collect();
        assert!(drawn.iter().all(|index| *index < 100));
        assert!(drawn.iter().filter(|index| **index < 20).count() > 400);
        assert!(drawn.iter().any(|index| *index > 60));
    }
}
