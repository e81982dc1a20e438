//! Column statistics: found on a frame, written per file, widened per table.
//!
//! Bounds are kept as the catalogue's text. Every kind compares the way its text is compared here:
//! numbers as numbers, all else byte by byte, for which days and instants have a fixed width.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use polars::prelude::*;
use sqlx::{FromRow, PgConnection};

use crate::ColumnType;
use crate::file::NewFile;
use crate::table::Table;

/// Smallest and largest value, and whether there is a NULL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) min: Option<String>,
    pub(crate) max: Option<String>,
    pub(crate) contains_null: bool,
    pub(crate) numeric: bool,
}

impl Bounds {
    /// Take in what another has seen.
    pub(crate) fn widen(&mut self, other: &Self) {
        self.contains_null |= other.contains_null;
        self.numeric |= other.numeric;
        let numeric = self.numeric;
        let wider = |existing: &mut Option<String>, new: &Option<String>, side: Ordering| {
            if let Some(new) = new
                && existing.as_ref().is_none_or(|existing| compare(new, existing, numeric) == side)
            {
                *existing = Some(new.clone());
            }
        };
        wider(&mut self.min, &other.min, Ordering::Less);
        wider(&mut self.max, &other.max, Ordering::Greater);
    }
}

fn compare(a: &str, b: &str, numeric: bool) -> Ordering {
    match (numeric, a.parse::<i64>(), b.parse::<i64>()) {
        (true, Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

/// One column's statistics in one file.
#[derive(Debug, Clone)]
pub(crate) struct ColumnStats {
    pub(crate) column_id: i64,
    pub(crate) values: i64,
    pub(crate) nulls: i64,
    pub(crate) bounds: Bounds,
}

/// Statistics of every column of a frame that is about to become a file.
pub(crate) fn of_frame(table: &Table, frame: &DataFrame) -> PolarsResult<Vec<ColumnStats>> {
    let rows = frame.height() as i64;
    let mut all = Vec::with_capacity(table.columns.len());
    for (column_id, column) in &table.columns {
        let series = frame.column(&column.name)?;
        let nulls = series.null_count() as i64;
        let (min, max) = if nulls == rows { (None, None) } else { extremes(series, column.kind)? };
        let numeric = matches!(column.kind, ColumnType::Int32 | ColumnType::Int64 | ColumnType::Money);
        let bounds = Bounds { min, max, contains_null: nulls > 0, numeric };
        all.push(ColumnStats { column_id: *column_id, values: rows - nulls, nulls, bounds });
    }
    Ok(all)
}

type Extremes = (Option<String>, Option<String>);

fn extremes(column: &Column, kind: ColumnType) -> PolarsResult<Extremes> {
    let series = column.as_materialized_series();
    Ok(match kind {
        ColumnType::Int32 => {
            let values = series.i32()?;
            (values.min().map(|it| it.to_string()), values.max().map(|it| it.to_string()))
        }
        ColumnType::Int64 | ColumnType::Money => {
            let values = series.i64()?;
            (values.min().map(|it| it.to_string()), values.max().map(|it| it.to_string()))
        }
        ColumnType::Bool => {
            let word = |it: bool| if it { "1" } else { "0" }.to_owned();
            let values = series.bool()?;
            (values.min().map(word), values.max().map(word))
        }
        ColumnType::Date => {
            let values = series.date()?.physical();
            (values.min().and_then(day_text), values.max().and_then(day_text))
        }
        ColumnType::Timestamp => {
            let values = series.datetime()?.physical();
            let text = |micros| Some(format!("{}+00", local_text(micros)?));
            (values.min().and_then(text), values.max().and_then(text))
        }
        ColumnType::Local => {
            let values = series.datetime()?.physical();
            (values.min().and_then(local_text), values.max().and_then(local_text))
        }
        ColumnType::String => {
            let values = series.str()?;
            let bounds = values.iter().flatten().fold(None, |seen: Option<(&str, &str)>, it| match seen {
                Some((min, max)) => Some((min.min(it), max.max(it))),
                None => Some((it, it)),
            });
            (bounds.map(|(min, _)| min.to_owned()), bounds.map(|(_, max)| max.to_owned()))
        }
    })
}

fn day_text(days: i32) -> Option<String> {
    let day = chrono::NaiveDate::from_epoch_days(days)?;
    Some(day.format("%Y-%m-%d").to_string())
}

fn local_text(micros: i64) -> Option<String> {
    let local = chrono::DateTime::from_timestamp_micros(micros)?;
    Some(local.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

/// Write the statistics of new files, all in one statement.
pub(crate) async fn insert_for_files(
    tx: &mut PgConnection,
    table_id: i64,
    ids: &[i64],
    files: &[NewFile],
) -> Result<(), sqlx::Error> {
    let rows: Vec<(i64, &ColumnStats)> =
        ids.iter().zip(files).flat_map(|(id, file)| file.columns.iter().map(move |column| (*id, column))).collect();
    let of = |pick: fn(&ColumnStats) -> i64| rows.iter().map(|(_, it)| pick(it)).collect::<Vec<i64>>();
    sqlx::query!(
        "INSERT INTO lake.ducklake_file_column_stats
           (data_file_id, table_id, column_id, value_count, null_count, min_value, max_value)
         SELECT file, $1, col, vals, nulls, lo, hi
         FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[])
           AS t (file, col, vals, nulls, lo, hi)",
        table_id,
        &rows.iter().map(|(id, _)| *id).collect::<Vec<i64>>(),
        &of(|it| it.column_id),
        &of(|it| it.values),
        &of(|it| it.nulls),
        rows.iter().map(|(_, it)| it.bounds.min.as_deref()).collect::<Vec<_>>() as _,
        rows.iter().map(|(_, it)| it.bounds.max.as_deref()).collect::<Vec<_>>() as _
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct Existing {
    column_id: i64,
    contains_null: Option<bool>,
    min_value: Option<String>,
    max_value: Option<String>,
}

/// Widen a table's column bounds by what its new files hold.
pub(crate) async fn widen_table(
    tx: &mut PgConnection,
    table: &Table,
    mut widened: BTreeMap<i64, Bounds>,
) -> Result<(), sqlx::Error> {
    let sql = "SELECT column_id, contains_null, min_value, max_value
               FROM lake.ducklake_table_column_stats WHERE table_id = $1";
    let existing: Vec<Existing> = sqlx::query_as(sql).bind(table.table_id).fetch_all(&mut *tx).await?;
    for row in existing {
        if let Some(bounds) = widened.get_mut(&row.column_id) {
            let numeric = bounds.numeric;
            let contains_null = row.contains_null.unwrap_or(true);
            bounds.widen(&Bounds { min: row.min_value, max: row.max_value, contains_null, numeric });
        }
    }
    sqlx::query!(
        "INSERT INTO lake.ducklake_table_column_stats (table_id, column_id, contains_null, min_value, max_value)
         SELECT $1, col, nulls, lo, hi
         FROM unnest($2::bigint[], $3::bool[], $4::text[], $5::text[]) AS t (col, nulls, lo, hi)
         ON CONFLICT (table_id, column_id) DO UPDATE
         SET contains_null = excluded.contains_null, min_value = excluded.min_value, max_value = excluded.max_value",
        table.table_id,
        &widened.keys().copied().collect::<Vec<i64>>(),
        &widened.values().map(|it| it.contains_null).collect::<Vec<_>>(),
        widened.values().map(|it| it.min.as_deref()).collect::<Vec<_>>() as _,
        widened.values().map(|it| it.max.as_deref()).collect::<Vec<_>>() as _
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(min: &str, max: &str, numeric: bool) -> Bounds {
        Bounds { min: Some(min.into()), max: Some(max.into()), contains_null: false, numeric }
    }

    #[test]
    fn numbers_widen_as_numbers_and_text_as_text() {
        let mut seen = bounds("9", "9", true);
        seen.widen(&bounds("-10", "10", true));
        assert_eq!((seen.min.as_deref(), seen.max.as_deref()), (Some("-10"), Some("10")));
        let mut seen = bounds("9", "9", false);
        seen.widen(&bounds("10", "a", false));
        assert_eq!((seen.min.as_deref(), seen.max.as_deref()), (Some("10"), Some("a")));
    }

    #[test]
    fn a_file_of_nulls_widens_nothing_but_the_null_mark() {
        let mut seen = bounds("1", "2", true);
        seen.widen(&Bounds { contains_null: true, numeric: true, ..Bounds::default() });
        assert_eq!((seen.min.as_deref(), seen.contains_null), (Some("1"), true));
    }

    #[test]
    fn instants_before_and_after_the_epoch_have_one_width() {
        assert_eq!(local_text(-1).as_deref(), Some("1969-12-31 23:59:59.999999"));
        assert_eq!(local_text(1_500_000).as_deref(), Some("1970-01-01 00:00:01.500000"));
    }
}
