//! Reversal: gives back what a reference took, and closes it for ever, also one that was never heard of.

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::Utc;
use kit::error::ApiError;
use kit::extract::{Json, Path};
use kit::fact;
use kit::id::{LocationId, ProductId};
use kit::text::Reference;
use sqlx::PgConnection;

use super::apply::{change, lock};
use super::document::{self, Document, Outcome};
use super::refusal::{Refusal, Short};
use crate::App;
use crate::metric;

/// Reverse a document. Safe to repeat. A reference that was never heard of is closed, so that a request
/// which is still on its way can no longer take stock.
#[utoipa::path(post, path = "/stock-movements/{reference}/reversal", tag = "stock movements",
    params(("reference" = Reference, Path)),
    responses((status = 200, description = "Reversed or closed, now or before", body = Document),
              (status = 409, description = "`insufficient-stock`: what the document gave is no longer there to be taken back")))]
pub(super) async fn reverse_document(
    State(app): State<App>,
    Path(reference): Path<Reference>,
) -> Result<Json<Document>, ApiError> {
    let mut transaction = kit::db::begin(&app.db).await?;
    let closed = sqlx::query!(
        "INSERT INTO movement_documents (reference, outcome) VALUES ($1, 'closed')
         ON CONFLICT (reference) DO UPDATE SET outcome = 'closed', withdrawn = false WHERE movement_documents.withdrawn",
        reference.as_str()
    )
    .execute(&mut *transaction)
    .await?;
    let (outcome, imported): (Outcome, bool) =
        sqlx::query_as("SELECT outcome, imported FROM movement_documents WHERE reference = $1 FOR UPDATE")
            .bind(&reference)
            .fetch_one(&mut *transaction)
            .await?;
    match outcome {
        Outcome::Applied => {
            // Imported history took no stock, so there is none to give back; it is undone all the same.
            if !imported {
                give_back(&mut transaction, &reference).await?;
            }
            undo(&mut transaction, &reference).await?;
        }
        // There is nothing to give back, and the kept answer takes no stock either.
        Outcome::Refused | Outcome::Reversed | Outcome::Closed => {}
    }
    transaction.commit().await?;
    if closed.rows_affected() == 1 || outcome == Outcome::Applied {
        metric::reversal();
    }
    document::read(&app.db, reference.as_str()).await.map(|stored| Json(stored.document))
}

/// Puts back on hand what an applied document took, or takes what it gave; the document's row is locked.
async fn give_back(db: &mut PgConnection, reference: &Reference) -> Result<(), ApiError> {
    let taken: Vec<(LocationId, ProductId, i64)> = sqlx::query_as(
        "SELECT location_id, product_id, quantity FROM stock_movements
         WHERE reference = $1 AND NOT reversal AND NOT deleted ORDER BY location_id, product_id",
    )
    .bind(reference)
    .fetch_all(&mut *db)
    .await?;
    let mut by_location: BTreeMap<LocationId, (Vec<ProductId>, Vec<i64>)> = BTreeMap::new();
    for (location, product, quantity) in taken {
        let (ids, deltas) = by_location.entry(location).or_default();
        ids.push(product);
        deltas.push(-quantity);
    }
    for (location, (ids, deltas)) in by_location {
        let on_hand = lock(db, location, &ids, &deltas).await?;
        let left = |id: ProductId| on_hand.get(&id).copied().unwrap_or(0);
        let lines = ids.iter().zip(&deltas);
        let short: Vec<Short> = lines
            .filter(|(id, delta)| left(**id) + **delta < 0)
            .map(|(id, delta)| Short { product_id: *id, requested: -delta, on_hand: left(*id) })
            .collect();
        if !short.is_empty() {
            // Dropping the transaction leaves the document applied: it can be reversed once there is stock again.
            return Err(Refusal::InsufficientStock { short }.into());
        }
        change(db, location, &ids, &deltas).await?;
    }
    Ok(())
}

/// Writes the opposite movements, and the outcome.
async fn undo(db: &mut PgConnection, reference: &Reference) -> Result<(), ApiError> {
    let now = Utc::now();
    let zones: Vec<String> = sqlx::query_scalar("SELECT DISTINCT time_zone FROM stock_movements WHERE reference = $1")
        .bind(reference)
        .fetch_all(&mut *db)
        .await?;
    let local_times = zones.iter().map(|zone| fact::local_time(zone, now)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query!(
        "INSERT INTO stock_movements (reference, product_id, location_id, quantity, reason, reversal, occurred_at,
                                      time_zone, local_time, imported)
         SELECT m.reference, m.product_id, m.location_id, -m.quantity, m.reason, true, $2, m.time_zone, z.local_time, m.imported
         FROM stock_movements m
         JOIN unnest($3::text[], $4::timestamp[]) AS z (time_zone, local_time) ON z.time_zone = m.time_zone
         WHERE m.reference = $1 AND NOT m.reversal AND NOT m.deleted ORDER BY m.id",
        reference.as_str(),
        now,
        &zones,
        &local_times
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!("UPDATE movement_documents SET outcome = 'reversed' WHERE reference = $1", reference.as_str())
        .execute(db)
        .await?;
    Ok(())
}
