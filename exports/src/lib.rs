//! Frames to bytes: every format a report can be had in, one file each behind one closed enum.
//!
//! [`write()`] streams batches of rows to any writer; what it holds at once is a batch, never the
//! whole result, so memory stays flat whatever the number of rows. The caller gives the columns
//! (which also decide the types: a `money` column arrives as integer cents and leaves as a decimal
//! with two places) and the [`Provenance`] that travels in every format.
//!
//! What a value looks like:
//!
//! | kind | JSON, NDJSON | CSV | Parquet, Arrow | XLSX |
//! |---|---|---|---|---|
//! | `money` | `1234.50`, with the currency's own digits always | `1234.50` | `DECIMAL(18,2)` | number, `#,##0.00` |
//! | `int64` | number; a string beyond ±(2^53 − 1) | digits (`spreadsheet`: text beyond 15) | `INT64` | number; text beyond 15 digits |
//! | `float` | shortest exact form | same | `DOUBLE` | number |
//! | `date` | `"2026-03-08"` | same | `DATE` | date cell |
//! | `timestamp` | `"2026-03-08T07:30:00.000000Z"` | same (`spreadsheet`: without `T` and `Z`) | microseconds, UTC | date cell, UTC |
//! | null | `null` | nothing (as empty text is) | null | empty cell |
//!
//! A float that is not finite has no form in JSON, so it is null in every format. The profile `spreadsheet` writes text
//! that could be taken for a number, a date or a formula as `="text"`.

mod arrow;
mod cells;
mod column;
mod csv;
mod error;
mod format;
pub mod json;
pub mod metric;
mod ndjson;
mod parquet;
mod provenance;
mod rows;
mod text;
mod xlsx;

use std::io::Write;
use std::time::Instant;

use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};

pub use crate::column::{Column, Kind};
pub use crate::error::{Error, Result};
pub use crate::format::{CsvProfile, DecimalMark, Format};
pub use crate::provenance::{Outdated, Provenance, Source};
pub use crate::text::money;

/// What [`write()`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Rows, headers not counted.
    pub rows: u64,
    /// Bytes given to the writer.
    pub bytes: u64,
}

/// Writes all of `rows` to `out` in `format`, batch by batch.
///
/// The frames must hold every one of `columns` by name (others are ignored) in a type that fits
/// its [`Kind`]. No row at all still gives a whole document with header and schema.
///
/// # Errors
/// The first failure of the iterator, of a value that does not fit, or of the writer. What was
/// written by then is not a complete document: discard it.
pub fn write<I>(
    format: Format,
    provenance: &Provenance,
    columns: &[Column],
    rows: I,
    out: &mut (dyn Write + Send),
) -> Result<Written>
where
    I: IntoIterator<Item = Result<DataFrame>>,
{
    let began = Instant::now();
    let outcome = encode(format, provenance, columns, rows, out);
    metric::ended(format, began.elapsed(), &outcome);
    outcome
}

fn encode<I>(
    format: Format,
    provenance: &Provenance,
    columns: &[Column],
    rows: I,
    out: &mut (dyn Write + Send),
) -> Result<Written>
where
    I: IntoIterator<Item = Result<DataFrame>>,
{
    let mut out = Counting { out, bytes: 0 };
    let batches = rows::Batches::new(columns, rows.into_iter(), format.batch_rows());
    let rows = match format {
        Format::Json => json::write(provenance, columns, batches, &mut out),
        Format::Ndjson => ndjson::write(columns, batches, &mut out),
        Format::Csv(profile) => csv::write(profile, provenance, columns, batches, &mut out),
        Format::Parquet => parquet::write(provenance, columns, batches, &mut out),
        Format::Xlsx => xlsx::write(provenance, columns, batches, &mut out),
        Format::Arrow => arrow::write(provenance, columns, batches, &mut out),
    }?;
    out.flush().map_err(Error::Write)?;
    Ok(Written { rows, bytes: out.bytes })
}

/// Counts what passes, so that no encoder has to.
struct Counting<'a> {
    out: &'a mut (dyn Write + Send),
    bytes: u64,
}

impl Write for Counting<'_> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(buffer)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod samples;
