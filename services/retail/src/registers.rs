//! Registers: the tills of a store.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use kit::error::{ApiError, OnConstraint};
use kit::extract::{Json, Path, Query};
use kit::page::{Cursor, Limit, Page};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_registers, create_register)).routes(routes!(get_register, update_register))
}

/// A register.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct Register {
    pub id: i64,
    pub store_id: i64,
    /// Its number within the store.
    pub number: i32,
    pub active: bool,
    pub created_at: DateTime<Utc>,
}

/// A new register.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRegister {
    pub store_id: i64,
    /// 1 to 9999, unique within the store; part of the receipt numbers, so it cannot change.
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
    pub store_id: Option<i64>,
    pub number: Option<i32>,
    pub active: Option<bool>,
    #[serde(default)]
    #[param(value_type = Option<i64>)]
    pub limit: Limit,
    #[param(value_type = Option<String>)]
    pub after: Option<Cursor>,
}

/// List registers, oldest first.
#[utoipa::path(get, path = "/registers", tag = "registers", params(RegisterFilter), responses((status = 200, body = Page<Register>)))]
async fn list_registers(
    State(app): State<App>,
    Query(filter): Query<RegisterFilter>,
) -> Result<Json<Page<Register>>, ApiError> {
    let after: Option<i64> = Cursor::key(filter.after.as_ref())?;
    let registers = sqlx::query_as(
        "SELECT id, store_id, number, active, created_at FROM registers WHERE NOT deleted AND id > coalesce($1, 0) \
         AND ($2::bigint IS NULL OR store_id = $2) AND ($3::int IS NULL OR number = $3) \
         AND ($4::bool IS NULL OR active = $4) ORDER BY id LIMIT $5",
    )
    .bind(after)
    .bind(filter.store_id)
    .bind(filter.number)
    .bind(filter.active)
    .bind(filter.limit.fetch())
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(registers, filter.limit, |register: &Register| register.id)))
}

/// Put a register into a store.
#[utoipa::path(post, path = "/registers", tag = "registers", request_body = NewRegister,
    responses((status = 201, body = Register), (status = 409, description = "The number is taken", body = kit::problem::Problem)))]
async fn create_register(State(app): State<App>, Json(new): Json<NewRegister>) -> Result<impl IntoResponse, ApiError> {
    let register: Register = sqlx::query_as(
        "INSERT INTO registers (store_id, number, active) VALUES ($1, $2, $3) RETURNING id, store_id, number, active, created_at",
    )
    .bind(new.store_id)
    .bind(new.number)
    .bind(new.active.unwrap_or(true))
    .fetch_one(&app.db)
    .await
    .on_constraint("registers_store_fkey", || ApiError::invalid("store_id", format!("there is no store {}", new.store_id)))
    .on_constraint("registers_number_range", || ApiError::invalid("number", "number must be from 1 to 9999"))
    .on_constraint("registers_number_key", || {
        let detail = format!("store {} has a register {} already", new.store_id, new.number);
        ApiError::conflict("register-number-taken", detail)
    })?;
    Ok((StatusCode::CREATED, Json(register)))
}

/// Read a register.
#[utoipa::path(get, path = "/registers/{id}", tag = "registers", params(("id" = i64, Path)), responses((status = 200, body = Register)))]
async fn get_register(State(app): State<App>, Path(id): Path<i64>) -> Result<Json<Register>, ApiError> {
    sqlx::query_as("SELECT id, store_id, number, active, created_at FROM registers WHERE id = $1 AND NOT deleted")
        .bind(id)
        .fetch_optional(&app.db)
        .await?
        .map(Json)
        .ok_or_else(|| ApiError::not_found(format!("register {id}")))
}

/// Change a register.
#[utoipa::path(patch, path = "/registers/{id}", tag = "registers", params(("id" = i64, Path)), request_body = RegisterChange,
    responses((status = 200, body = Register)))]
async fn update_register(
    State(app): State<App>,
    Path(id): Path<i64>,
    Json(change): Json<RegisterChange>,
) -> Result<Json<Register>, ApiError> {
    sqlx::query_as(
        "UPDATE registers SET active = coalesce($2, active) WHERE id = $1 AND NOT deleted \
         RETURNING id, store_id, number, active, created_at",
    )
    .bind(id)
    .bind(change.active)
    .fetch_optional(&app.db)
    .await?
    .map(Json)
    .ok_or_else(|| ApiError::not_found(format!("register {id}")))
}
