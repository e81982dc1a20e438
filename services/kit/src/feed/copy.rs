//! From `COPY … TO STDOUT` to the body of an answer, with the memory of a few chunks.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use futures_util::stream;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::DEADLINE;
use super::error::FeedError;

/// COPY hands over one row at a time; chunks of this size spare the network a frame per row.
const CHUNK: usize = 128 * 1024;
/// Chunks that may wait for a slow reader.
const WAITING: usize = 4;

/// A connection in a read-only transaction. Dropped before [`Lease::end`], it is closed and not
/// given back: in the middle of a COPY, a returned connection would first read the rest of it.
pub(super) struct Lease {
    connection: Option<PoolConnection<Postgres>>,
    deadline: Instant,
}

impl Lease {
    /// Opens a transaction that sees one state of the database to its end.
    pub(super) async fn begin(reader: &PgPool) -> Result<Self, FeedError> {
        let mut lease = Self { connection: Some(reader.acquire().await?), deadline: Instant::now() + DEADLINE };
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut **lease.connection()?).await?;
        Ok(lease)
    }

    pub(super) fn connection(&mut self) -> Result<&mut PoolConnection<Postgres>, FeedError> {
        self.connection.as_mut().ok_or(FeedError::Broken { what: "a lease was used after its end" })
    }

    /// Ends the transaction and gives the connection back.
    pub(super) async fn end(mut self) -> Result<(), FeedError> {
        sqlx::raw_sql("COMMIT").execute(&mut **self.connection()?).await?;
        drop(self.connection.take());
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

/// Streams the rows of `statement`, a COPY. The first chunk is awaited here, so that a statement
/// that fails at once is an error with a status; after it, a failure can only cut the body short,
/// which leaves it without its proper end.
pub(super) async fn stream(lease: Lease, statement: String) -> Result<Body, FeedError> {
    let (sender, mut receiver) = mpsc::channel::<Result<Bytes, FeedError>>(WAITING);
    // Detached: it ends at its deadline, or when the reader drops the channel. A task, so that the deadline holds even
    // while the reader does not ask for more.
    tokio::spawn(async move {
        let deadline = lease.deadline;
        let outcome = timeout_at(deadline, pump(lease, &statement, &sender)).await.unwrap_or(Err(FeedError::TooSlow));
        if let Err(error) = outcome {
            tracing::warn!(%error, cause = ?std::error::Error::source(&error), "a page of the change feed broke off");
            // Waits for the reader no longer than it takes to send the error.
            drop(tokio::time::timeout(Duration::from_secs(1), sender.send(Err(error))).await);
        }
    });
    let first = receiver.recv().await.ok_or(FeedError::Broken { what: "a page ended before it began" })??;
    let rest =
        stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|chunk| (chunk, receiver)) });
    Ok(Body::from_stream(futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest)))
}

async fn pump(
    mut lease: Lease,
    statement: &str,
    sender: &mpsc::Sender<Result<Bytes, FeedError>>,
) -> Result<(), FeedError> {
    let mut rows = lease.connection()?.copy_out_raw(statement).await?;
    let mut chunk = BytesMut::with_capacity(CHUNK + CHUNK / 8);
    while let Some(row) = rows.try_next().await? {
        chunk.extend_from_slice(&row);
        if chunk.len() >= CHUNK {
            let full = std::mem::replace(&mut chunk, BytesMut::with_capacity(CHUNK + CHUNK / 8));
            if sender.send(Ok(full.freeze())).await.is_err() {
                // The reader disconnected; the connection is dropped.
                return Ok(());
            }
        }
    }
    drop(rows);
    lease.end().await?;
    // The last chunk leaves only after the transaction ended well: a body that is whole is true.
    // A reader that disconnected meanwhile needs no error.
    drop(sender.send(Ok(chunk.freeze())).await);
    Ok(())
}
