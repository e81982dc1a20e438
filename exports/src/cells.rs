//! Typed access to the cells of a canonical batch.

use polars::prelude::{BooleanChunked, DataFrame, Float64Chunked, Int32Chunked, Int64Chunked, StringChunked};

use crate::column::{Column, Kind};
use crate::error::{Error, Result};

/// One column of a batch in its canonical type; dates are days and timestamps microseconds.
pub(crate) enum Cells<'a> {
    Int32(&'a Int32Chunked),
    Int64(&'a Int64Chunked),
    Float(&'a Float64Chunked),
    String(&'a StringChunked),
    Bool(&'a BooleanChunked),
    Date(&'a Int32Chunked),
    Timestamp(&'a Int64Chunked),
    /// Minor units, and the digits after the point.
    Money(&'a Int64Chunked, u8),
}

impl<'a> Cells<'a> {
    /// The columns of a batch that came from [`crate::rows::Batches`].
    pub(crate) fn of(batch: &'a DataFrame, columns: &[Column]) -> Result<Vec<Self>> {
        batch
            .columns()
            .iter()
            .zip(columns)
            .map(|(series, column)| {
                Ok(match column.kind {
                    Kind::Int32 => Self::Int32(series.i32().map_err(Error::Encode)?),
                    Kind::Int64 => Self::Int64(series.i64().map_err(Error::Encode)?),
                    Kind::Float => Self::Float(series.f64().map_err(Error::Encode)?),
                    Kind::String => Self::String(series.str().map_err(Error::Encode)?),
                    Kind::Bool => Self::Bool(series.bool().map_err(Error::Encode)?),
                    Kind::Date => Self::Date(series.date().map_err(Error::Encode)?.physical()),
                    Kind::Timestamp => Self::Timestamp(series.datetime().map_err(Error::Encode)?.physical()),
                    Kind::Money { decimals } => Self::Money(series.i64().map_err(Error::Encode)?, decimals),
                })
            })
            .collect()
    }
}
