//! In-flight bytes: rows on their way to clients, shared and not copied, and bounded in sum because a slow client holds
//! them for long.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Kibibytes of rows that responses may hold together; beyond them rows go through the spool.
pub const MOST_KIB: usize = 64 * 1024;

/// Rows that count as in flight until the last of their bytes is sent or dropped.
pub(super) struct InFlightRows {
    rows: Bytes,
    _reserved: OwnedSemaphorePermit,
}

impl InFlightRows {
    /// The same rows, counted; `None` when they exceed what is free.
    pub(super) fn reserve(free: &Arc<Semaphore>, rows: Bytes) -> Option<Bytes> {
        let size = u32::try_from(rows.len().div_ceil(1_024)).ok()?;
        let reserved = Arc::clone(free).try_acquire_many_owned(size).ok()?;
        Some(Bytes::from_owner(Self { rows, _reserved: reserved }))
    }
}

impl AsRef<[u8]> for InFlightRows {
    fn as_ref(&self) -> &[u8] {
        &self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_free_again_when_the_last_of_them_is_dropped() {
        let free = Arc::new(Semaphore::new(3));
        let reserve = |bytes: usize| InFlightRows::reserve(&free, Bytes::from(vec![0; bytes]));
        let first = reserve(2_000).unwrap();
        assert!(reserve(2_000).is_none());
        let part = first.slice(10..20);
        drop(first);
        assert!(reserve(2_000).is_none());
        drop(part);
        assert!(reserve(3_000).is_some());
    }
}
