//! A body that comes in: read and parsed by a thread of its own.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::record::{Record, Rules};
use super::report::RowError;
use super::sink::{Piece, Sink, Stop};
use super::source::Source;
use super::{MAX_BYTES, read_csv, read_ndjson};
use crate::error::ApiError;

/// Pieces that wait while one is written.
const WAITING: usize = 1;
/// The media types that are read.
const TAKEN: &str = "text/csv or application/x-ndjson, neither compressed nor archived";

/// The messages of the reading thread.
pub(super) enum Message {
    /// The body begins well.
    Begun,
    /// Nothing of the body is taken, and it was read to its end.
    Refused(ApiError),
    /// Rows to stage.
    Piece(Piece),
    /// The body ended; where it broke off, why. The digest of its rows is the same in whatever order they stand.
    Ended { broken: Option<RowError>, digest: [u64; 4] },
}

/// A body whose header was in order.
pub(super) struct Incoming {
    messages: mpsc::Receiver<Message>,
    reader: JoinHandle<()>,
}

/// How a body is read.
#[derive(Clone, Copy)]
enum Format {
    Csv,
    Ndjson,
}

impl Incoming {
    /// Begins to read `body` as its `Content-Type` says. A body that is refused was read to its end.
    ///
    /// # Errors
    /// 415 for another type or coding; 422 for a CSV whose header lacks a column or has an unknown one, and for text
    /// that is no UTF-8.
    pub(super) async fn open<T: Record>(headers: &HeaderMap, body: Body, rules: Rules) -> Result<Self, ApiError> {
        let format = format(headers);
        let (sender, messages) = mpsc::channel(WAITING);
        let mut source = Source::new(body);
        let reader = tokio::task::spawn_blocking(move || {
            let mut sink = Sink::<T>::new(sender, rules);
            let read = sniff(format, &mut source).map_err(Stop::Refused).and_then(|format| match format {
                Format::Csv => read_csv::read(&mut source, &mut sink),
                Format::Ndjson => read_ndjson::read(&mut source, &mut sink),
            });
            let sent = match read {
                Ok(broken) => sink.end().and_then(|()| {
                    if broken.is_some() {
                        source.drain(MAX_BYTES);
                    }
                    sink.send(Message::Ended { broken, digest: sink.digest() })
                }),
                Err(Stop::Refused(error)) => {
                    source.drain(MAX_BYTES);
                    sink.send(Message::Refused(error))
                }
                Err(Stop::Gone) => Err(Stop::Gone),
            };
            // Where the receiver has gone, what the client still sends is read and dropped.
            if sent.is_err() {
                source.drain(MAX_BYTES);
            }
        });
        let mut incoming = Self { messages, reader };
        match incoming.next().await {
            Message::Refused(error) => Err(error),
            _ => Ok(incoming),
        }
    }

    /// What comes next.
    pub(super) async fn next(&mut self) -> Message {
        let dead = || Message::Refused(ApiError::internal("the reader of an import died"));
        self.messages.recv().await.unwrap_or_else(dead)
    }

    /// Waits until the client has said all, of which nothing is taken any more.
    pub(super) async fn drain(mut self) {
        self.messages.close();
        while self.messages.recv().await.is_some() {}
        if let Err(error) = self.reader.await {
            tracing::error!(error = crate::telemetry::chain(&error), "the reader of an import died");
        }
    }
}

fn format(headers: &HeaderMap) -> Result<Format, ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let unsupported = || Err(ApiError::UnsupportedMediaType { expected: TAKEN });
    if !matches!(text(header::CONTENT_ENCODING).trim(), "" | "identity") {
        return unsupported();
    }
    match text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim() {
        "text/csv" => Ok(Format::Csv),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Format::Ndjson),
        _ => unsupported(),
    }
}

/// Looks at the first bytes, for what no parser would report well.
fn sniff(format: Result<Format, ApiError>, source: &mut Source) -> Result<Format, ApiError> {
    let format = format?;
    // A body that breaks off at its first bytes is reported as one that breaks off.
    match source.begin().unwrap_or_default() {
        [0x1f, 0x8b, ..] | [b'P', b'K', ..] => Err(ApiError::UnsupportedMediaType { expected: TAKEN }),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => {
            Err(ApiError::invalid("body", "the body is UTF-16; save the file as UTF-8"))
        }
        _ => Ok(format),
    }
}
