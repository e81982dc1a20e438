//! Bodies on their way through, with memory bounded in both directions.

use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What a client is sent.
pub(crate) type ClientBody = UnsyncBoxBody<Bytes, io::Error>;

/// A request body up to this size is held in memory, a larger one in a file without a name.
const IN_MEMORY: usize = 64 * 1024;
const CHUNK: usize = 64 * 1024;
/// How long a client may pause in the middle of its body.
const CLIENT_PAUSE: Duration = Duration::from_secs(60);

/// Why a request body could not be had.
#[derive(Debug)]
pub(crate) enum PayloadError {
    /// More than the limit, in bytes.
    TooLarge,
    /// The client went away, or sent something that is not a body.
    Client,
    Io(io::Error),
}

/// A request body before it is sent.
pub(crate) enum Payload {
    Memory(Bytes),
    File {
        file: std::fs::File,
        size: u64,
    },
    /// Sent as it comes, and therefore only once.
    Stream(Option<Incoming>),
}

impl Payload {
    /// Reads the whole body, as nginx does with request buffering on.
    pub(crate) async fn collect(body: &mut Incoming, limit: Option<u64>) -> Result<Self, PayloadError> {
        let mut memory = BytesMut::new();
        let mut spool: Option<tokio::fs::File> = None;
        let mut size = 0_u64;
        while let Some(frame) =
            tokio::time::timeout(CLIENT_PAUSE, body.frame()).await.map_err(|_| PayloadError::Client)?
        {
            let Ok(data) = frame.map_err(|_| PayloadError::Client)?.into_data() else { continue };
            size += data.len() as u64;
            if limit.is_some_and(|limit| size > limit) {
                return Err(PayloadError::TooLarge);
            }
            memory.extend_from_slice(&data);
            if memory.len() > IN_MEMORY {
                let file = match &mut spool {
                    Some(file) => file,
                    None => spool.insert(tokio::fs::File::from_std(tempfile::tempfile().map_err(PayloadError::Io)?)),
                };
                file.write_all(&memory).await.map_err(PayloadError::Io)?;
                memory.clear();
            }
        }
        let Some(mut file) = spool else { return Ok(Self::Memory(memory.freeze())) };
        file.write_all(&memory).await.map_err(PayloadError::Io)?;
        file.flush().await.map_err(PayloadError::Io)?;
        Ok(Self::File { file: file.into_std().await, size })
    }

    /// Bytes, as far as they are known before it is sent.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
            Self::Stream(body) => body.as_ref().map_or(0, |body| body.size_hint().lower()),
        }
    }

    /// The body for the next try; none if it is gone with an earlier one.
    pub(crate) async fn attempt(&mut self, progress: &Arc<Progress>) -> io::Result<Option<UpstreamBody>> {
        Ok(match self {
            Self::Memory(bytes) => Some(UpstreamBody::Memory(bytes.clone())),
            Self::File { file, size } => {
                // The copy shares its position with the original, so each try starts it anew.
                let mut file = tokio::fs::File::from_std(file.try_clone()?);
                file.seek(SeekFrom::Start(0)).await?;
                Some(UpstreamBody::File { file: Box::pin(file), left: *size, progress: progress.clone() })
            }
            Self::Stream(body) => body.take().map(|body| UpstreamBody::Stream { body, progress: progress.clone() }),
        })
    }
}

/// What an upstream is sent.
pub(crate) enum UpstreamBody {
    Memory(Bytes),
    File { file: Pin<Box<tokio::fs::File>>, left: u64, progress: Arc<Progress> },
    Stream { body: Incoming, progress: Arc<Progress> },
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Memory(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::File { left: 0, .. } => Poll::Ready(None),
            Self::File { file, left, progress } => {
                let mut chunk = vec![0; CHUNK];
                let mut buffer = ReadBuf::new(&mut chunk);
                std::task::ready!(tokio::io::AsyncRead::poll_read(file.as_mut(), cx, &mut buffer))?;
                let read = buffer.filled().len();
                if read == 0 {
                    return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                }
                *left = left.saturating_sub(read as u64);
                progress.note(if *left == 0 { Turn::Answering } else { Turn::Taking });
                chunk.truncate(read);
                Poll::Ready(Some(Ok(Frame::data(chunk.into()))))
            }
            Self::Stream { body, progress } => {
                let polled = Pin::new(&mut *body).poll_frame(cx);
                // The last piece ends it too: a body of known length is not asked again.
                progress.note(match &polled {
                    Poll::Pending => Turn::Client,
                    Poll::Ready(Some(_)) if !body.is_end_stream() => Turn::Taking,
                    Poll::Ready(_) => Turn::Answering,
                });
                polled.map_err(io::Error::other)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Memory(bytes) => bytes.is_empty(),
            Self::File { left, .. } => *left == 0,
            Self::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Memory(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::File { left, .. } => SizeHint::with_exact(*left),
            Self::Stream { body, .. } => body.size_hint(),
        }
    }
}

/// How the request body is getting on, so that the wait for the answer starts after it.
pub(crate) struct Progress(Mutex<(Instant, Turn)>);

/// Whose turn it is.
#[derive(Clone, Copy)]
enum Turn {
    /// The client's, to send more of its body.
    Client,
    /// The upstream's, to take more of the body.
    Taking,
    /// The upstream's, to answer.
    Answering,
}

impl Progress {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new((Instant::now(), Turn::Answering))))
    }

    fn note(&self, turn: Turn) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), turn);
    }

    /// Ends when whoever's turn it is has been silent for too long.
    pub(crate) async fn stalled(&self, write: Duration, read: Duration) {
        loop {
            let (last, turn) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let deadline = last
                + match turn {
                    Turn::Client => CLIENT_PAUSE,
                    Turn::Taking => write,
                    Turn::Answering => read,
                };
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

/// An upstream's body passed on. One that breaks off, or pauses beyond the limit, ends in an error,
/// and the server then closes the connection: a part must never look like the whole.
pub(crate) struct Relay {
    body: Incoming,
    limit: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    failed: Option<io::Error>,
    on_data: Box<dyn FnMut(usize) + Send>,
}

impl Relay {
    /// `on_data` is told the size of each piece.
    pub(crate) fn new(body: Incoming, limit: Duration, on_data: Box<dyn FnMut(usize) + Send>) -> Self {
        Self { body, limit, pause: None, failed: None, on_data }
    }

    fn fail(&mut self, cx: &Context<'_>, error: io::Error) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        // One turn later, so that what came before the break is flushed to the client first.
        self.failed = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Err(error))) => this.fail(cx, io::Error::other(error)),
            Poll::Ready(other) => {
                this.pause = None;
                if let Some(Ok(frame)) = &other
                    && let Some(data) = frame.data_ref()
                {
                    (this.on_data)(data.len());
                }
                Poll::Ready(other.map(|frame| frame.map_err(io::Error::other)))
            }
            Poll::Pending => {
                let limit = this.limit;
                let pause = this.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
                std::task::ready!(pause.as_mut().poll(cx));
                this.fail(cx, io::ErrorKind::TimedOut.into())
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
