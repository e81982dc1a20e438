//! Export files: what the packs of each night hold, and opening one.

use std::{fs::File, io::ErrorKind, path::Path};

use ::exports::Format;
use chrono::{DateTime, NaiveDate, Utc};
use kit::page::{Cursor, Limit, Page};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};

use super::{
    AnswerError,
    spool::{OpenFile, from_hex},
};

/// One file of an export pack.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
#[schema(as = FileView, example = json!({
    "id": 77, "business_day": "2026-11-21", "report": "store_performance", "revision": 1, "format": "xlsx",
    "path": "2026-11-21/store_performance-r1.xlsx", "rows": 12, "bytes": 8123,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "created_at": "2026-11-22T02:31:00Z",
}))]
pub struct ExportFile {
    /// Its number.
    pub id: i64,
    /// The business day.
    pub business_day: NaiveDate,
    /// The report.
    pub report: String,
    /// The published revision.
    pub revision: i32,
    /// The format's name.
    pub format: String,
    /// Below the exports folder.
    pub path: String,
    /// Rows.
    pub rows: i64,
    /// Length in bytes.
    pub bytes: i64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// When it was recorded.
    pub created_at: DateTime<Utc>,
}

/// Which files are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FilesQuery {
    /// Only this business day.
    pub business_day: Option<NaiveDate>,
    /// Only this report.
    pub report: Option<String>,
    /// Only this format.
    pub format: Option<String>,
    /// How many, 1 to 500.
    #[serde(default)]
    pub limit: Limit,
    /// The `next` of the page before.
    pub after: Option<Cursor>,
}

/// The files of the export packs, the newest day first; those after `before`, the day and number of a file.
///
/// # Errors
/// The database is unavailable.
pub async fn page(
    pool: &PgPool,
    query: FilesQuery,
    before: Option<(NaiveDate, i64)>,
) -> Result<Page<ExportFile>, AnswerError> {
    let rows: Vec<ExportFile> = sqlx::query_as(
        "SELECT id, business_day, report, revision, format, path, rows, bytes, sha256, created_at FROM exports.file
          WHERE removed_at IS NULL
            AND ($1::date IS NULL OR business_day = $1)
            AND ($2::text IS NULL OR report = $2)
            AND ($3::text IS NULL OR format = $3)
            AND ($4::date IS NULL OR (business_day, id) < ($4, $5))
          ORDER BY business_day DESC, id DESC
          LIMIT $6",
    )
    .bind(query.business_day)
    .bind(query.report)
    .bind(query.format)
    .bind(before.map(|(day, _)| day))
    .bind(before.map_or(0, |(_, id)| id))
    .bind(query.limit.fetch())
    .fetch_all(pool)
    .await?;
    Ok(Page::of(rows, query.limit, |row| (row.business_day, row.id)))
}

/// One file, its format, and its bytes open for reading.
///
/// # Errors
/// [`AnswerError::UnknownFile`] when it is not recorded or not in the folder.
pub async fn open(pool: &PgPool, folder: &Path, id: i64) -> Result<(ExportFile, Format, OpenFile), AnswerError> {
    let row: Option<ExportFile> = sqlx::query_as(
        "SELECT id, business_day, report, revision, format, path, rows, bytes, sha256, created_at FROM exports.file
          WHERE id = $1 AND removed_at IS NULL",
    )
    .bind(id)
    .fetch_optional(pool)
    .await?;
    let row = row.ok_or(AnswerError::UnknownFile { id })?;
    let format = Format::from_name(&row.format).ok_or(AnswerError::UnknownFile { id })?;
    let file = File::open(folder.join(&row.path)).map_err(|error| match error.kind() {
        ErrorKind::NotFound => AnswerError::UnknownFile { id },
        _ => AnswerError::internal(error),
    })?;
    let length = file.metadata().map_err(AnswerError::internal)?.len();
    let sha256 = from_hex(&row.sha256).ok_or_else(|| AnswerError::internal("a recorded digest is no digest"))?;
    Ok((row, format, OpenFile { file, length, sha256 }))
}
