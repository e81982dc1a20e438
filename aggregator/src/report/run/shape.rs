//! From what the engine computed to exactly the declared columns.

use std::sync::Arc;

use polars::prelude::{ChunkApply as _, Column, DataFrame, DataType, Float64Chunked, IntoColumn as _, PolarsError};

use super::engine::Shape;
use super::error::ReportError;
use crate::report::language::header::ColumnType;

/// Beyond it a float no longer counts cents one by one.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Casts every column to its declared type, or says why it cannot be.
pub(crate) fn shape(frame: &DataFrame, wanted: &Shape) -> Result<DataFrame, ReportError> {
    let engine = |source: PolarsError| ReportError::Engine { report: wanted.report.clone(), source: Arc::new(source) };
    let declared = wanted.columns.iter();
    let columns = declared.map(|(name, kind)| cast(frame.column(name).map_err(engine)?, *kind));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let mut shaped = DataFrame::new(frame.height(), columns).map_err(engine)?;
    shaped.rechunk_mut();
    if !is_unique(&shaped, &wanted.key).map_err(engine)? {
        return Err(ReportError::AmbiguousKey { report: wanted.report.clone(), key: wanted.key.join(", ") });
    }
    Ok(shaped)
}

fn cast(column: &Column, kind: ColumnType) -> Result<Column, ReportError> {
    let overflow = |detail: String| ReportError::Overflow { column: column.name().to_string(), detail };
    let strict =
        |to: DataType| column.strict_cast(&to).map_err(|_| overflow(format!("a value that does not fit {to}")));
    match kind {
        ColumnType::Int32 => strict(DataType::Int32),
        ColumnType::Int64 => strict(DataType::Int64),
        ColumnType::Money if column.dtype().is_float() => cents(column).map_err(overflow),
        ColumnType::Money => strict(DataType::Int64),
        ColumnType::Float => finite(&strict(DataType::Float64)?).map_err(|error| overflow(error.to_string())),
        ColumnType::Bool => strict(DataType::Boolean),
        ColumnType::Date => strict(DataType::Date),
        ColumnType::String | ColumnType::Timestamp => Ok(column.clone()),
    }
}

/// Money that a division made, rounded half to even to whole cents.
fn cents(column: &Column) -> Result<Column, String> {
    let values = column.cast(&DataType::Float64).map_err(|error| error.to_string())?;
    let values = values.f64().map_err(|error| error.to_string())?;
    let rounded = values.apply(|value| value.filter(|value| value.is_finite()).map(f64::round_ties_even));
    if rounded.iter().flatten().any(|value| value.abs() > EXACT) {
        return Err("an amount beyond what can be exact to the cent".to_owned());
    }
    rounded.into_column().strict_cast(&DataType::Int64).map_err(|error| error.to_string())
}

/// Division by zero gives no number, and neither JSON nor PostgreSQL's readers want one.
fn finite(column: &Column) -> Result<Column, PolarsError> {
    let values: &Float64Chunked = column.f64()?;
    Ok(values.apply(|value| value.filter(|value| value.is_finite()).map(|value| value + 0.0)).into_column())
}

fn is_unique(frame: &DataFrame, key: &[String]) -> Result<bool, PolarsError> {
    if key.is_empty() {
        return Ok(frame.height() <= 1);
    }
    if let [only] = key {
        return Ok(frame.column(only)?.n_unique()? == frame.height());
    }
    Ok(frame.select(key)?.is_unique()?.all())
}

#[cfg(test)]
mod tests {
    use polars::prelude::Column;

    use super::cents;

    #[test]
    fn a_divided_amount_is_rounded_half_to_even() {
        let column = Column::new("m".into(), [0.5, 1.5, 2.5, -0.5, -1.5, 2.4999, f64::NAN, f64::INFINITY]);
        let rounded = cents(&column).unwrap();
        let values: Vec<Option<i64>> = rounded.i64().unwrap().iter().collect();
        assert_eq!(values, [Some(0), Some(2), Some(2), Some(0), Some(-2), Some(2), None, None]);
        assert!(cents(&Column::new("m".into(), [1e16])).is_err());
    }
}
