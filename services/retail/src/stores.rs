//! Stores: shops with a city and a time zone, which decides their business days.

mod import;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, NaiveDate, Utc};
use kit::error::{ApiError, OnConstraint};
use kit::extract::{Json, Path, Query};
use kit::id::StoreId;
use kit::idempotency::{self, IdempotencyKey, KeyedRequest};
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

/// The bulk import, which streams.
pub(crate) fn imports() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import::import_stores))
}

/// A store.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct Store {
    pub id: StoreId,
    pub code: String,
    pub name: String,
    pub city: String,
    /// IANA name, such as `America/New_York`.
    pub time_zone: String,
    pub active: bool,
    /// Local date of its first day, where somebody said.
    pub opened_on: Option<NaiveDate>,
    /// Local date of its last day.
    pub closed_on: Option<NaiveDate>,
    pub created_at: DateTime<Utc>,
}

/// A new store.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewStore {
    /// Unique; begins the receipt numbers, so it cannot change.
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
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    pub limit: Limit,
    #[param(value_type = Option<String>)]
    pub after: Option<Cursor>,
}

/// List stores, oldest first.
#[utoipa::path(get, path = "/stores", tag = "stores", params(StoreFilter),
    responses((status = 200, description = "A page of stores", body = Page<Store>)))]
async fn list_stores(State(app): State<App>, Query(filter): Query<StoreFilter>) -> Result<Json<Page<Store>>, ApiError> {
    let after: Option<StoreId> = Cursor::key(filter.after.as_ref())?;
    let stores = sqlx::query_as!(
        Store,
        "SELECT id, code, name, city, time_zone, active, opened_on, closed_on, created_at FROM stores WHERE NOT deleted AND id > coalesce($1, 0) \
         AND ($2::text IS NULL OR code = $2) AND ($3::text IS NULL OR city = $3) AND ($4::text IS NULL OR time_zone = $4) \
         AND ($5::bool IS NULL OR active = $5) \
         AND ($6::text IS NULL OR position(lower($6) IN lower(code || ' ' || name || ' ' || city)) > 0) \
         ORDER BY id LIMIT $7",
        after as _,
        filter.code,
        filter.city,
        filter.time_zone,
        filter.active,
        filter.q,
        filter.limit.fetch()
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(stores, filter.limit, |store: &Store| store.id)))
}

/// Open a store.
#[utoipa::path(post, path = "/stores", tag = "stores", params(IdempotencyKey), request_body = NewStore,
    responses((status = 201, description = "The store", body = Store), (status = 409, description = "`store-code-taken`")))]
async fn create_store(
    State(app): State<App>,
    key: Option<IdempotencyKey>,
    Json(new): Json<NewStore>,
) -> Result<(StatusCode, Json<Store>), ApiError> {
    let keyed = KeyedRequest::new(key, &new);
    let inserted = sqlx::query_as!(
        Store,
        "INSERT INTO stores (code, name, city, time_zone, active, idempotency_key, idempotency_digest) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (idempotency_key) DO NOTHING \
         RETURNING id, code, name, city, time_zone, active, opened_on, closed_on, created_at",
        new.code.as_str(),
        new.name.as_str(),
        new.city.as_str(),
        new.time_zone.as_str(),
        new.active.unwrap_or(true),
        keyed.key(),
        keyed.digest()
    )
    .fetch_optional(&app.db)
    .await;
    let earlier = keyed.earlier(
        &app.db,
        "SELECT id, code, name, city, time_zone, active, opened_on, closed_on, created_at, idempotency_digest AS request_digest FROM stores \
         WHERE idempotency_key = $1",
    );
    let store = idempotency::inserted_or_earlier(inserted, earlier).await.on_constraint("stores_code_key", || {
        ApiError::conflict("store-code-taken", format!("there is a store with code {} already", new.code.as_str()))
    })?;
    Ok((StatusCode::CREATED, Json(store)))
}

/// Read a store.
#[utoipa::path(get, path = "/stores/{id}", tag = "stores", params(("id" = StoreId, Path)),
    responses((status = 200, description = "The store", body = Store)))]
async fn get_store(State(app): State<App>, Path(id): Path<StoreId>) -> Result<Json<Store>, ApiError> {
    sqlx::query_as!(
        Store,
        "SELECT id, code, name, city, time_zone, active, opened_on, closed_on, created_at FROM stores WHERE id = $1 AND NOT deleted",
        id.0
    )
    .fetch_optional(&app.db)
    .await?
    .map(Json)
    .ok_or_else(|| ApiError::not_found(format!("store {id}")))
}

/// Change a store.
#[utoipa::path(patch, path = "/stores/{id}", tag = "stores", params(("id" = StoreId, Path)), request_body = StoreChange,
    responses((status = 200, description = "The store", body = Store)))]
async fn update_store(
    State(app): State<App>,
    Path(id): Path<StoreId>,
    Json(change): Json<StoreChange>,
) -> Result<Json<Store>, ApiError> {
    sqlx::query_as!(
        Store,
        "UPDATE stores SET name = coalesce($2, name), city = coalesce($3, city), time_zone = coalesce($4, time_zone), \
         active = coalesce($5, active) WHERE id = $1 AND NOT deleted \
         RETURNING id, code, name, city, time_zone, active, opened_on, closed_on, created_at",
        id.0,
        change.name as _,
        change.city as _,
        change.time_zone as _,
        change.active
    )
    .fetch_optional(&app.db)
    .await?
    .map(Json)
    .ok_or_else(|| ApiError::not_found(format!("store {id}")))
}
