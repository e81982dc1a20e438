//! The metrics of caches.

use metrics::counter;

/// Reads of a `cache` (`heads`, `reference`, `polls`) by `result` (`hit`, `load`, `stale`).
pub const CACHE_READS: &str = "tributary_cache_reads_total";

/// The cache of decoded reference sets.
pub const REFERENCE: &str = "reference";

/// What came of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheRead {
    /// Kept.
    Hit,
    /// Loaded, or waited for with others.
    Load,
    /// The load failed or took too long: an older one was served.
    Stale,
}

impl CacheRead {
    /// As in the label `result`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Load => "load",
            Self::Stale => "stale",
        }
    }
}

/// A cache was read.
pub fn cache(name: &'static str, read: CacheRead) {
    counter!(CACHE_READS, "cache" => name, "result" => read.name()).increment(1);
}
