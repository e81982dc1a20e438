//! Stores: shops with a city and a time zone, which decides their business days.

mod import;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use kit::error::{ApiError, OnConstraint};
use kit::extract::{Json, Path, Query};
use kit::page::{Cursor, Limit, Page};
use kit::text::{Code, Text, Zone};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_stores, create_store)).routes(routes!(get_store, update_store))
}

pub(crate) fn streams() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import::import_stores))
}

/// A store.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct Store {
    pub id: i64,
    pub code: String,
    pub name: String,
    pub city: String,
    /// IANA name, such as `America/New_York`.
    pub time_zone: String,
    pub active: bool,
    pub created_at: DateTime<Utc>,
}

/// A new store.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewStore {
    /// 1 to 32 letters, digits, `_`, `.` or `-`; begins the receipt numbers and cannot change.
    pub code: Code,
    pub name: Text,
    pub city: Text,
    pub time_zone: Zone,
    pub active: Option<bool>,
}

/// What may change about a store; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreChange {
    pub name: Option<Text>,
    pub city: Option<Text>,
    /// Holds for documents that come after; earlier ones keep their zone.
    pub time_zone: Option<Zone>,
    /// False closes the store: no new documents.
    pub active: Option<bool>,
}

/// Which stores to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StoreFilter {
    pub code: Option<String>,
    pub city: Option<String>,
    pub time_zone: Option<String>,
    pub active: Option<bool>,
    /// Part of a code, name or city, in any case.
    pub q: Option<String>,
    #[serde(default)]
    #[param(value_type = Option<i64>)]
    pub limit: Limit,
    #[param(value_type = Option<String>)]
    pub after: Option<Cursor>,
}

/// List stores, oldest first.
#[utoipa::path(get, path = "/stores", tag = "stores", params(StoreFilter), responses((status = 200, body = Page<Store>)))]
async fn list_stores(State(app): State<App>, Query(filter): Query<StoreFilter>) -> Result<Json<Page<Store>>, ApiError> {
    let after: Option<i64> = Cursor::key(filter.after.as_ref())?;
    let stores = sqlx::query_as(
        "SELECT id, code, name, city, time_zone, active, created_at FROM stores WHERE NOT deleted AND id > coalesce($1, 0) \
         AND ($2::text IS NULL OR code = $2) AND ($3::text IS NULL OR city = $3) AND ($4::text IS NULL OR time_zone = $4) \
         AND ($5::bool IS NULL OR active = $5) \
         AND ($6::text IS NULL OR position(lower($6) IN lower(code || ' ' || name || ' ' || city)) > 0) \
         ORDER BY id LIMIT $7",
    )
    .bind(after)
    .bind(filter.code)
    .bind(filter.city)
    .bind(filter.time_zone)
    .bind(filter.active)
    .bind(filter.q)
    .bind(filter.limit.fetch())
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(stores, filter.limit, |store: &Store| store.id)))
}

/// Open a store.
#[utoipa::path(post, path = "/stores", tag = "stores", request_body = NewStore,
    responses((status = 201, body = Store), (status = 409, description = "The code is taken", body = kit::problem::Problem)))]
async fn create_store(State(app): State<App>, Json(new): Json<NewStore>) -> Result<impl IntoResponse, ApiError> {
    let store: Store = sqlx::query_as(
        "INSERT INTO stores (code, name, city, time_zone, active) VALUES ($1, $2, $3, $4, $5) \
         RETURNING id, code, name, city, time_zone, active, created_at",
    )
    .bind(new.code.as_str())
    .bind(new.name.as_str())
    .bind(new.city.as_str())
    .bind(new.time_zone.as_str())
    .bind(new.active.unwrap_or(true))
    .fetch_one(&app.db)
    .await
    .on_constraint("stores_code_key", || {
        ApiError::conflict("store-code-taken", format!("there is a store with code {} already", new.code.as_str()))
    })?;
    Ok((StatusCode::CREATED, Json(store)))
}

/// Read a store.
#[utoipa::path(get, path = "/stores/{id}", tag = "stores", params(("id" = i64, Path)), responses((status = 200, body = Store)))]
async fn get_store(State(app): State<App>, Path(id): Path<i64>) -> Result<Json<Store>, ApiError> {
    sqlx::query_as(
        "SELECT id, code, name, city, time_zone, active, created_at FROM stores WHERE id = $1 AND NOT deleted",
    )
    .bind(id)
    .fetch_optional(&app.db)
    .await?
    .map(Json)
    .ok_or_else(|| ApiError::not_found(format!("store {id}")))
}

/// Change a store.
#[utoipa::path(patch, path = "/stores/{id}", tag = "stores", params(("id" = i64, Path)), request_body = StoreChange,
    responses((status = 200, body = Store)))]
async fn update_store(
    State(app): State<App>,
    Path(id): Path<i64>,
    Json(change): Json<StoreChange>,
) -> Result<Json<Store>, ApiError> {
    sqlx::query_as(
        "UPDATE stores SET name = coalesce($2, name), city = coalesce($3, city), time_zone = coalesce($4, time_zone), \
         active = coalesce($5, active) WHERE id = $1 AND NOT deleted \
         RETURNING id, code, name, city, time_zone, active, created_at",
    )
    .bind(id)
    .bind(change.name.as_ref().map(Text::as_str))
    .bind(change.city.as_ref().map(Text::as_str))
    .bind(change.time_zone.as_ref().map(Zone::as_str))
    .bind(change.active)
    .fetch_optional(&app.db)
    .await?
    .map(Json)
    .ok_or_else(|| ApiError::not_found(format!("store {id}")))
}
