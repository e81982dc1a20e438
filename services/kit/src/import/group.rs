//! From rows to batches of whole documents.

use tokio::sync::mpsc;

use super::{BATCH_ROWS, Batch, DOCUMENT_ROWS, Message, Record, Row, RowError};
use crate::error::ApiError;

/// Errors described per message; a report shows fewer still.
const ERRORS: usize = 200;

/// Takes rows in the order of the body, on the reading thread.
pub(super) struct Sink<T> {
    sender: mpsc::Sender<Message<T>>,
    batch: Vec<Row<T>>,
    received: u64,
    refused: u64,
    errors: Vec<RowError>,
    documents: u64,
    open: Option<Document<T>>,
}

/// The document whose rows are coming in.
struct Document<T> {
    key: String,
    rows: Vec<Row<T>>,
    first_line: u64,
    /// Whether it cannot be applied any more.
    broken: bool,
}

/// The handler went away; stop reading.
pub(super) struct Gone;

impl<T: Record> Sink<T> {
    pub(super) fn new(sender: mpsc::Sender<Message<T>>) -> Self {
        Self { sender, batch: Vec::new(), received: 0, refused: 0, errors: Vec::new(), documents: 0, open: None }
    }

    /// The body begins well.
    pub(super) fn begin(&self) -> Result<(), Gone> {
        self.sender.blocking_send(Message::Begun).map_err(|_| Gone)
    }

    /// Nothing can be read from this body.
    pub(super) fn refuse_body(&self, error: ApiError) -> Result<(), Gone> {
        self.sender.blocking_send(Message::Refused(error)).map_err(|_| Gone)
    }

    /// A row that parsed.
    pub(super) fn row(&mut self, line: u64, value: T) -> Result<(), Gone> {
        if let Err(refusal) = value.check() {
            let error = RowError { line, field: Some(refusal.field.to_owned()), reason: refusal.reason };
            return self.refuse(value.document(), error);
        }
        self.received += 1;
        if T::DOCUMENT.is_none() {
            self.documents += 1;
            self.batch.push(Row { line, value, document: self.documents });
            return if self.batch.len() >= BATCH_ROWS { self.flush() } else { Ok(()) };
        }
        self.enter(value.document().unwrap_or_default(), line)?;
        let document = self.documents;
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.broken {
            self.refused += 1;
        } else if open.rows.len() < DOCUMENT_ROWS {
            open.rows.push(Row { line, value, document });
        } else {
            self.refused += 1;
            self.break_open(&format!("the document has more than {DOCUMENT_ROWS} rows"));
        }
        Ok(())
    }

    /// A row that is refused; its document goes with it. A row that cannot even say which that is
    /// is taken to belong to the document before it.
    pub(super) fn refuse(&mut self, key: Option<&str>, error: RowError) -> Result<(), Gone> {
        self.received += 1;
        self.refused += 1;
        let line = error.line;
        self.describe(error);
        if T::DOCUMENT.is_some() {
            if let Some(key) = key {
                self.enter(key, line)?;
            }
            self.break_open(&format!("the document is refused because of line {line}"));
        }
        // A body of nothing but errors must reach the handler, too.
        if self.errors.len() >= ERRORS { self.flush() } else { Ok(()) }
    }

    /// The end of the body. Where it broke off, more rows of the last document may have been lost.
    pub(super) fn end(&mut self, broken: Option<RowError>) -> Result<(), Gone> {
        if let Some(error) = &broken {
            self.break_open(&format!("the body broke off within this document, at line {}", error.line));
        }
        self.close()?;
        self.flush()?;
        self.sender.blocking_send(Message::Ended { broken }).map_err(|_| Gone)
    }

    /// Makes the document of that key the open one.
    fn enter(&mut self, key: &str, first_line: u64) -> Result<(), Gone> {
        if self.open.as_ref().is_some_and(|open| open.key == key) {
            return Ok(());
        }
        self.close()?;
        self.documents += 1;
        self.open = Some(Document { key: key.to_owned(), rows: Vec::new(), first_line, broken: false });
        Ok(())
    }

    /// Refuses the open document, and the rows that it has so far.
    fn break_open(&mut self, reason: &str) {
        let Some(open) = &mut self.open else { return };
        let rows = std::mem::take(&mut open.rows);
        open.broken = true;
        if !rows.is_empty() {
            let line = open.first_line;
            self.refused += rows.len() as u64;
            let field = T::DOCUMENT.map(ToOwned::to_owned);
            self.describe(RowError { line, field, reason: reason.to_owned() });
        }
    }

    fn close(&mut self) -> Result<(), Gone> {
        if let Some(document) = self.open.take() {
            self.batch.extend(document.rows);
        }
        if self.batch.len() >= BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    fn describe(&mut self, error: RowError) {
        if self.errors.len() < ERRORS {
            self.errors.push(error);
        }
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let message = Message::Read {
            batch: Batch { rows: std::mem::take(&mut self.batch) },
            received: std::mem::take(&mut self.received),
            refused: std::mem::take(&mut self.refused),
            errors: std::mem::take(&mut self.errors),
        };
        self.sender.blocking_send(message).map_err(|_| Gone)
    }
}
