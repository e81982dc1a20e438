//! Answers on their way to clients: so many at a time, each at its client's pace, and none to a client that takes
//! nothing any more.
//!
//! What leaves at once (a short answer) is not counted: the kernel has it before the next request is read.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use kit::error::ApiError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metric;

/// How many pieces may be on their way to one client.
const PIECES: usize = 2;

/// How many pieces are read from disk at a time. Each takes a thread, and each thread has memory of its own: a crowd on
/// a busy machine would have hundreds of them.
const READERS: usize = 4;

/// When a client that was refused should come again: a download that goes well has ended by then.
const COME_AGAIN: Duration = Duration::from_secs(10);

/// The bound on answers that are on their way together. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Downloads {
    free: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    most: usize,
    patience: Duration,
}

/// The right to send one; given back when it is dropped.
#[derive(Debug)]
pub struct Sending {
    _right: OwnedSemaphorePermit,
    _counted: metric::Sending,
    patience: Duration,
}

impl Downloads {
    /// So many at a time; one whose client takes nothing for longer than `patience` is broken off.
    #[must_use]
    pub fn new(most: usize, patience: Duration) -> Self {
        let (free, readers) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(READERS)));
        Self { free, readers, most, patience }
    }

    /// The rights to read a piece.
    pub(super) fn readers(&self) -> Arc<Semaphore> {
        Arc::clone(&self.readers)
    }

    /// The right to send one more.
    ///
    /// # Errors
    /// 503 when as many as may be are on their way already: who came first should end, not share with ever more.
    pub fn begin(&self) -> Result<Sending, ApiError> {
        let right = Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            metric::refused();
            ApiError::Unavailable {
                detail: format!(
                    "{} downloads are on their way to clients, which is as many as there may be; try again in {} s",
                    self.most,
                    COME_AGAIN.as_secs()
                ),
                retry_after: COME_AGAIN,
                extensions: serde_json::Map::new(),
                source: None,
            }
        })?;
        Ok(Sending { _right: right, _counted: metric::Sending::begin(), patience: self.patience })
    }
}

/// A stream whose next piece is made when the one before the last has left for the client.
///
/// The server would otherwise read ahead a dozen of them for a client that takes none. A client that takes nothing for
/// too long ends it in an error, which breaks the connection off and frees everything.
pub fn paced(
    sending: Sending,
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let begin = (Box::pin(pieces), Arc::new(Semaphore::new(PIECES)), sending);
    stream::try_unfold(begin, |(mut pieces, unsent, sending)| async move {
        let room = tokio::time::timeout(sending.patience, Arc::clone(&unsent).acquire_owned()).await;
        let Ok(counted) = room else {
            metric::stalled();
            let seconds = sending.patience.as_secs();
            tracing::info!(seconds, "a client takes nothing of its download any more; it is broken off");
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        };
        let counted = counted.map_err(io::Error::other)?;
        let Some(bytes) = pieces.next().await.transpose()? else { return Ok(None) };
        Ok(Some((Bytes::from_owner(Piece { bytes, _counted: counted }), (pieces, unsent, sending))))
    })
}

/// Bytes that are counted until they have left.
struct Piece {
    bytes: Bytes,
    _counted: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    fn five() -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::iter((0..5_u8).map(|piece| Ok(Bytes::from(vec![piece; 10]))))
    }

    #[tokio::test]
    async fn only_so_many_are_on_their_way() {
        let downloads = Downloads::new(2, Duration::from_secs(60));
        let (left, sent) = (downloads.begin().unwrap(), downloads.begin().unwrap());
        let refused = downloads.begin().unwrap_err();
        assert!(refused.to_string().contains("2 downloads"), "{refused}");
        // One whose client left, and one that was sent whole, give their right back.
        drop(paced(left, five()));
        assert!(downloads.begin().is_ok());
        let mut pieces = Box::pin(paced(sent, five()));
        while let Some(piece) = pieces.next().await {
            assert_eq!(piece.unwrap().len(), 10);
        }
        drop(pieces);
        let _both = (downloads.begin().unwrap(), downloads.begin().unwrap());
    }

    #[tokio::test]
    async fn the_next_piece_waits_until_one_has_left() {
        let downloads = Downloads::new(1, Duration::from_secs(60));
        let mut pieces = Box::pin(paced(downloads.begin().unwrap(), five()));
        let first = pieces.next().await.unwrap().unwrap();
        let second = pieces.next().await.unwrap().unwrap();
        assert!(poll!(pieces.next()).is_pending());
        let part = first.slice(..3);
        drop(first);
        assert!(poll!(pieces.next()).is_pending(), "a part of it has not left");
        drop(part);
        assert_eq!(pieces.next().await.unwrap().unwrap(), [2; 10].as_slice());
        assert_eq!(second, [1; 10].as_slice());
    }

    #[tokio::test]
    async fn who_takes_nothing_is_broken_off() {
        let downloads = Downloads::new(1, Duration::from_millis(1));
        let mut pieces = Box::pin(paced(downloads.begin().unwrap(), five()));
        let _held = (pieces.next().await, pieces.next().await);
        let ended = pieces.next().await.unwrap().unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        drop(pieces);
        assert!(downloads.begin().is_ok());
    }
}
