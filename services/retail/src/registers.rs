//! Registers: the tills of a store.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use kit::error::{ApiError, OnConstraint};
use kit::extract::{Json, Path, Query};
use kit::id::StoreId;
use kit::idempotency::{self, IdempotencyKey, KeyedRequest};
use kit::page::{Cursor, Limit, Page};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::ids::RegisterId;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_registers, create_register)).routes(routes!(get_register, update_register))
}

/// A register.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct Register {
    pub id: RegisterId,
    pub store_id: StoreId,
    /// Its number within the store.
    pub number: i32,
    pub active: bool,
    pub created_at: DateTime<Utc>,
}

/// A new register.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRegister {
    pub store_id: StoreId,
    /// Unique within the store; part of the receipt numbers, so it cannot change.
    #[schema(minimum = 1, maximum = 9999)]
    pub number: i32,
    pub active: Option<bool>,
}

/// What may change about a register.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterChange {
    /// False takes it out of use: no new documents.
    pub active: Option<bool>,
}

/// Which registers to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RegisterFilter {
    pub store_id: Option<StoreId>,
    pub number: Option<i32>,
    pub active: Option<bool>,
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    pub limit: Limit,
    #[param(value_type = Option<String>)]
    pub after: Option<Cursor>,
}

/// List registers, oldest first.
#[utoipa::path(get, path = "/registers", tag = "registers", params(RegisterFilter),
    responses((status = 200, description = "A page of registers", body = Page<Register>)))]
async fn list_registers(
    State(app): State<App>,
    Query(filter): Query<RegisterFilter>,
) -> Result<Json<Page<Register>>, ApiError> {
    let after: Option<RegisterId> = Cursor::key(filter.after.as_ref())?;
    let registers = sqlx::query_as!(
        Register,
        "SELECT id, store_id, number, active, created_at FROM registers WHERE NOT deleted AND id > coalesce($1, 0) \
         AND ($2::bigint IS NULL OR store_id = $2) AND ($3::int IS NULL OR number = $3) \
         AND ($4::bool IS NULL OR active = $4) ORDER BY id LIMIT $5",
        after as _,
        filter.store_id as _,
        filter.number,
        filter.active,
        filter.limit.fetch()
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(registers, filter.limit, |register: &Register| register.id)))
}

/// Put a register into a store.
#[utoipa::path(post, path = "/registers", tag = "registers", params(IdempotencyKey), request_body = NewRegister,
    responses((status = 201, description = "The register", body = Register), (status = 409, description = "`register-number-taken`")))]
async fn create_register(
    State(app): State<App>,
    key: Option<IdempotencyKey>,
    Json(new): Json<NewRegister>,
) -> Result<(StatusCode, Json<Register>), ApiError> {
    let keyed = KeyedRequest::new(key, &new);
    let inserted = sqlx::query_as!(
        Register,
        "INSERT INTO registers (store_id, number, active, idempotency_key, idempotency_digest) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (idempotency_key) DO NOTHING RETURNING id, store_id, number, active, created_at",
        new.store_id.0,
        new.number,
        new.active.unwrap_or(true),
        keyed.key(),
        keyed.digest()
    )
    .fetch_optional(&app.db)
    .await;
    let earlier = keyed.earlier(
        &app.db,
        "SELECT id, store_id, number, active, created_at, idempotency_digest AS request_digest FROM registers \
         WHERE idempotency_key = $1",
    );
    let register = idempotency::inserted_or_earlier(inserted, earlier)
        .await
        .on_constraint("registers_store_fkey", || {
            ApiError::invalid("store_id", format!("there is no store {}", new.store_id))
        })
        .on_constraint("registers_number_range", || ApiError::invalid("number", "number must be from 1 to 9999"))
        .on_constraint("registers_number_key", || {
            let detail = format!("store {} has a register {} already", new.store_id, new.number);
            ApiError::conflict("register-number-taken", detail)
        })?;
    Ok((StatusCode::CREATED, Json(register)))
}

/// Read a register.
#[utoipa::path(get, path = "/registers/{id}", tag = "registers", params(("id" = RegisterId, Path)),
    responses((status = 200, description = "The register", body = Register)))]
async fn get_register(State(app): State<App>, Path(id): Path<RegisterId>) -> Result<Json<Register>, ApiError> {
    sqlx::query_as!(
        Register,
        "SELECT id, store_id, number, active, created_at FROM registers WHERE id = $1 AND NOT deleted",
        id.0
    )
    .fetch_optional(&app.db)
    .await?
    .map(Json)
    .ok_or_else(|| ApiError::not_found(format!("register {id}")))
}

/// Change a register.
#[utoipa::path(patch, path = "/registers/{id}", tag = "registers", params(("id" = RegisterId, Path)), request_body = RegisterChange,
    responses((status = 200, description = "The register", body = Register)))]
async fn update_register(
    State(app): State<App>,
    Path(id): Path<RegisterId>,
    Json(change): Json<RegisterChange>,
) -> Result<Json<Register>, ApiError> {
    sqlx::query_as!(
        Register,
        "UPDATE registers SET active = coalesce($2, active) WHERE id = $1 AND NOT deleted \
         RETURNING id, store_id, number, active, created_at",
        id.0,
        change.active
    )
    .fetch_optional(&app.db)
    .await?
    .map(Json)
    .ok_or_else(|| ApiError::not_found(format!("register {id}")))
}
