//! `GET /imports`: what came, and comes, of imports.

use axum::extract::State as AppState;
use serde::Deserialize;
use sqlx::PgPool;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::report::{Report, RowError, State};
use super::run::Imports;
use crate::error::ApiError;
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Limit, Page};

/// Reasons that a report shows.
const SHOWN: usize = 100;

/// Which refusals to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RefusalFilter {
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    after: Option<Cursor>,
}

/// A refusal as it is kept.
#[derive(sqlx::FromRow)]
struct Kept {
    id: i64,
    line: i64,
    field: Option<String>,
    reason: String,
}

impl From<Kept> for RowError {
    fn from(kept: Kept) -> Self {
        Self { line: kept.line.cast_unsigned(), field: kept.field, reason: kept.reason }
    }
}

impl Imports {
    /// The routes that tell of imports, to be nested under `/api/v1`.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> OpenApiRouter<S> {
        OpenApiRouter::new().routes(routes!(get_import)).routes(routes!(list_refusals)).with_state(self.clone())
    }
}

/// Read what came of an import.
#[utoipa::path(get, path = "/imports/{id}", tag = "imports", params(("id" = i64, Path)),
    responses((status = 200, description = "Its counts and state, and the first refusals", body = Report)))]
pub(super) async fn get_import(
    AppState(imports): AppState<Imports>,
    Path(id): Path<i64>,
) -> Result<Json<Report>, ApiError> {
    let found = report(imports.db(), id).await?;
    if !matches!(found.state, State::Receiving | State::Applying | State::Withdrawing) {
        return Ok(Json(found));
    }
    // Its process may have gone.
    imports.sweep().await?;
    report(imports.db(), id).await.map(Json)
}

/// List every refusal of an import.
#[utoipa::path(get, path = "/imports/{id}/refusals", tag = "imports", params(("id" = i64, Path), RefusalFilter),
    responses((status = 200, description = "A page of refusals", body = Page<RowError>)))]
pub(super) async fn list_refusals(
    AppState(imports): AppState<Imports>,
    Path(id): Path<i64>,
    Query(filter): Query<RefusalFilter>,
) -> Result<Json<Page<RowError>>, ApiError> {
    let after: Option<i64> = Cursor::key(filter.after.as_ref())?;
    head(imports.db(), id).await?;
    let kept: Vec<Kept> = sqlx::query_as(
        "SELECT id, line, field, reason FROM import_refusals WHERE import_id = $1 AND id > coalesce($2, 0) ORDER BY id LIMIT $3",
    )
    .bind(id)
    .bind(after)
    .bind(filter.limit.fetch())
    .fetch_all(imports.db())
    .await?;
    let page = Page::of(kept, filter.limit, |kept: &Kept| kept.id);
    Ok(Json(Page { items: page.items.into_iter().map(RowError::from).collect(), next: page.next }))
}

async fn head(db: &PgPool, id: i64) -> Result<Report, ApiError> {
    sqlx::query_as(
        "SELECT id, kind, state, received, applied, unchanged, refused, complete, detail, started_at, ended_at \
         FROM imports WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(db)
    .await?
    .ok_or_else(|| ApiError::not_found(format!("import {id}")))
}

/// What came of an import.
///
/// # Errors
/// 404 where there is none.
pub(super) async fn report(db: &PgPool, id: i64) -> Result<Report, ApiError> {
    let mut report = head(db, id).await?;
    let kept: Vec<Kept> = sqlx::query_as(
        "SELECT id, line, field, reason FROM import_refusals WHERE import_id = $1 ORDER BY line, id LIMIT $2",
    )
    .bind(id)
    .bind(i64::try_from(SHOWN + 1).unwrap_or(i64::MAX))
    .fetch_all(db)
    .await?;
    report.errors_truncated = kept.len() > SHOWN;
    report.errors = kept.into_iter().take(SHOWN).map(RowError::from).collect();
    Ok(report)
}
