//! Reading the catalogue: which snapshots there are, and which files are live in one.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{FromRow, PgPool};

use crate::LakeError;

/// One file of a dataset, live in the snapshot that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DataFile {
    /// Catalogue id.
    pub data_file_id: i64,
    /// Path below the table's folder.
    pub path: String,
    /// Exact number of rows, the deleted ones included.
    pub record_count: i64,
    /// Size in bytes.
    pub file_size_bytes: i64,
    /// First business day in the file; `None` for a dataset without days.
    pub first_day: Option<NaiveDate>,
    /// Last business day in the file.
    pub last_day: Option<NaiveDate>,
    /// Catalogue id of its delete file.
    pub delete_file_id: Option<i64>,
    /// Its path below the table's folder.
    pub delete_path: Option<String>,
    /// Rows that it deletes.
    pub delete_count: i64,
}

/// A committed state of the lake.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Snapshot {
    /// Its number.
    pub snapshot_id: i64,
    /// When it was committed.
    pub snapshot_time: DateTime<Utc>,
    /// What it changed, in the specification's tokens.
    pub changes_made: String,
}

/// The newest snapshot's number.
pub async fn current(db: &PgPool) -> Result<i64, LakeError> {
    Ok(sqlx::query_scalar("SELECT max(snapshot_id) FROM lake.ducklake_snapshot").fetch_one(db).await?)
}

/// The newest snapshot committed at or before an instant; `None` when all are younger.
pub async fn at(db: &PgPool, instant: DateTime<Utc>) -> Result<Option<i64>, LakeError> {
    let sql = "SELECT max(snapshot_id) FROM lake.ducklake_snapshot WHERE snapshot_time <= $1";
    Ok(sqlx::query_scalar(sql).bind(instant).fetch_one(db).await?)
}

/// Whether the snapshot can still be read; [`LakeError::UnknownSnapshot`] if not.
pub async fn require(db: &PgPool, snapshot: i64) -> Result<(), LakeError> {
    let sql = "SELECT EXISTS (SELECT FROM lake.ducklake_snapshot WHERE snapshot_id = $1)";
    let known: bool = sqlx::query_scalar(sql).bind(snapshot).fetch_one(db).await?;
    if known { Ok(()) } else { Err(LakeError::UnknownSnapshot(snapshot)) }
}

/// The newest snapshots first, at most `limit`.
pub async fn list(db: &PgPool, limit: i64) -> Result<Vec<Snapshot>, LakeError> {
    let sql = "SELECT snapshot_id, snapshot_time, coalesce(changes_made, '') AS changes_made
               FROM lake.ducklake_snapshot JOIN lake.ducklake_snapshot_changes USING (snapshot_id)
               ORDER BY snapshot_id DESC LIMIT $1";
    Ok(sqlx::query_as(sql).bind(limit).fetch_all(db).await?)
}

/// The files of a table that are live in a snapshot, oldest day first.
///
/// With `days`, only those whose statistics say that they may hold one of the days; files of a
/// table without business days are always among them.
pub async fn files(
    db: &PgPool,
    snapshot: i64,
    table_id: i64,
    days: Option<RangeInclusive<NaiveDate>>,
) -> Result<Vec<DataFile>, LakeError> {
    let (from, to) = match days {
        Some(range) => (Some(*range.start()), Some(*range.end())),
        None => (None, None),
    };
    let sql = "SELECT f.data_file_id, f.path, f.record_count, f.file_size_bytes,
                      s.min_value::date AS first_day, s.max_value::date AS last_day,
                      d.delete_file_id, d.path AS delete_path, coalesce(d.delete_count, 0) AS delete_count
               FROM lake.ducklake_data_file f
               LEFT JOIN lake.ducklake_delete_file d
                 ON d.data_file_id = f.data_file_id
                AND d.begin_snapshot <= $1 AND (d.end_snapshot IS NULL OR d.end_snapshot > $1)
               LEFT JOIN lake.ducklake_column c
                 ON c.table_id = f.table_id AND c.column_name = 'business_day' AND c.end_snapshot IS NULL
                AND EXISTS (SELECT FROM lake.ducklake_partition_info p
                            WHERE p.table_id = f.table_id AND p.end_snapshot IS NULL)
               LEFT JOIN lake.ducklake_file_column_stats s
                 ON s.data_file_id = f.data_file_id AND s.column_id = c.column_id
               WHERE f.table_id = $2 AND f.begin_snapshot <= $1 AND (f.end_snapshot IS NULL OR f.end_snapshot > $1)
                 AND ($3::date IS NULL OR s.max_value IS NULL OR s.max_value::date >= $3)
                 AND ($4::date IS NULL OR s.min_value IS NULL OR s.min_value::date <= $4)
               ORDER BY first_day NULLS FIRST, f.data_file_id";
    Ok(sqlx::query_as(sql).bind(snapshot).bind(table_id).bind(from).bind(to).fetch_all(db).await?)
}

/// The farthest value from zero of each column of whole numbers in these files, by column.
///
/// A column in which all is NULL, and one that the files do not have, is 0 or not there.
pub(crate) async fn farthest(db: &PgPool, files: &[i64]) -> Result<BTreeMap<String, f64>, LakeError> {
    if files.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql =
        "SELECT c.column_name, coalesce(max(greatest(abs(s.min_value::numeric), abs(s.max_value::numeric))), 0)::float8
               FROM lake.ducklake_file_column_stats s
               JOIN lake.ducklake_column c
                 ON c.table_id = s.table_id AND c.column_id = s.column_id AND c.end_snapshot IS NULL
                AND c.column_type IN ('int32', 'int64')
               WHERE s.data_file_id = ANY($1)
               GROUP BY 1";
    let found: Vec<(String, f64)> = sqlx::query_as(sql).bind(files).fetch_all(db).await?;
    Ok(found.into_iter().collect())
}
