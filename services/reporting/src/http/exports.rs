//! Export files: what there is, and downloading one.

use axum::{
    extract::State as Of,
    http::{HeaderMap, Method},
    response::Response,
};
use chrono::NaiveDate;
use kit::{
    error::ApiError,
    extract::{Json, Path, Query},
    page::{Cursor, Page},
};

use super::{
    respond::CachePolicy,
    send::{Attachment, ClientRequest, ReportFile, send},
};
use crate::{
    State,
    answer::files::{self, ExportFile, FilesQuery},
};

/// The files of the export packs, the newest day first.
#[utoipa::path(get, path = "/exports", tag = "exports", params(FilesQuery), responses((status = 200, body = Page<ExportFile>)))]
pub async fn list(Of(state): Of<State>, Query(query): Query<FilesQuery>) -> Result<Json<Page<ExportFile>>, ApiError> {
    let before = Cursor::key::<(NaiveDate, i64)>(query.after.as_ref())?;
    Ok(Json(files::page(&state.pool, query, before).await?))
}

/// Download one file; ranges and conditional requests work.
#[utoipa::path(get, path = "/exports/{id}", tag = "exports", params(("id" = i64, Path, description = "The file's number")),
    responses(ReportFile, (status = 206, description = "The bytes that `Range` asks for"),
              (status = 304, description = "As you have it"), (status = 404, description = "There is no such file"),
              (status = 412, description = "`If-Match` or `If-Unmodified-Since` names another version"),
              (status = 416, description = "`Range` begins beyond the end")))]
pub async fn get(
    Of(state): Of<State>,
    Path(id): Path<i64>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (row, format, file) = files::open(&state.pool, &state.config.exports_dir, id).await?;
    let attachment = Attachment {
        media_type: format.media_type(),
        file_name: format!("{}-{}-r{}.{}", row.report, row.business_day, row.revision, format.extension()),
        coding: None,
        // A revision never changes, and neither does its file.
        cache_control: CachePolicy::Immutable.header(),
        modified: row.created_at,
        lasting: true,
        save: true,
    };
    send(&state.downloads, ClientRequest { method: &method, headers: &headers }, &attachment, file)
}
