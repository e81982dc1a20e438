//! What an import answers.

use chrono::{DateTime, Utc};
use metrics::counter;
use serde::Serialize;
use utoipa::ToSchema;

use super::record::Document;
use crate::metric::IMPORT_ROWS;

/// Where an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum State {
    /// The file is coming in; nothing of it is applied.
    Receiving,
    /// Its documents are applied, some in each transaction.
    Applying,
    /// All documents are applied, unchanged or refused.
    Finished,
    /// The file was refused as a whole.
    Refused,
    /// It ended in between: sending the file again finishes it.
    Interrupted,
    /// What it applied is being taken back.
    Withdrawing,
    /// What it applied is taken back.
    Withdrawn,
}

/// What came of an import. Counts are rows; `received = applied + unchanged + refused` once it is finished.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub struct Report {
    /// Its number.
    pub id: i64,
    /// What is imported: `sales`.
    pub kind: String,
    pub state: State,
    /// Rows read.
    #[sqlx(try_from = "i64")]
    pub received: u64,
    /// Rows that changed something.
    #[sqlx(try_from = "i64")]
    pub applied: u64,
    /// Rows that were there already, and equal.
    #[sqlx(try_from = "i64")]
    pub unchanged: u64,
    /// Rows that were not applied.
    #[sqlx(try_from = "i64")]
    pub refused: u64,
    /// Whether the body was read to its proper end.
    pub complete: bool,
    /// Why it was interrupted or refused as a whole.
    pub detail: Option<String>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    /// Why rows were refused: the first hundred reasons, by line; `GET /imports/{id}/refusals` has all.
    #[sqlx(skip)]
    pub errors: Vec<RowError>,
    /// Whether there were more reasons.
    #[sqlx(skip)]
    pub errors_truncated: bool,
}

/// Why one row was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RowError {
    /// Its line in the body, from 1; 0 for a document that a withdrawal leaves.
    pub line: u64,
    /// The column or key at fault; null when the row as a whole is.
    pub field: Option<String>,
    pub reason: String,
}

/// Why a row is refused by what it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub field: &'static str,
    pub reason: String,
}

impl Refusal {
    /// A refusal of `field`.
    pub fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field, reason: reason.into() }
    }
}

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line at fault; none for the document's first.
    pub line: Option<u64>,
    pub field: &'static str,
    pub reason: String,
}

impl Fault {
    /// A fault of the document as a whole.
    pub fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self { line: None, field, reason: reason.into() }
    }

    /// What the file says differs from what is stored.
    pub fn differs(line: Option<u64>, field: &'static str, old: impl ToString, new: impl ToString) -> Self {
        let (old, new) = (old.to_string(), new.to_string());
        let shown = |value: String| if value.is_empty() { "nothing".to_owned() } else { value };
        let reason = format!("is {} in this file, but {} is stored", shown(new), shown(old));
        Self { line, field, reason }
    }
}

/// What came of some documents, in rows.
#[derive(Debug, Default)]
pub struct Outcome {
    pub(super) applied: u64,
    pub(super) unchanged: u64,
    pub(super) refused: u64,
    pub(super) errors: Vec<RowError>,
}

impl Outcome {
    /// Rows that something came of.
    pub(super) fn rows(&self) -> u64 {
        self.applied + self.unchanged + self.refused
    }

    /// The document was written.
    pub fn apply<T>(&mut self, document: &Document<T>) {
        self.applied += document.rows.len() as u64;
    }

    /// The document is stored as it is in the file.
    pub fn unchanged<T>(&mut self, document: &Document<T>) {
        self.unchanged += document.rows.len() as u64;
    }

    /// The document is not applied.
    pub fn refuse<T>(&mut self, document: &Document<T>, fault: Fault) {
        self.refused += document.rows.len() as u64;
        let line = fault.line.unwrap_or_else(|| document.line());
        self.errors.push(RowError { line, field: Some(fault.field.to_owned()), reason: fault.reason });
    }

    /// Of a key that comes more than once, one row was written or equal; the rows before it are as good as unchanged.
    pub fn last<T>(&mut self, document: &Document<T>, applied: bool) {
        let rows = document.rows.len() as u64;
        self.applied += u64::from(applied);
        self.unchanged += rows - u64::from(applied);
    }
}

impl Report {
    /// Adds the counts to the metrics.
    pub(super) fn count(&self) {
        for (outcome, rows) in [("applied", self.applied), ("unchanged", self.unchanged), ("refused", self.refused)] {
            counter!(IMPORT_ROWS, "outcome" => outcome).increment(rows);
        }
    }
}
