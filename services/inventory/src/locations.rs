//! Locations: warehouses, and the stock rooms of stores.

use axum::extract::State;
use axum::http::StatusCode;
use kit::error::{ApiError, OnConstraint};
use kit::extract::{Json, Path, Query};
use kit::id::{LocationId, StoreId};
use kit::idempotency::{self, IdempotencyKey, KeyedRequest};
use kit::page::{Cursor, Limit, Page};
use kit::text::{Code, Text};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_locations, create_location)).routes(routes!(get_location, update_location))
}

/// What a location is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum LocationKind {
    /// Online orders are shipped from here.
    Warehouse,
    /// The stock room of one store.
    Store,
}

/// A location.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct Location {
    id: LocationId,
    code: String,
    name: String,
    kind: LocationKind,
    /// The store in Retail; null for a warehouse.
    store_id: Option<StoreId>,
    active: bool,
}

/// A new location.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLocation {
    /// Unique, and never changed.
    code: Code,
    name: Text,
    kind: LocationKind,
    /// Required for a store, and only there; one location per store.
    store_id: Option<StoreId>,
}

/// What may change about a location; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocationChange {
    name: Option<Text>,
    /// False closes it: nothing is offered from here any more, its stock stays counted.
    active: Option<bool>,
}

/// Which locations to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LocationFilter {
    code: Option<String>,
    kind: Option<LocationKind>,
    store_id: Option<StoreId>,
    active: Option<bool>,
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    after: Option<Cursor>,
}

/// List locations, oldest first.
#[utoipa::path(get, path = "/locations", tag = "locations", params(LocationFilter),
    responses((status = 200, description = "A page of locations", body = Page<Location>)))]
async fn list_locations(
    State(app): State<App>,
    Query(filter): Query<LocationFilter>,
) -> Result<Json<Page<Location>>, ApiError> {
    let after: Option<LocationId> = Cursor::key(filter.after.as_ref())?;
    let locations = sqlx::query_as!(
        Location,
        r#"SELECT id, code, name, kind AS "kind: _", store_id AS "store_id: _", active FROM locations
         WHERE NOT deleted AND id > coalesce($1, 0) AND ($2::text IS NULL OR code = $2)
           AND ($3::text IS NULL OR kind = $3) AND ($4::bigint IS NULL OR store_id = $4)
           AND ($5::bool IS NULL OR active = $5)
         ORDER BY id LIMIT $6"#,
        after as _,
        filter.code,
        filter.kind as _,
        filter.store_id as _,
        filter.active,
        filter.limit.fetch()
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(locations, filter.limit, |location: &Location| location.id)))
}

/// Create a location.
#[utoipa::path(post, path = "/locations", tag = "locations", params(IdempotencyKey), request_body = NewLocation,
    responses((status = 201, description = "The location", body = Location),
              (status = 409, description = "`location-code-taken` or `store-has-location`")))]
async fn create_location(
    State(app): State<App>,
    key: Option<IdempotencyKey>,
    Json(body): Json<NewLocation>,
) -> Result<(StatusCode, Json<Location>), ApiError> {
    let keyed = KeyedRequest::new(key, &body);
    let inserted = sqlx::query_as!(
        Location,
        r#"INSERT INTO locations (code, name, kind, store_id, idempotency_key, request_digest)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (idempotency_key) DO NOTHING
           RETURNING id, code, name, kind AS "kind: _", store_id AS "store_id: _", active"#,
        body.code.as_str(),
        body.name.as_str(),
        body.kind as _,
        body.store_id.map(i64::from),
        keyed.key(),
        keyed.digest()
    )
    .fetch_optional(&app.db)
    .await;
    let earlier = keyed.earlier(
        &app.db,
        "SELECT request_digest, id, code, name, kind, store_id, active FROM locations WHERE idempotency_key = $1",
    );
    let location = idempotency::inserted_or_earlier(inserted, earlier)
        .await
        .on_constraint("locations_code_key", || {
            ApiError::conflict("location-code-taken", "another location has this code")
        })
        .on_constraint("locations_store_key", || {
            ApiError::conflict("store-has-location", "this store has a location already")
        })
        .on_constraint("locations_store_has_id", || {
            ApiError::invalid("store_id", "a store's location names its store_id, and a warehouse names none")
        })?;
    Ok((StatusCode::CREATED, Json(location)))
}

/// Read a location.
#[utoipa::path(get, path = "/locations/{id}", tag = "locations", params(("id" = LocationId, Path)),
    responses((status = 200, description = "The location", body = Location)))]
async fn get_location(State(app): State<App>, Path(id): Path<LocationId>) -> Result<Json<Location>, ApiError> {
    sqlx::query_as!(
        Location,
        r#"SELECT id, code, name, kind AS "kind: _", store_id AS "store_id: _", active
           FROM locations WHERE id = $1 AND NOT deleted"#,
        id.0
    )
    .fetch_optional(&app.db)
    .await?
    .map(Json)
    .ok_or_else(|| ApiError::not_found(format!("location {id}")))
}

/// Change a location's name, close or open it.
#[utoipa::path(patch, path = "/locations/{id}", tag = "locations", params(("id" = LocationId, Path)),
    request_body = LocationChange, responses((status = 200, description = "The location", body = Location)))]
async fn update_location(
    State(app): State<App>,
    Path(id): Path<LocationId>,
    Json(change): Json<LocationChange>,
) -> Result<Json<Location>, ApiError> {
    sqlx::query_as!(
        Location,
        r#"UPDATE locations SET name = coalesce($2, name), active = coalesce($3, active)
           WHERE id = $1 AND NOT deleted
           RETURNING id, code, name, kind AS "kind: _", store_id AS "store_id: _", active"#,
        id.0,
        change.name as _,
        change.active
    )
    .fetch_optional(&app.db)
    .await?
    .map(Json)
    .ok_or_else(|| ApiError::not_found(format!("location {id}")))
}
