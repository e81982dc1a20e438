//! What a client of a document is told: its present state, whoever asks and how often.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kit::error::ApiError;
use kit::extract::Json;
use kit::idempotency::{Digest, IdempotencyKey};
use kit::stock::Refusal;

use super::document::{Status, find_with_lines};
use super::settle::{self, Outcome};
use crate::App;

/// The key and digest of one request, bound to its document by the INSERT that stores it.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub key: IdempotencyKey,
    pub digest: Digest,
}

/// The document that an earlier request with this key stored.
///
/// # Errors
/// 422 where that request had another body.
pub(super) async fn known(app: &App, bound: Option<&Bound>) -> Result<Option<i64>, ApiError> {
    let Some(bound) = bound else { return Ok(None) };
    let known: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT id, idempotency_digest FROM sales WHERE idempotency_key = $1")
            .bind(bound.key.as_str())
            .fetch_optional(&app.db)
            .await?;
    let Some((id, digest)) = known else { return Ok(None) };
    bound.digest.must_equal(&digest)?;
    Ok(Some(id))
}

/// 201 for a document that took effect, 202 for one still pending, 409 for one that was refused.
pub(super) async fn present(app: &App, id: i64) -> Result<Response, ApiError> {
    let document = find_with_lines(&app.db, id).await?;
    let status = match document.sale.status {
        Status::Completed | Status::Voided => StatusCode::CREATED,
        Status::Pending => StatusCode::ACCEPTED,
        Status::Rejected => {
            let refusal: Refusal =
                serde_json::from_value(document.sale.refusal.unwrap_or_default()).map_err(ApiError::internal)?;
            return Err(refusal.into_error().with("sale_id", id));
        }
    };
    Ok((status, Json(document)).into_response())
}

/// Asks Inventory about a document just stored, and answers what came of it; 503 where Inventory is silent.
pub(super) async fn settled(app: &App, id: i64) -> Result<Response, ApiError> {
    let outcome = settle::settle(app, id).await?;
    let status: Status =
        sqlx::query_scalar("SELECT status FROM sales WHERE id = $1").bind(id).fetch_one(&app.db).await?;
    if outcome == Outcome::Silent && status == Status::Pending {
        let detail = format!(
            "Inventory does not answer, so document {id} is pending and will be settled when it does; \
             repeat with the same Idempotency-Key or read /sales/{id} to learn what became of it"
        );
        return Err(ApiError::unavailable(detail).with("sale_id", id));
    }
    present(app, id).await
}

/// The answer of the document that a concurrent request with the same key stored first.
pub(super) async fn winner(app: &App, bound: Option<&Bound>) -> Result<Response, ApiError> {
    match known(app, bound).await? {
        Some(id) => present(app, id).await,
        None => Err(ApiError::internal("a key was taken and then belonged to no document")),
    }
}
