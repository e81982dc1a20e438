//! `GET /sales/stuck`: documents that Inventory has left without an answer for too long.

use axum::extract::State;
use kit::error::ApiError;
use kit::extract::{Json, Query};
use kit::id::StoreId;
use kit::page::{Cursor, Page};
use kit::stock::{StuckFilter, Undelivered};
use serde::Serialize;
use utoipa::ToSchema;

use super::document::{Kind, Status};
use crate::App;
use crate::ids::SaleId;

/// A document and its undelivered message to Inventory.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct StuckSale {
    id: SaleId,
    reference: String,
    kind: Kind,
    status: Status,
    store_id: StoreId,
    receipt_number: String,
    #[serde(flatten)]
    #[sqlx(flatten)]
    message: Undelivered,
}

/// List documents whose message to Inventory is undelivered for too long, by id.
#[utoipa::path(get, path = "/sales/stuck", tag = "sales", params(StuckFilter),
    responses((status = 200, description = "A page of stuck documents", body = Page<StuckSale>)))]
pub(super) async fn list_stuck_sales(
    State(app): State<App>,
    Query(filter): Query<StuckFilter>,
) -> Result<Json<Page<StuckSale>>, ApiError> {
    let after: Option<SaleId> = Cursor::key(filter.after.as_ref())?;
    let stuck = sqlx::query_as(
        "SELECT s.id, s.reference, s.kind, s.status, s.store_id, s.receipt_number, t.step AS owed, t.since, t.attempts,
           t.due_at AS next_attempt_at, t.last_error
         FROM stock_tasks t JOIN sales s ON s.id = t.document_id
         WHERE s.id > coalesce($1, 0) AND t.since <= now() - make_interval(secs => $2) ORDER BY s.id LIMIT $3",
    )
    .bind(after)
    .bind(filter.age(app.outbox.limits()))
    .bind(filter.limit.fetch())
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(stuck, filter.limit, |it: &StuckSale| it.id)))
}
