//! Bodies on their way through, with memory bounded in both directions.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::sync::watch;
use tokio::time::Sleep;

use crate::plugins::request_size_limiting::too_large;
use crate::reply::Exit;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
/// What a client or an upstream is sent.
pub(crate) type Body = UnsyncBoxBody<Bytes, Error>;

/// How long a client may pause in the middle of a body that is read before it is sent on; nginx's default.
const CLIENT_PAUSE: Duration = Duration::from_secs(60);

/// A request's body before it is sent.
pub(crate) enum Payload {
    Whole(Bytes),
    /// Sent as it comes, and therefore only once; its pieces are reported as the upstream takes them.
    Stream(Option<(Body, watch::Receiver<()>)>),
}

impl Payload {
    /// Reads the whole body, as nginx does with request buffering on; up to `limit` bytes, for they are held in memory.
    pub(crate) async fn collect(body: &mut Incoming, limit: usize) -> Result<Self, Exit> {
        let whole = Limited::new(Passing::new(body, CLIENT_PAUSE, |_| ()), limit).collect().await;
        whole.map(|whole| Self::Whole(whole.to_bytes())).map_err(|error| {
            if error.is::<LengthLimitError>() {
                return too_large();
            }
            if error.is::<hyper::Error>() {
                return Exit::new(StatusCode::BAD_REQUEST, "Bad request");
            }
            Exit::new(StatusCode::REQUEST_TIMEOUT, "Request timeout")
        })
    }

    /// Sends the body on as it comes; more than `limit` bytes, or a pause longer than `pause`, break it off.
    pub(crate) fn stream(body: Incoming, limit: usize, pause: Duration) -> Self {
        let (taken, pieces) = watch::channel(());
        let passing = Passing::new(body, pause, move |_| taken.send_replace(()));
        Self::Stream(Some((Limited::new(passing, limit).boxed_unsync(), pieces)))
    }

    /// Bytes, as far as they are known before it is sent.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Stream(body) => body.as_ref().map_or(0, |(body, _)| body.size_hint().lower()),
        }
    }

    /// The body for the next try, and its pieces as they are taken; none if an earlier try consumed it.
    pub(crate) fn attempt(&mut self) -> Option<(Body, watch::Receiver<()>)> {
        match self {
            // The sender is dropped: all of it counts as taken.
            Self::Whole(bytes) => Some((full(bytes.clone()), watch::channel(()).1)),
            Self::Stream(body) => body.take(),
        }
    }
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body passed on as it comes. One that breaks off, or pauses beyond `patience`, ends in an error, and its
/// connection is then closed: a part must never look like the whole.
pub(crate) struct Passing<B, N> {
    body: B,
    patience: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    broken: Option<Error>,
    note: N,
}

impl<B, N> Passing<B, N> {
    /// `note` gets the size of each piece.
    pub(crate) fn new(body: B, patience: Duration, note: N) -> Self {
        Self { body, patience, pause: None, broken: None, note }
    }
}

impl<B, N, T> hyper::body::Body for Passing<B, N>
where
    B: hyper::body::Body<Data = Bytes, Error = hyper::Error> + Unpin,
    N: FnMut(usize) -> T + Unpin,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let error: Error = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.pause = None;
                (this.note)(frame.data_ref().map_or(0, Bytes::len));
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => error.into(),
            Poll::Pending => {
                let patience = this.patience;
                ready!(this.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience))).as_mut().poll(cx));
                io::Error::from(io::ErrorKind::TimedOut).into()
            }
        };
        // Reported one turn later, so that what came before the break is flushed first.
        this.broken = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
