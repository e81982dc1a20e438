//! Batches of rows in canonical types, so that an encoder meets one type per kind and no surprise.

use polars::prelude::{ChunkApply as _, Column as Series, DataFrame, DataType, IntoColumn, TimeUnit, TimeZone};

use crate::column::{Column, Kind, MONEY_PRECISION};
use crate::error::{Error, Result};

/// Regroups frames of any size into contiguous ones of about `size` rows, in canonical types.
pub(crate) struct Batches<'a, I> {
    columns: &'a [Column],
    frames: I,
    size: usize,
    /// Small frames put together, or the rest of a large one.
    held: Option<DataFrame>,
}

impl<'a, I: Iterator<Item = Result<DataFrame>>> Batches<'a, I> {
    pub(crate) fn new(columns: &'a [Column], frames: I, size: usize) -> Self {
        Self { columns, frames, size, held: None }
    }

    /// The first `size` rows of `frame` if it has more; what is left is held back.
    fn split(&mut self, mut frame: DataFrame) -> DataFrame {
        if frame.height() > self.size {
            let (head, rest) = frame.split_at(i64::try_from(self.size).unwrap_or(i64::MAX));
            self.held = Some(rest);
            frame = head;
        }
        frame.rechunk_mut();
        frame
    }
}

impl<I: Iterator<Item = Result<DataFrame>>> Iterator for Batches<'_, I> {
    type Item = Result<DataFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = self.held.take();
        while batch.as_ref().is_none_or(|frame| frame.height() < self.size) {
            let frame = match self.frames.next() {
                None => break,
                Some(frame) => match frame.and_then(|frame| canonical(&frame, self.columns)) {
                    Ok(frame) => frame,
                    Err(error) => return Some(Err(error)),
                },
            };
            batch = match batch {
                None => Some(frame),
                Some(mut held) => match held.vstack_mut(&frame) {
                    Ok(_) => Some(held),
                    Err(error) => return Some(Err(Error::Encode(error))),
                },
            };
        }
        let batch = batch.filter(|frame| frame.height() > 0)?;
        Some(Ok(self.split(batch)))
    }
}

/// The declared columns of a frame, in their order and canonical types.
fn canonical(frame: &DataFrame, columns: &[Column]) -> Result<DataFrame> {
    let fitted: Vec<Series> = columns
        .iter()
        .map(|column| {
            let series =
                frame.column(&column.name).map_err(|_| Error::MissingColumn { column: column.name.clone() })?;
            fit(series, column)
        })
        .collect::<Result<_>>()?;
    DataFrame::new(frame.height(), fitted).map_err(Error::Encode)
}

fn fit(series: &Series, column: &Column) -> Result<Series> {
    let misfit = || Error::Misfit { column: column.name.clone(), kind: column.kind, found: series.dtype().to_string() };
    let found = series.dtype();
    let fits = match column.kind {
        // A fraction of a cent is never rounded here: who divides money decides how to round it.
        Kind::Int32 | Kind::Int64 | Kind::Money { .. } => found.is_integer(),
        Kind::Float => found.is_primitive_numeric(),
        Kind::String => *found == DataType::String,
        Kind::Bool => *found == DataType::Boolean,
        Kind::Date => *found == DataType::Date,
        Kind::Timestamp => matches!(found, DataType::Datetime(_, _)),
    };
    if !fits && *found != DataType::Null {
        return Err(misfit());
    }
    let fitted = match column.kind {
        Kind::Timestamp => utc_microseconds(series).map_err(|_| misfit())?,
        Kind::Float => finite(&series.strict_cast(&DataType::Float64).map_err(|_| misfit())?).map_err(|_| misfit())?,
        kind => series.strict_cast(&kind.canonical()).map_err(|_| misfit())?,
    };
    Ok(fitted)
}

/// The same moments as microseconds in UTC. A column without a zone is UTC already: that is how
/// the lake keeps them.
fn utc_microseconds(series: &Series) -> polars::prelude::PolarsResult<Series> {
    let unit = match series.dtype() {
        DataType::Datetime(unit, _) => *unit,
        _ => TimeUnit::Microseconds,
    };
    let physical = series.to_physical_repr().cast(&DataType::Int64)?;
    let physical = physical.i64()?;
    let micros = match unit {
        TimeUnit::Nanoseconds => physical.apply_values(|value| value.div_euclid(1_000)),
        TimeUnit::Microseconds => physical.clone(),
        TimeUnit::Milliseconds => physical.apply_values(|value| value.saturating_mul(1_000)),
    };
    Ok(micros.into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)).into_column())
}

/// Turns NaN and infinities into null, and minus zero into zero: JSON has no form for them.
fn finite(series: &Series) -> polars::prelude::PolarsResult<Series> {
    let values = series.f64()?;
    Ok(values.apply(|value| value.filter(|value| value.is_finite()).map(|value| value + 0.0)).into_column())
}

/// The batch as a columnar file holds it: cents become decimals.
pub(crate) fn columnar(batch: &DataFrame, columns: &[Column]) -> Result<DataFrame> {
    let columns = columns
        .iter()
        .zip(batch.columns())
        .map(|(column, series)| match column.kind {
            Kind::Money { decimals } => decimal(series, decimals).map_err(|_| Error::Misfit {
                column: column.name.clone(),
                kind: column.kind,
                found: format!("an amount of more than {MONEY_PRECISION} digits"),
            }),
            _ => Ok(series.clone()),
        })
        .collect::<Result<Vec<_>>>()?;
    DataFrame::new(batch.height(), columns).map_err(Error::Encode)
}

fn decimal(series: &Series, decimals: u8) -> polars::prelude::PolarsResult<Series> {
    let cents = series.cast(&DataType::Int128)?;
    Ok(cents.i128()?.clone().into_decimal(MONEY_PRECISION, decimals.into())?.into_column())
}
