//! Export files: what there is, and downloading one.

use std::{fs::File, io::ErrorKind};

use ::exports::Format;
use axum::{
    extract::State as Of,
    http::{HeaderMap, Method},
    response::Response,
};
use chrono::{DateTime, NaiveDate, Utc};
use kit::{
    error::ApiError,
    extract::{Json, Path, Query},
    page::{Cursor, Limit, Page},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::Kept;
use crate::{
    State,
    download::{Attachment, Whole, from_hex, send},
};

/// One file of an export pack.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
#[schema(example = json!({
    "id": 77, "business_day": "2026-11-21", "report": "store_performance", "revision": 1, "format": "xlsx",
    "path": "2026-11-21/store_performance-r1.xlsx", "rows": 12, "bytes": 8123,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "created_at": "2026-11-22T02:31:00Z",
}))]
pub struct FileView {
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
    business_day: Option<NaiveDate>,
    /// Only this report.
    report: Option<String>,
    /// Only this format.
    format: Option<String>,
    /// How many, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// The `next` of the page before.
    after: Option<Cursor>,
}

/// The files of the export packs, the newest day first.
#[utoipa::path(get, path = "/exports", tag = "exports", params(FilesQuery), responses((status = 200, body = Page<FileView>)))]
pub async fn list(Of(state): Of<State>, Query(query): Query<FilesQuery>) -> Result<Json<Page<FileView>>, ApiError> {
    let before = Cursor::key::<(NaiveDate, i64)>(query.after.as_ref())?;
    let rows: Vec<FileView> = sqlx::query_as(
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
    .fetch_all(&state.pool)
    .await?;
    Ok(Json(Page::of(rows, query.limit, |row| (row.business_day, row.id))))
}

/// Download one file; ranges and conditional requests work.
#[utoipa::path(get, path = "/exports/{id}", tag = "exports", params(("id" = i64, Path, description = "The file's number")),
    responses((status = 200, description = "The file"), (status = 206, description = "The bytes that `Range` asks for"),
              (status = 304, description = "As you have it"), (status = 404, description = "There is no such file"),
              (status = 412, description = "`If-Match` or `If-Unmodified-Since` names another version"),
              (status = 416, description = "`Range` begins beyond the end")))]
pub async fn get(
    Of(state): Of<State>,
    Path(id): Path<i64>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let row: Option<FileView> = sqlx::query_as(
        "SELECT id, business_day, report, revision, format, path, rows, bytes, sha256, created_at FROM exports.file
          WHERE id = $1 AND removed_at IS NULL",
    )
    .bind(id)
    .fetch_optional(&state.pool)
    .await?;
    let missing = || ApiError::not_found(format!("export file {id}; GET /exports lists them"));
    let row = row.ok_or_else(missing)?;
    let format = Format::from_name(&row.format).ok_or_else(missing)?;
    let file = File::open(state.config.exports_dir.join(&row.path)).map_err(|error| match error.kind() {
        ErrorKind::NotFound => missing(),
        _ => ApiError::internal(error),
    })?;
    let length = file.metadata().map_err(ApiError::internal)?.len();
    let sha256 = from_hex(&row.sha256).ok_or_else(|| ApiError::internal("a recorded digest is no digest"))?;
    let attachment = Attachment {
        media_type: format.media_type(),
        file_name: format!("{}-{}-r{}.{}", row.report, row.business_day, row.revision, format.extension()),
        coding: None,
        // A revision never changes, and neither does its file.
        cache_control: Kept::Immutable.header(),
        modified: row.created_at,
        lasting: true,
        save: true,
    };
    send(&state.downloads, &method, &headers, &attachment, Whole { file, length, sha256 })
}
