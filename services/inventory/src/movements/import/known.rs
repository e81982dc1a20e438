//! The stored documents that a file names.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use kit::error::ApiError;
use kit::id::{LocationId, ProductId};
use kit::import::Document;
use sqlx::PgTransaction;

use super::{ByPlace, Movement, MovementRow};
use crate::movements::Reason;
use crate::movements::document::Outcome as Decision;

/// A document as it is stored.
pub(super) struct Known {
    pub(super) decision: Decision,
    pub(super) imported: bool,
    pub(super) movements: ByPlace<Movement>,
}

#[derive(sqlx::FromRow)]
struct StoredMovement {
    reference: String,
    location_id: LocationId,
    product_id: ProductId,
    quantity: i64,
    reason: Reason,
    occurred_at: DateTime<Utc>,
    time_zone: String,
    local_time: NaiveDateTime,
}

/// The stored documents by reference; withdrawn ones are none.
pub(super) async fn known(
    tx: &mut PgTransaction<'_>,
    documents: &[Document<MovementRow>],
) -> Result<HashMap<String, Known>, ApiError> {
    let references: Vec<&str> = documents.iter().map(|document| document.head().reference.as_str()).collect();
    let heads: Vec<(String, Decision, bool)> = sqlx::query_as(
        "SELECT reference, outcome, imported FROM movement_documents WHERE reference = ANY($1) AND NOT withdrawn
         ORDER BY reference FOR NO KEY UPDATE",
    )
    .bind(references)
    .fetch_all(&mut **tx)
    .await?;
    let mut known: HashMap<String, Known> = heads
        .into_iter()
        .map(|(reference, decision, imported)| (reference, Known { decision, imported, movements: ByPlace::new() }))
        .collect();
    if known.is_empty() {
        return Ok(known);
    }
    let movements: Vec<StoredMovement> = sqlx::query_as(
        "SELECT reference, location_id, product_id, quantity, reason, occurred_at, time_zone, local_time FROM stock_movements
         WHERE reference = ANY($1) AND NOT reversal AND NOT deleted",
    )
    .bind(known.keys().map(String::as_str).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    for it in movements {
        let StoredMovement { reference, location_id, product_id, quantity, reason, occurred_at, time_zone, local_time } =
            it;
        if let Some(document) = known.get_mut(&reference) {
            let movement = Movement { quantity, reason, at: occurred_at, zone: time_zone, local: local_time };
            document.movements.insert((location_id, product_id), movement);
        }
    }
    Ok(known)
}
