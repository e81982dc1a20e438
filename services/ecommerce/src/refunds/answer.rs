//! The answer to a client of a refund: its present state, for every repeat of the request.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kit::error::ApiError;
use kit::extract::Json;
use kit::idempotency::KeyedRequest;
use kit::stock::{Outcome, unsettled};

use super::document::{RefundStatus, find_with_lines};
use crate::App;
use crate::ids::RefundId;

/// The refund that an earlier request with this key stored.
///
/// # Errors
/// 422 where that request had another body.
pub(super) async fn known(app: &App, keyed: &KeyedRequest) -> Result<Option<RefundId>, ApiError> {
    let known = keyed.earlier::<(RefundId,)>(
        &app.db,
        "SELECT id, idempotency_digest AS request_digest FROM refunds WHERE idempotency_key = $1",
    );
    Ok(known.await?.map(|(id,)| id))
}

/// 201 for a refund that took effect, 202 for one still pending, 409 for one whose goods Inventory refused.
pub(super) async fn present(app: &App, id: RefundId) -> Result<Response, ApiError> {
    let document = find_with_lines(&app.db, id).await?;
    if document.refund.status == RefundStatus::Pending {
        return Ok((StatusCode::ACCEPTED, Json(document)).into_response());
    }
    match document.refund.refusal {
        None => Ok((StatusCode::CREATED, Json(document)).into_response()),
        Some(refusal) => Err(refusal.0.into_error().with("refund_id", id)),
    }
}

/// Asks Inventory about a refund just stored, and answers what came of it; 503 where Inventory does not answer.
pub(super) async fn deliver(app: &App, id: RefundId) -> Result<Response, ApiError> {
    let outcome = app.outbox.deliver(id.into()).await?;
    let status: RefundStatus =
        sqlx::query_scalar!(r#"SELECT status AS "status: RefundStatus" FROM refunds WHERE id = $1"#, id.0)
            .fetch_one(&app.db)
            .await?;
    if outcome == Outcome::NoAnswer && status == RefundStatus::Pending {
        return Err(unsettled(&format!("refund {id}"), &format!("/refunds/{id}")).with("refund_id", id));
    }
    present(app, id).await
}
