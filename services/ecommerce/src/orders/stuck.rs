//! `GET /orders/stuck`: orders and refunds that Inventory has left without an answer for too long.

use axum::extract::State;
use kit::error::ApiError;
use kit::extract::{Json, Query};
use kit::page::{Cursor, Page};
use kit::stock::{StuckFilter, Undelivered};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::ids::{CustomerId, DocumentId};

/// An order, or a refund whose goods come back, and its undelivered message to Inventory.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct StuckOrder {
    id: DocumentId,
    /// Begins with `order-` or `refund-`.
    reference: String,
    status: String,
    customer_id: CustomerId,
    #[serde(flatten)]
    #[sqlx(flatten)]
    message: Undelivered,
}

/// List orders and refunds whose message to Inventory is undelivered for too long, by id.
#[utoipa::path(get, path = "/orders/stuck", tag = "orders", params(StuckFilter),
    responses((status = 200, description = "A page of stuck orders", body = Page<StuckOrder>)))]
pub(super) async fn list_stuck_orders(
    State(app): State<App>,
    Query(filter): Query<StuckFilter>,
) -> Result<Json<Page<StuckOrder>>, ApiError> {
    let after: Option<DocumentId> = Cursor::key(filter.after.as_ref())?;
    let stuck = sqlx::query_as(
        "SELECT o.id, o.reference, o.status, o.customer_id, t.step AS owed, t.since, t.attempts,
           t.due_at AS next_attempt_at, t.last_error
         FROM stock_tasks t JOIN (SELECT id, reference, status, customer_id FROM orders
           UNION ALL SELECT r.id, r.reference, r.status, p.customer_id FROM refunds r JOIN orders p ON p.id = r.order_id) AS o
           ON o.id = t.document_id
         WHERE o.id > coalesce($1, 0) AND t.since <= now() - make_interval(secs => $2) ORDER BY o.id LIMIT $3",
    )
    .bind(after)
    .bind(filter.age(app.outbox.limits()))
    .bind(filter.limit.fetch())
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(stuck, filter.limit, |it: &StuckOrder| it.id)))
}
