//! Writing the rows of a revision: by COPY, thousands at a time.

use base::Currency;
use base::copy::{Field, Tuples};
use chrono::{DateTime, NaiveDate};
use polars::prelude::{DataFrame, DataType, PolarsResult, TimeUnit};
use sqlx::PgConnection;

use super::PublishError;
use crate::report::{ColumnType, ReportColumn, ReportResult};

/// Rows of one COPY.
const BATCH: usize = 10_000;

/// Inserts all rows under a revision that the same transaction made.
pub(super) async fn insert(
    tx: &mut PgConnection,
    table: &str,
    revision_id: i64,
    result: &ReportResult,
    currency: Currency,
) -> Result<(), PublishError> {
    let columns = result.columns();
    // Names are the catalogue's own (checked to be plain), quoted all the same.
    let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let (table, names) = (quoted(table), names.join(", "));
    let statement = format!("COPY published.{table} (revision_id, row_no, {names}) FROM STDIN WITH (FORMAT binary)");
    for start in (0..result.frame.height()).step_by(BATCH) {
        let batch = result.frame.slice(i64::try_from(start).unwrap_or(i64::MAX), BATCH);
        let first = i32::try_from(start).unwrap_or(i32::MAX).saturating_add(1);
        tuples(&batch, columns, (revision_id, first), currency)?.copy(tx, &statement).await?;
    }
    Ok(())
}

/// The rows of a batch, the first of which has a number.
fn tuples(
    batch: &DataFrame,
    columns: &[ReportColumn],
    (revision_id, first): (i64, i32),
    currency: Currency,
) -> PolarsResult<Tuples> {
    let mut cells = columns.iter().map(|column| cells(batch, column, currency)).collect::<PolarsResult<Vec<_>>>()?;
    let mut tuples = Tuples::default();
    let mut row = Vec::with_capacity(2 + columns.len());
    for number in (first..).take(batch.height()) {
        row.clear();
        row.extend([Field::Int8(revision_id), Field::Int4(number)]);
        row.extend(cells.iter_mut().map(|cells| cells.next().unwrap_or(Field::Null)));
        tuples.push(&row);
    }
    Ok(tuples)
}

type Cells<'a> = Box<dyn Iterator<Item = Field<'a>> + 'a>;

fn cells<'a>(batch: &'a DataFrame, declared: &ReportColumn, currency: Currency) -> PolarsResult<Cells<'a>> {
    fn each<'a, T: 'a>(values: impl Iterator<Item = Option<T>> + 'a, field: impl Fn(T) -> Field<'a> + 'a) -> Cells<'a> {
        Box::new(values.map(move |value| value.map_or(Field::Null, &field)))
    }
    let column = batch.column(&declared.name)?;
    let decimals = currency.decimals();
    Ok(match declared.kind {
        ColumnType::Int32 => each(column.i32()?.iter(), Field::Int4),
        ColumnType::Int64 => each(column.i64()?.iter(), Field::Int8),
        ColumnType::Money => each(column.i64()?.iter(), move |units| Field::Numeric { units, decimals }),
        ColumnType::Float => each(column.f64()?.iter(), Field::Float8),
        ColumnType::String => each(column.str()?.iter(), Field::Text),
        ColumnType::Bool => each(column.bool()?.iter(), Field::Bool),
        ColumnType::Date => {
            let days = column.date()?.physical();
            each(days.iter().map(|day| day.and_then(NaiveDate::from_epoch_days)), Field::Day)
        }
        ColumnType::Timestamp => {
            let micros = column.cast(&DataType::Datetime(TimeUnit::Microseconds, None))?;
            let micros: Vec<Option<i64>> = micros.datetime()?.physical().iter().collect();
            each(micros.into_iter().map(|it| it.and_then(DateTime::from_timestamp_micros)), Field::Moment)
        }
    })
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
