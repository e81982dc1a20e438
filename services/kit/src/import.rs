//! Bulk import: a body of CSV or NDJSON as long as it likes, with the memory of a few batches.
//!
//! A blocking thread reads, parses and checks rows while the handler writes the batch before:
//!
//! ```ignore
//! async fn import_sales(State(db): State<PgPool>, mut import: Import<SaleRow>) -> Result<Json<Report>, ApiError> {
//!     while let Some(batch) = import.next().await {
//!         let outcome = write(&db, &batch).await?;   // one transaction, natural keys, ON CONFLICT
//!         import.record(outcome);
//!     }
//!     Ok(Json(import.finish()))
//! }
//! ```
//!
//! Each row is accepted or refused with line, field and reason, and the good ones are applied. Where
//! rows form documents (the lines of one sale, side by side), a document is applied whole or not at
//! all. A body that breaks off applies what was whole before, and the report says so. Sending it
//! again must do no harm; that is the handler's half, by natural keys.

mod field;
mod group;
mod read_csv;
mod read_ndjson;
mod report;
mod source;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::error::ApiError;
use group::Sink;
pub use report::{Outcome, Refusal, Report, RowError};

/// Rows that a batch holds at least, but for the last; at most twice as many, to end with a document.
pub const BATCH_ROWS: usize = 5_000;
/// Rows that one document may have.
pub const DOCUMENT_ROWS: usize = 5_000;
/// Batches that wait while one is written.
const WAITING: usize = 2;

/// One row of an import, parsed. Let the type `deny_unknown_fields`: NDJSON has no header to check.
pub trait Record: DeserializeOwned + Send + 'static {
    /// Columns that a CSV must have.
    const REQUIRED: &'static [&'static str];
    /// Columns that it may have besides.
    const OPTIONAL: &'static [&'static str] = &[];
    /// The column that says which document a row belongs to, where rows form documents.
    const DOCUMENT: Option<&'static str> = None;

    /// The value of [`Record::DOCUMENT`]'s column.
    fn document(&self) -> Option<&str> {
        None
    }

    /// Checks what the types alone cannot.
    ///
    /// # Errors
    /// The field at fault and why.
    fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

/// A good row and where it stood.
#[derive(Debug, Clone)]
pub struct Row<T> {
    /// Its line in the body, from 1; of a quoted field with newlines, the first.
    pub line: u64,
    /// What it says.
    pub value: T,
    /// Rows of one document share it.
    document: u64,
}

impl<T> Row<T> {
    /// An error for this row, found by whoever writes it.
    #[must_use]
    pub fn refused(&self, field: &str, reason: impl Into<String>) -> RowError {
        RowError { line: self.line, field: Some(field.to_owned()), reason: reason.into() }
    }
}

/// Rows to write together; documents are never split between batches.
#[derive(Debug)]
pub struct Batch<T> {
    /// In the order of the body.
    pub rows: Vec<Row<T>>,
}

impl<T> Batch<T> {
    /// The rows of each document; where rows form none, each row alone.
    pub fn documents(&self) -> impl Iterator<Item = &[Row<T>]> {
        self.rows.chunk_by(|a, b| a.document == b.document)
    }

    /// Keeps of rows with equal keys the last, and answers how many went. One `INSERT … ON CONFLICT
    /// DO UPDATE` cannot touch a row twice; count those that went as unchanged.
    pub fn keep_last<K: std::hash::Hash + Eq>(&mut self, key: impl Fn(&T) -> K) -> u64 {
        let before = self.rows.len();
        let mut seen = std::collections::HashSet::with_capacity(before);
        let mut kept: Vec<Row<T>> = self.rows.drain(..).rev().filter(|row| seen.insert(key(&row.value))).collect();
        kept.reverse();
        self.rows = kept;
        (before - self.rows.len()) as u64
    }
}

/// What the reading thread tells.
enum Message<T> {
    /// The body begins well.
    Begun,
    /// It does not, and nothing of it was read.
    Refused(ApiError),
    /// Rows to write, and what came of the others since the last message.
    Read { batch: Batch<T>, received: u64, refused: u64, errors: Vec<RowError> },
    /// The body ended; where it broke off, why.
    Ended { broken: Option<RowError> },
}

/// A running import: an extractor for handlers.
pub struct Import<T> {
    messages: mpsc::Receiver<Message<T>>,
    report: Report,
    ended: bool,
}

impl<T: Record> Import<T> {
    /// Begins to read `body` as its `Content-Type` says.
    ///
    /// # Errors
    /// 415 for another type; 422 for a CSV whose header lacks a column or has an unknown one.
    pub async fn open(headers: &HeaderMap, body: Body) -> Result<Self, ApiError> {
        let read: fn(source::Source, &mut Sink<T>) -> Result<(), group::Gone> = match media_type(headers).as_str() {
            "text/csv" => read_csv::read,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => read_ndjson::read,
            _ => return Err(ApiError::UnsupportedMediaType { expected: "text/csv or application/x-ndjson" }),
        };
        let (sender, mut messages) = mpsc::channel(WAITING);
        let source = source::Source::new(body);
        // Where the handler went away, nobody is left to be told.
        tokio::task::spawn_blocking(move || drop(read(source, &mut Sink::new(sender))));
        match messages.recv().await {
            Some(Message::Refused(error)) => Err(error),
            Some(_) => Ok(Self { messages, report: Report::default(), ended: false }),
            None => Err(ApiError::internal("the reader of an import died")),
        }
    }

    /// The next rows to write; none when the body has ended.
    pub async fn next(&mut self) -> Option<Batch<T>> {
        while let Some(message) = self.messages.recv().await {
            match message {
                Message::Read { batch, received, refused, errors } => {
                    self.report.received += received;
                    self.report.refused += refused;
                    self.report.add_errors(errors);
                    if !batch.rows.is_empty() {
                        return Some(batch);
                    }
                }
                Message::Ended { broken } => {
                    self.ended = true;
                    self.report.complete = broken.is_none();
                    self.report.add_errors(broken);
                }
                Message::Begun | Message::Refused(_) => {}
            }
        }
        None
    }

    /// Counts what came of a batch.
    pub fn record(&mut self, outcome: Outcome) {
        self.report.applied += outcome.applied;
        self.report.unchanged += outcome.unchanged;
        self.report.refused += outcome.refused.len() as u64;
        self.report.add_errors(outcome.refused);
    }

    /// The answer to the client.
    #[must_use]
    pub fn finish(mut self) -> Report {
        if !self.ended {
            // The thread went without a last word.
            self.report.complete = false;
        }
        self.report.count();
        self.report
    }
}

impl<T: Record, S: Send + Sync> FromRequest<S> for Import<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        Self::open(&parts.headers, body).await
    }
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
