//! Writing the rows of a revision: a column at a time, so that a statement carries thousands of rows.

use base::Currency;
use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::{Column, DataFrame, DataType, PolarsResult, TimeUnit};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres};

use super::PublishError;
use crate::report::{ColumnType, ReportColumn, ReportResult};

/// Rows of one INSERT.
const BATCH: usize = 10_000;

/// Inserts all rows under a revision that the same transaction made.
pub(super) async fn insert(
    tx: &mut PgConnection,
    table: &str,
    revision_id: i64,
    result: &ReportResult,
    currency: Currency,
) -> Result<(), PublishError> {
    let sql = statement(table, result.columns(), currency.decimals());
    let mut start = 0;
    while start < result.frame.height() {
        let batch = result.frame.slice(i64::try_from(start).unwrap_or(i64::MAX), BATCH);
        let first = i32::try_from(start).unwrap_or(i32::MAX).saturating_add(1);
        let numbers: Vec<i32> = (first..).take(batch.height()).collect();
        let mut query = sqlx::query(AssertSqlSafe(sql.clone())).bind(revision_id).bind(numbers);
        for column in result.columns() {
            query = bind(query, &batch, column)?;
        }
        query.execute(&mut *tx).await?;
        start += BATCH;
    }
    Ok(())
}

/// `INSERT … SELECT … FROM unnest(…)`. Names are the catalogue's own (checked to be plain), quoted all the same.
fn statement(table: &str, columns: &[ReportColumn], decimals: u8) -> String {
    let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let values: Vec<String> = (1..)
        .zip(columns)
        .map(|(place, column): (usize, _)| match column.kind {
            // Minor units become a decimal exactly: the scale is raised before the division.
            ColumnType::Money => format!(
                "(c{place}::numeric({}, {decimals}) / {})::numeric(18,{decimals})",
                18 + decimals,
                10_u32.pow(decimals.into()),
            ),
            _ => format!("c{place}"),
        })
        .collect();
    let arrays: Vec<String> = (3..)
        .zip(columns)
        .map(|(place, column): (usize, _)| format!("${place}::{}[]", array_type(column.kind)))
        .collect();
    let aliases: Vec<String> = (1..=columns.len()).map(|place| format!("c{place}")).collect();
    format!(
        "INSERT INTO published.{} (revision_id, row_no, {}) SELECT $1, n, {} FROM unnest($2::integer[], {}) AS u(n, {})",
        quoted(table),
        names.join(", "),
        values.join(", "),
        arrays.join(", "),
        aliases.join(", "),
    )
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

const fn array_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Int32 => "integer",
        ColumnType::Int64 | ColumnType::Money => "bigint",
        ColumnType::Float => "double precision",
        ColumnType::String => "text",
        ColumnType::Bool => "boolean",
        ColumnType::Date => "date",
        ColumnType::Timestamp => "timestamptz",
    }
}

type Insert = Query<'static, Postgres, PgArguments>;

fn bind(query: Insert, batch: &DataFrame, declared: &ReportColumn) -> PolarsResult<Insert> {
    let column = batch.column(&declared.name)?;
    Ok(match declared.kind {
        ColumnType::Int32 => query.bind(column.i32()?.iter().collect::<Vec<Option<i32>>>()),
        ColumnType::Int64 | ColumnType::Money => query.bind(column.i64()?.iter().collect::<Vec<Option<i64>>>()),
        ColumnType::Float => query.bind(column.f64()?.iter().collect::<Vec<Option<f64>>>()),
        ColumnType::String => {
            query.bind(column.str()?.iter().map(|text| text.map(str::to_owned)).collect::<Vec<Option<String>>>())
        }
        ColumnType::Bool => query.bind(column.bool()?.iter().collect::<Vec<Option<bool>>>()),
        ColumnType::Date => query.bind(dates(column)?),
        ColumnType::Timestamp => query.bind(moments(column)?),
    })
}

fn dates(column: &Column) -> PolarsResult<Vec<Option<NaiveDate>>> {
    let days = column.date()?.physical();
    let date = |days: i32| NaiveDate::default().checked_add_signed(chrono::Duration::days(days.into()));
    Ok(days.iter().map(|days| days.and_then(date)).collect())
}

fn moments(column: &Column) -> PolarsResult<Vec<Option<DateTime<Utc>>>> {
    let micros = column.cast(&DataType::Datetime(TimeUnit::Microseconds, None))?;
    let micros = micros.datetime()?.physical();
    Ok(micros.iter().map(|micros| micros.and_then(DateTime::from_timestamp_micros)).collect())
}
