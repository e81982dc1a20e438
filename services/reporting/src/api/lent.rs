//! Rows on their way to clients: shared, not copied, and bounded in sum, for a slow client holds them for long.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Kibibytes of rows that answers may hold together; beyond them rows go through the spool.
pub const ROOM: usize = 64 * 1024;

/// Rows that count against the room until the last of their bytes is sent or thrown away.
pub(super) struct Lent {
    rows: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Lent {
    /// The same rows, counted; `None` when there is no room for them.
    pub(super) fn rows(room: &Arc<Semaphore>, rows: Bytes) -> Option<Bytes> {
        let size = u32::try_from(rows.len().div_ceil(1_024)).ok()?;
        let room = Arc::clone(room).try_acquire_many_owned(size).ok()?;
        Some(Bytes::from_owner(Self { rows, _room: room }))
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_comes_back_when_the_last_byte_is_gone() {
        let room = Arc::new(Semaphore::new(3));
        let lend = |bytes: usize| Lent::rows(&room, Bytes::from(vec![0; bytes]));
        let first = lend(2_000).unwrap();
        assert!(lend(2_000).is_none());
        let part = first.slice(10..20);
        drop(first);
        assert!(lend(2_000).is_none());
        drop(part);
        assert!(lend(3_000).is_some());
    }
}
