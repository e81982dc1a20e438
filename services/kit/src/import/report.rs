//! What an import answers.

use metrics::counter;
use serde::Serialize;
use utoipa::ToSchema;

use crate::metric::IMPORT_ROWS;

/// Refused rows that a report describes; beyond, it only counts.
const ERRORS: usize = 100;

/// What came of an import. Counts are rows; `received = applied + unchanged + refused`.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Report {
    /// Rows read.
    pub received: u64,
    /// Rows that changed something.
    pub applied: u64,
    /// Rows that were there already.
    pub unchanged: u64,
    /// Rows that were not applied.
    pub refused: u64,
    /// Whether the body was read to its proper end. If not, all that was whole before is applied.
    pub complete: bool,
    /// Why rows were refused: the first hundred reasons.
    pub errors: Vec<RowError>,
    /// Whether there were more reasons.
    pub errors_truncated: bool,
}

/// Why one row was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RowError {
    /// Its line in the body, from 1.
    pub line: u64,
    /// The column or key at fault; null when the row as a whole is.
    pub field: Option<String>,
    pub reason: String,
}

/// Why [`super::Record::check`] refuses a row.
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

/// What came of one batch, in rows: the three must add up to the batch.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rows that changed something.
    pub applied: u64,
    /// Rows that were there already.
    pub unchanged: u64,
    /// Rows refused by the writer.
    pub refused: Vec<RowError>,
}

impl Report {
    pub(super) fn add_errors(&mut self, errors: impl IntoIterator<Item = RowError>) {
        for error in errors {
            if self.errors.len() < ERRORS {
                self.errors.push(error);
            } else {
                self.errors_truncated = true;
            }
        }
    }

    /// Adds the counts to the metrics.
    pub(super) fn count(&self) {
        for (outcome, rows) in [("applied", self.applied), ("unchanged", self.unchanged), ("refused", self.refused)] {
            counter!(IMPORT_ROWS, "outcome" => outcome).increment(rows);
        }
    }
}
