//! A movement document as it is kept: what was asked, and what became of it.

use axum::extract::State;
use chrono::{DateTime, Utc};
use kit::error::ApiError;
use kit::extract::{Json, Path};
use kit::id::{LocationId, ProductId};
use kit::idempotency::Digest;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;

use super::Reason;
use super::refusal::Refusal;
use crate::App;

/// What became of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Its movements stand.
    Applied,
    /// Nothing was moved, and never will be.
    Refused,
    /// What it moved was given back.
    Reversed,
    /// It was reversed before it was asked.
    Closed,
}

/// How much of a product moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    pub(super) product_id: ProductId,
    /// Pieces; below zero they leave the location.
    #[schema(minimum = -10_000_000, maximum = 10_000_000)]
    pub(super) quantity: i64,
}

/// A document and its outcome.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct Document {
    reference: String,
    pub(super) outcome: Outcome,
    /// Null where the reference was closed before it was asked; so are the next three.
    pub(super) reason: Option<Reason>,
    pub(super) location_id: Option<LocationId>,
    /// Where a transfer arrived.
    pub(super) to_location_id: Option<LocationId>,
    pub(super) occurred_at: Option<DateTime<Utc>>,
    pub(super) time_zone: Option<String>,
    imported: bool,
    /// When the outcome was first decided.
    decided_at: DateTime<Utc>,
    /// Per product what the document itself moved; a reversal moves the opposite.
    #[sqlx(skip)]
    pub(super) lines: Vec<Line>,
}

/// A document with what is not shown.
#[derive(sqlx::FromRow)]
pub(super) struct Stored {
    #[sqlx(flatten)]
    pub(super) document: Document,
    pub(super) refusal: Option<sqlx::types::Json<Refusal>>,
    request_digest: Option<Vec<u8>>,
}

impl Stored {
    /// Compares a request with the one that was decided.
    ///
    /// # Errors
    /// 422 where they differ, or where the document was imported and so never asked for.
    pub(super) fn must_equal(&self, digest: Digest) -> Result<(), ApiError> {
        let same = self.request_digest.as_deref().is_some_and(|stored| digest.must_equal(stored).is_ok());
        if same {
            return Ok(());
        }
        Err(ApiError::invalid("reference", "this reference was used before for another movement; use a new one"))
    }
}

/// Reads what is kept of a reference.
///
/// # Errors
/// 404 for a reference that was never heard of; the database's own failure.
pub(super) async fn read(db: &PgPool, reference: &str) -> Result<Stored, ApiError> {
    let mut stored: Stored = sqlx::query_as(
        "SELECT reference, outcome, reason, location_id, to_location_id, occurred_at, time_zone, imported, decided_at, refusal, request_digest
         FROM movement_documents WHERE reference = $1 AND NOT withdrawn",
    )
    .bind(reference)
    .fetch_optional(db)
    .await?
    .ok_or_else(|| ApiError::not_found("movement document with this reference"))?;
    stored.document.lines = sqlx::query_as!(
        Line,
        "SELECT product_id, quantity FROM stock_movements
         WHERE reference = $1 AND NOT reversal AND NOT deleted AND ($2::bigint IS NULL OR location_id = $2) ORDER BY product_id, id",
        reference,
        stored.document.to_location_id as _
    )
    .fetch_all(db)
    .await?;
    Ok(stored)
}

/// Read what became of a reference.
#[utoipa::path(get, path = "/stock-movements/{reference}", tag = "stock movements", params(("reference" = String, Path)),
    responses((status = 200, description = "The document", body = Document)))]
pub(super) async fn get_document(
    State(app): State<App>,
    Path(reference): Path<String>,
) -> Result<Json<Document>, ApiError> {
    read(&app.db, &reference).await.map(|stored| Json(stored.document))
}
