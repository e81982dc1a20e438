//! The body of a request as a blocking reader that keeps the row at its end in view.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// A client that sends nothing for this long is taken for gone.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes that one row may have: a quote that is never closed must not fill the memory.
pub(super) const ROW_BYTES: usize = 1024 * 1024;

/// Reads a body; only on a thread that may block.
pub(super) struct Source {
    chunks: BodyDataStream,
    chunk: Bytes,
    runtime: Handle,
    /// Where in the body the row being read begins, set by [`Source::row_began`].
    row: u64,
    /// The bytes from `row` on.
    tail: Vec<u8>,
    /// Bytes that came in.
    received: u64,
    /// Nothing comes any more: the body ended, broke off, or its client fell silent.
    ended: bool,
}

impl Source {
    /// Must be called within the runtime, which drives the body.
    pub(super) fn new(body: Body) -> Self {
        let chunks = body.into_data_stream();
        Self {
            chunks,
            chunk: Bytes::new(),
            runtime: Handle::current(),
            row: 0,
            tail: Vec::new(),
            received: 0,
            ended: false,
        }
    }

    /// The next bytes of the body; none at its proper end.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        // Until something comes.
        if std::mem::replace(&mut self.ended, true) {
            return Ok(None);
        }
        let next = self.runtime.block_on(async { timeout(CLIENT_TIMEOUT, self.chunks.next()).await });
        match next {
            Ok(Some(chunk)) => {
                let chunk = chunk.map_err(io::Error::other)?;
                self.ended = false;
                self.received += chunk.len() as u64;
                Ok(Some(chunk))
            }
            Ok(None) => Ok(None),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client sent nothing for a minute")),
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        while self.chunk.is_empty() {
            let Some(chunk) = self.next()? else { break };
            self.chunk = chunk;
        }
        Ok(())
    }

    /// The first bytes, at least two where the body has as many, before anything is read.
    pub(super) fn begin(&mut self) -> io::Result<&[u8]> {
        self.fill()?;
        while self.chunk.len() < 2 {
            let Some(chunk) = self.next()? else { break };
            self.chunk = Bytes::from([self.chunk.as_ref(), chunk.as_ref()].concat());
        }
        Ok(&self.chunk)
    }

    /// Bytes that came in.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Reads what is left, up to `limit` bytes of the body in all, and throws it away. An answer that is sent while the
    /// client still writes is often lost: the connection is reset, and a gateway says 502 in its place.
    pub(super) fn drain(&mut self, limit: u64) {
        self.chunk = Bytes::new();
        while self.received < limit && matches!(self.next(), Ok(Some(_))) {}
    }

    /// Tells where the row begins that is being read.
    pub(super) fn row_began(&mut self, offset: u64) {
        let gone = usize::try_from(offset.saturating_sub(self.row)).unwrap_or(usize::MAX).min(self.tail.len());
        self.tail.drain(..gone);
        self.row = offset;
    }

    /// The bytes read since [`Source::row_began`].
    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.tail.len() > ROW_BYTES {
            let reason = "a row is longer than 1 MiB; is a quote never closed?";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        self.fill()?;
        let count = self.chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.chunk[..count]);
        self.tail.extend_from_slice(&self.chunk[..count]);
        self.chunk.advance(count);
        Ok(count)
    }
}
