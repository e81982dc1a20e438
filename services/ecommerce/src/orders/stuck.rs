//! `GET /orders/stuck`: orders that Inventory has left without an answer for too long.

use axum::extract::State;
use chrono::{DateTime, Utc};
use kit::error::ApiError;
use kit::extract::{Json, Query};
use kit::page::{Cursor, Limit, Page};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::document::OrderStatus;
use crate::App;

/// An unsettled order and what is owed for it.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct StuckOrder {
    pub id: i64,
    pub reference: String,
    pub status: OrderStatus,
    pub customer_id: i64,
    /// `post`: Inventory has to move its stock; `reverse`: to give it back.
    pub owed: String,
    pub since: DateTime<Utc>,
    /// How often recovery has tried.
    pub attempts: i32,
    pub next_attempt_at: DateTime<Utc>,
    pub last_error: Option<String>,
}

/// Which unsettled orders to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StuckFilter {
    /// Unsettled for at least this long; default: the service's own limit.
    #[param(minimum = 0)]
    pub older_than_seconds: Option<u32>,
    #[serde(default)]
    #[param(value_type = Option<i64>)]
    pub limit: Limit,
    #[param(value_type = Option<String>)]
    pub after: Option<Cursor>,
}

/// List orders that are unsettled for too long, by id.
#[utoipa::path(get, path = "/orders/stuck", tag = "orders", params(StuckFilter), responses((status = 200, body = Page<StuckOrder>)))]
pub(super) async fn list_stuck_orders(
    State(app): State<App>,
    Query(filter): Query<StuckFilter>,
) -> Result<Json<Page<StuckOrder>>, ApiError> {
    let after: Option<i64> = Cursor::key(filter.after.as_ref())?;
    let age = filter.older_than_seconds.map_or(app.limits.stuck.as_secs_f64(), f64::from);
    let stuck = sqlx::query_as(
        "SELECT s.id, s.reference, s.status, s.customer_id, t.step AS owed, t.since, t.attempts, \
         t.due_at AS next_attempt_at, t.last_error FROM stock_tasks t JOIN orders s ON s.id = t.order_id \
         WHERE s.id > coalesce($1, 0) AND t.since <= now() - make_interval(secs => $2) ORDER BY s.id LIMIT $3",
    )
    .bind(after)
    .bind(age)
    .bind(filter.limit.fetch())
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(stuck, filter.limit, |it: &StuckOrder| it.id)))
}
