//! `GET /orders/stuck`: orders that Inventory has left without an answer for too long.

use axum::extract::State;
use kit::error::ApiError;
use kit::extract::{Json, Query};
use kit::page::{Cursor, Page};
use kit::stock::{StuckFilter, Undelivered};
use serde::Serialize;
use utoipa::ToSchema;

use super::document::OrderStatus;
use crate::App;
use crate::ids::{CustomerId, OrderId};

/// An order and its undelivered message to Inventory.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct StuckOrder {
    id: OrderId,
    reference: String,
    status: OrderStatus,
    customer_id: CustomerId,
    #[serde(flatten)]
    #[sqlx(flatten)]
    message: Undelivered,
}

/// List orders whose message to Inventory is undelivered for too long, by id.
#[utoipa::path(get, path = "/orders/stuck", tag = "orders", params(StuckFilter),
    responses((status = 200, description = "A page of stuck orders", body = Page<StuckOrder>)))]
pub(super) async fn list_stuck_orders(
    State(app): State<App>,
    Query(filter): Query<StuckFilter>,
) -> Result<Json<Page<StuckOrder>>, ApiError> {
    let after: Option<OrderId> = Cursor::key(filter.after.as_ref())?;
    let stuck = sqlx::query_as(
        "SELECT o.id, o.reference, o.status, o.customer_id, t.step AS owed, t.since, t.attempts,
           t.due_at AS next_attempt_at, t.last_error
         FROM stock_tasks t JOIN orders o ON o.id = t.document_id
         WHERE o.id > coalesce($1, 0) AND t.since <= now() - make_interval(secs => $2) ORDER BY o.id LIMIT $3",
    )
    .bind(after)
    .bind(filter.age(app.outbox.limits()))
    .bind(filter.limit.fetch())
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(stuck, filter.limit, |it: &StuckOrder| it.id)))
}
