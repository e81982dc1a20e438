//! The answer to a client of a document: its present state, for every repeat of the request.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kit::error::ApiError;
use kit::extract::Json;
use kit::idempotency::KeyedRequest;
use kit::stock::{Outcome, unsettled};

use super::document::{Status, find_with_lines};
use crate::App;
use crate::ids::SaleId;

/// The document that an earlier request with this key stored.
///
/// # Errors
/// 422 where that request had another body.
pub(super) async fn known(app: &App, keyed: &KeyedRequest) -> Result<Option<SaleId>, ApiError> {
    let known = keyed.earlier::<(SaleId,)>(
        &app.db,
        "SELECT id, idempotency_digest AS request_digest FROM sales WHERE idempotency_key = $1",
    );
    Ok(known.await?.map(|(id,)| id))
}

/// 201 for a document that took effect, 202 for one still pending, 409 for one that was refused.
pub(super) async fn present(app: &App, id: SaleId) -> Result<Response, ApiError> {
    let document = find_with_lines(&app.db, id).await?;
    let status = match document.sale.status {
        Status::Completed | Status::Voided => StatusCode::CREATED,
        Status::Pending => StatusCode::ACCEPTED,
        Status::Rejected => {
            let refusal =
                document.sale.refusal.ok_or_else(|| ApiError::internal("a rejected sale without a reason"))?;
            return Err(refusal.0.into_error().with("sale_id", id));
        }
    };
    Ok((status, Json(document)).into_response())
}

/// Asks Inventory about a document just stored, and answers what came of it; 503 where Inventory does not answer.
pub(super) async fn deliver(app: &App, id: SaleId) -> Result<Response, ApiError> {
    let outcome = app.outbox.deliver(id).await?;
    let status: Status = sqlx::query_scalar!(r#"SELECT status AS "status: Status" FROM sales WHERE id = $1"#, id.0)
        .fetch_one(&app.db)
        .await?;
    if outcome == Outcome::NoAnswer && status == Status::Pending {
        return Err(unsettled(&format!("document {id}"), &format!("/sales/{id}")).with("sale_id", id));
    }
    present(app, id).await
}

/// The answer of the document that a concurrent request with the same key stored first.
pub(super) async fn winner(app: &App, keyed: &KeyedRequest) -> Result<Response, ApiError> {
    match known(app, keyed).await? {
        Some(id) => present(app, id).await,
        None => Err(ApiError::internal("a key was taken and then belonged to no document")),
    }
}
