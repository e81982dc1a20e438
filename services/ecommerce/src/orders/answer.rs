//! The answer to a client of an order: its present state, for every repeat of the request.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kit::error::ApiError;
use kit::extract::Json;
use kit::idempotency::KeyedRequest;
use kit::stock::{Outcome, unsettled};

use super::document::{OrderStatus, find_with_lines};
use crate::App;
use crate::ids::OrderId;

/// The order that an earlier request with this key stored.
///
/// # Errors
/// 422 where that request had another body.
pub(crate) async fn known(app: &App, keyed: &KeyedRequest) -> Result<Option<OrderId>, ApiError> {
    let known = keyed.earlier::<(OrderId,)>(
        &app.db,
        "SELECT id, idempotency_digest AS request_digest FROM orders WHERE idempotency_key = $1",
    );
    Ok(known.await?.map(|(id,)| id))
}

/// 201 for an order that took effect, 202 for one still pending, 409 for one that Inventory refused.
pub(crate) async fn present(app: &App, id: OrderId) -> Result<Response, ApiError> {
    let document = find_with_lines(&app.db, id).await?;
    if document.order.status == OrderStatus::Pending {
        return Ok((StatusCode::ACCEPTED, Json(document)).into_response());
    }
    match document.order.refusal {
        // Cancelled by a person later: the checkout itself had succeeded.
        None => Ok((StatusCode::CREATED, Json(document)).into_response()),
        Some(refusal) => Err(refusal.0.into_error().with("order_id", id)),
    }
}

/// Asks Inventory about an order just stored, and answers what came of it; 503 where Inventory does not answer.
pub(crate) async fn deliver(app: &App, id: OrderId) -> Result<Response, ApiError> {
    let outcome = app.outbox.deliver(id.into()).await?;
    let status: OrderStatus =
        sqlx::query_scalar!(r#"SELECT status AS "status: OrderStatus" FROM orders WHERE id = $1"#, id.0)
            .fetch_one(&app.db)
            .await?;
    if outcome == Outcome::NoAnswer && status == OrderStatus::Pending {
        return Err(unsettled(&format!("order {id}"), &format!("/orders/{id}")).with("order_id", id));
    }
    present(app, id).await
}
