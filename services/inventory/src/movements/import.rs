//! `POST /stock-movements/import`: history. It is written down as it was, and takes no stock.

use std::collections::{BTreeMap, HashMap};

use axum::extract::State;
use chrono::{DateTime, Utc};
use kit::error::ApiError;
use kit::extract::Json;
use kit::id::{LocationId, ProductId};
use kit::import::{Batch, Import, Outcome, Record, Refusal, Report, Row, RowError};
use kit::text::{Code, Reference, Sku, Zone};
use serde::Deserialize;
use sqlx::PgConnection;

use super::{MAX_QUANTITY, Reason};
use crate::App;
use crate::names::Names;

/// One line of a document; the lines of one document stand together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MovementRow {
    reference: Reference,
    reason: Reason,
    sku: Sku,
    location_code: Code,
    quantity: i64,
    occurred_at: DateTime<Utc>,
    time_zone: Zone,
}

impl Record for MovementRow {
    const REQUIRED: &'static [&'static str] =
        &["reference", "reason", "sku", "location_code", "quantity", "occurred_at", "time_zone"];
    const DOCUMENT: Option<&'static str> = Some("reference");

    fn document(&self) -> Option<&str> {
        Some(self.reference.as_str())
    }

    fn check(&self) -> Result<(), Refusal> {
        if !(-MAX_QUANTITY..=MAX_QUANTITY).contains(&self.quantity) {
            return Err(Refusal::new("quantity", format!("a line moves at most {MAX_QUANTITY} pieces")));
        }
        if !self.reason.allows(self.quantity) {
            let reason = "a sale takes (below zero), a return or replenishment gives (above zero), nothing moves zero";
            return Err(Refusal::new("quantity", reason));
        }
        Ok(())
    }
}

/// Import the history of stock movements.
///
/// CSV or NDJSON with `reference`, `reason`, `sku`, `location_code`, `quantity`, `occurred_at`, `time_zone`. Takes no
/// stock. Known references gain the lines they lack, so it is safe to repeat.
#[utoipa::path(post, path = "/stock-movements/import", tag = "stock movements",
    request_body(content((String = "text/csv"), (String = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report)))]
pub(super) async fn import_movements(
    State(app): State<App>,
    mut import: Import<MovementRow>,
) -> Result<Json<Report>, ApiError> {
    while let Some(batch) = import.next().await {
        import.record(write(&app, &batch).await?);
    }
    Ok(Json(import.finish()))
}

/// A movement to write: several lines of a document that move one product at one location are one movement.
struct Movement<'a> {
    first: &'a Row<MovementRow>,
    /// Rows that were added up.
    rows: u64,
    quantity: i64,
}

/// What tells movements apart: reference, location, product. Ordered, so that two imports lock in one order.
type Key<'a> = (&'a str, LocationId, ProductId);

async fn write(app: &App, batch: &Batch<MovementRow>) -> Result<Outcome, ApiError> {
    let mut outcome = Outcome::default();
    let mut transaction = kit::db::begin(&app.db).await?;
    let named = batch.rows.iter().map(|row| (&row.value.sku, &row.value.location_code));
    let names = Names::look_up(&mut transaction, named).await?;

    let mut movements: BTreeMap<Key<'_>, Movement<'_>> = BTreeMap::new();
    for document in batch.documents() {
        match resolve(&names, document) {
            Ok(ids) => {
                for (row, (product, location)) in document.iter().zip(ids) {
                    let key = (row.value.reference.as_str(), location, product);
                    let movement = movements.entry(key).or_insert(Movement { first: row, rows: 0, quantity: 0 });
                    movement.rows += 1;
                    movement.quantity += row.value.quantity;
                }
            }
            Err(errors) => outcome.refused.extend(errors),
        }
    }
    refuse_impossible(&mut movements, &mut outcome);
    refuse_live(&mut transaction, &mut movements, &mut outcome).await?;
    insert(&mut transaction, movements, &mut outcome).await?;
    transaction.commit().await?;
    Ok(outcome)
}

/// The ids of a document's lines; where one is unknown the whole document is refused, each row with its reason.
fn resolve(names: &Names, document: &[Row<MovementRow>]) -> Result<Vec<(ProductId, LocationId)>, Vec<RowError>> {
    let ids: Vec<_> = document.iter().map(|row| names.ids(row, &row.value.sku, &row.value.location_code)).collect();
    if ids.iter().all(Result::is_ok) {
        return Ok(ids.into_iter().flatten().collect());
    }
    let refused = document.iter().zip(ids).map(|(row, ids)| match ids {
        Ok(_) => row.refused("reference", "another line of this document is refused"),
        Err(error) => error,
    });
    Err(refused.collect())
}

/// Lines that add up to nothing, or to more than a movement holds.
fn refuse_impossible(movements: &mut BTreeMap<Key<'_>, Movement<'_>>, outcome: &mut Outcome) {
    movements.retain(|_, movement| {
        let possible = movement.quantity != 0 && movement.quantity.abs() <= MAX_QUANTITY;
        if !possible {
            refuse(outcome, movement, "quantity", "the lines of this product add up to nothing, or to too much");
        }
        possible
    });
}

/// References that live requests used: history must not write into them.
async fn refuse_live(
    db: &mut PgConnection,
    movements: &mut BTreeMap<Key<'_>, Movement<'_>>,
    outcome: &mut Outcome,
) -> Result<(), sqlx::Error> {
    let firsts: Vec<&MovementRow> = movements.values().map(|movement| &movement.first.value).collect();
    sqlx::query(
        "INSERT INTO movement_documents (reference, outcome, reason, occurred_at, time_zone, imported)
         SELECT DISTINCT ON (reference) reference, 'applied', reason, occurred_at, time_zone, true
         FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) AS row (reference, reason, occurred_at, time_zone)
         ORDER BY reference, occurred_at
         ON CONFLICT (reference) DO NOTHING",
    )
    .bind(firsts.iter().map(|row| row.reference.as_str()).collect::<Vec<_>>())
    .bind(firsts.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>())
    .bind(firsts.iter().map(|row| row.occurred_at).collect::<Vec<_>>())
    .bind(firsts.iter().map(|row| row.time_zone.as_str()).collect::<Vec<_>>())
    .execute(&mut *db)
    .await?;
    let references: Vec<&str> = movements.keys().map(|(reference, _, _)| *reference).collect();
    let live: Vec<String> =
        sqlx::query_scalar("SELECT reference FROM movement_documents WHERE reference = ANY($1) AND NOT imported")
            .bind(&references)
            .fetch_all(db)
            .await?;
    movements.retain(|(reference, _, _), movement| {
        let free = !live.iter().any(|live| live == reference);
        if !free {
            refuse(outcome, movement, "reference", "this reference belongs to a document that moved stock itself");
        }
        free
    });
    Ok(())
}

/// Writes what is new, and compares the rest with what is there.
async fn insert(
    db: &mut PgConnection,
    movements: BTreeMap<Key<'_>, Movement<'_>>,
    outcome: &mut Outcome,
) -> Result<(), sqlx::Error> {
    let references: Vec<&str> = movements.keys().map(|(reference, _, _)| *reference).collect();
    let locations: Vec<LocationId> = movements.keys().map(|(_, location, _)| *location).collect();
    let products: Vec<ProductId> = movements.keys().map(|(_, _, product)| *product).collect();
    let written: Vec<(String, LocationId, ProductId)> = sqlx::query_as(
        "INSERT INTO stock_movements
                (reference, location_id, product_id, quantity, reason, occurred_at, time_zone, imported)
         SELECT reference, location, product, quantity, reason, occurred_at, time_zone, true
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::timestamptz[], $7::text[])
              AS row (reference, location, product, quantity, reason, occurred_at, time_zone)
         ON CONFLICT ON CONSTRAINT stock_movements_once DO NOTHING
         RETURNING reference, location_id, product_id",
    )
    .bind(&references)
    .bind(&locations)
    .bind(&products)
    .bind(movements.values().map(|movement| movement.quantity).collect::<Vec<_>>())
    .bind(movements.values().map(|movement| movement.first.value.reason.as_str()).collect::<Vec<_>>())
    .bind(movements.values().map(|movement| movement.first.value.occurred_at).collect::<Vec<_>>())
    .bind(movements.values().map(|movement| movement.first.value.time_zone.as_str()).collect::<Vec<_>>())
    .fetch_all(&mut *db)
    .await?;
    if written.len() == movements.len() {
        outcome.applied += movements.values().map(|movement| movement.rows).sum::<u64>();
        return Ok(());
    }
    let written: std::collections::HashSet<Key<'_>> =
        written.iter().map(|(reference, location, product)| (reference.as_str(), *location, *product)).collect();
    let known: Vec<(String, LocationId, ProductId, i64)> = sqlx::query_as(
        "SELECT reference, location_id, product_id, quantity FROM stock_movements
         WHERE reference = ANY($1) AND NOT reversal",
    )
    .bind(&references)
    .fetch_all(db)
    .await?;
    let known: HashMap<Key<'_>, i64> = known
        .iter()
        .map(|(reference, location, product, quantity)| ((reference.as_str(), *location, *product), *quantity))
        .collect();
    for (key, movement) in &movements {
        if written.contains(key) {
            outcome.applied += movement.rows;
        } else if known.get(key) == Some(&movement.quantity) {
            outcome.unchanged += movement.rows;
        } else {
            refuse(outcome, movement, "quantity", "this document was imported before with another quantity");
        }
    }
    Ok(())
}

/// Refuses all rows of a movement; the line of the first stands for them.
fn refuse(outcome: &mut Outcome, movement: &Movement<'_>, field: &str, reason: &str) {
    outcome.refused.extend((0..movement.rows).map(|_| movement.first.refused(field, reason)));
}
