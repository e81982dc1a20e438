//! Bulk import: a body of CSV or NDJSON as long as it likes, staged, judged and applied.
//!
//! 1. **Stage.** A blocking thread reads the body and parses each row; the handler writes piece after piece into the
//!    unlogged table `import_rows`, by a COPY of its own. No transaction is open while the client is silent.
//! 2. **Judge and apply.** The rows of a document are put together by its key, wherever they stand in the file, and
//!    each document is written whole or refused whole, some thousand rows in a transaction, two of them side by side.
//!
//! A kind of import is a [`Kind`]: the columns of its rows ([`columns!`](crate::columns)) and how its documents are
//! applied. One import runs at a time in a database: an advisory lock is its lease, and each of its transactions commits
//! only if it finds the row of `imports` that the lease stands for as it was left. A small import answers at once; of a large one the answer is 202, and
//! `GET /imports/{id}` tells what comes of it. What ended in between is `interrupted`, and sending the file again
//! finishes it, for what is stored and equal is unchanged.
//!
//! Read the files in this order: `column`, `record`, `report`, `read_csv`, `sink`, `run`, `page`, `apply`, `status`,
//! `withdrawal`.

mod apply;
mod body;
mod column;
pub mod history;
mod page;
mod read_csv;
mod read_ndjson;
mod record;
mod report;
mod run;
mod sink;
mod source;
mod status;
mod value;
mod withdrawal;

pub use column::{Cell, Cells, Column, Columns, Form, Given, Value, join, schema};
pub use record::{Applying, Document, Kind, OnDifference, Record, Row, Rules};
pub use report::{Fault, Outcome, Refusal, Report, RowError, State};
pub use run::{Imports, Options};
pub use value::{Major, Minor, Moment};
pub use withdrawal::{Exchange, Step, Sum, Withdrawal, unfit};

/// Rows that one document may have.
pub const DOCUMENT_ROWS: usize = 5_000;
/// Rows that a body may have.
pub const MAX_ROWS: u64 = 10_000_000;
/// Bytes that a body may have, as the gateway says too. Staging takes about twice as many on disk.
pub const MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// Rows up to which an import answers only when it is done.
pub const SMALL: u64 = 150_000;

/// The amount of two columns of which one is in minor units and one in major; none where neither is given.
///
/// # Errors
/// They differ, or the currency has fewer decimals.
pub fn amount(
    minor: (&'static str, Option<i64>),
    major: (&'static str, Option<Major>),
    rules: Rules,
) -> Result<Option<i64>, Refusal> {
    let converted = major.1.map(|amount| amount.minor(rules.decimals.into())).transpose();
    let converted = converted.map_err(|reason| Refusal::new(major.0, reason))?;
    match (minor.1, converted) {
        (Some(given), Some(other)) if given != other => {
            Err(Refusal::new(major.0, format!("is {other} in minor units, but {} is {given}", minor.0)))
        }
        (given, converted) => Ok(given.or(converted)),
    }
}

#[cfg(test)]
mod tests;
