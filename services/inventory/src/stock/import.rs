//! `POST /stock/import`: a count. It says what lies there, and so sets on hand.

use axum::extract::State;
use kit::error::ApiError;
use kit::extract::Json;
use kit::id::{LocationId, ProductId};
use kit::idempotency::Digest;
use kit::import::{Batch, Import, Outcome, Record, Refusal, Report};
use kit::text::{Code, Sku};
use serde::Deserialize;
use sqlx::PgConnection;

use crate::App;
use crate::movements::MAX_QUANTITY;
use crate::names::Names;

/// What was counted of one product at one location.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CountRow {
    sku: Sku,
    location_code: Code,
    on_hand: i64,
}

impl Record for CountRow {
    const REQUIRED: &'static [&'static str] = &["sku", "location_code", "on_hand"];

    fn check(&self) -> Result<(), Refusal> {
        // The bound of a movement, for a second count is written down as one.
        if (0..=MAX_QUANTITY).contains(&self.on_hand) {
            return Ok(());
        }
        Err(Refusal::new("on_hand", format!("must be from 0 to {MAX_QUANTITY} pieces")))
    }
}

/// Import a count of stock.
///
/// CSV or NDJSON with `sku`, `location_code`, `on_hand`. The first count of a product at a location is its opening
/// stock; a later one that differs writes the difference as an adjustment. Safe to repeat while nothing else moves.
#[utoipa::path(post, path = "/stock/import", tag = "stock",
    request_body(content((String = "text/csv"), (String = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report)))]
pub(super) async fn import_stock(
    State(app): State<App>,
    mut import: Import<CountRow>,
) -> Result<Json<Report>, ApiError> {
    while let Some(batch) = import.next().await {
        import.record(write(&app, batch).await?);
    }
    Ok(Json(import.finish()))
}

async fn write(app: &App, mut batch: Batch<CountRow>) -> Result<Outcome, ApiError> {
    let mut outcome = Outcome::default();
    let repeated = batch.keep_last(|count| (count.sku.clone(), count.location_code.clone()));
    let mut transaction = kit::db::begin(&app.db).await?;
    let counted = batch.rows.iter().map(|row| (&row.value.sku, &row.value.location_code));
    let names = Names::look_up(&mut transaction, counted).await?;
    let mut counts = Counts::default();
    for row in &batch.rows {
        match names.ids(row, &row.value.sku, &row.value.location_code) {
            Ok((product, location)) => counts.push(product, location, row.value.on_hand),
            Err(error) => outcome.refused.push(error),
        }
    }
    let opened = counts.open(&mut transaction).await?;
    let adjusted = counts.adjust(&mut transaction).await?;
    transaction.commit().await?;
    outcome.applied = opened + adjusted;
    outcome.unchanged = counts.products.len() as u64 - outcome.applied + repeated;
    Ok(outcome)
}

/// The good rows of a batch, as columns.
#[derive(Default)]
struct Counts {
    products: Vec<ProductId>,
    locations: Vec<LocationId>,
    on_hand: Vec<i64>,
}

impl Counts {
    fn push(&mut self, product: ProductId, location: LocationId, on_hand: i64) {
        self.products.push(product);
        self.locations.push(location);
        self.on_hand.push(on_hand);
    }

    /// Makes the rows that there were none of: opening stock, which no movement explains.
    async fn open(&self, db: &mut PgConnection) -> Result<u64, sqlx::Error> {
        let opened = sqlx::query(
            "INSERT INTO stock (product_id, location_id, on_hand)
             SELECT product, location, counted
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS count (product, location, counted)
             ORDER BY location, product
             ON CONFLICT (product_id, location_id) DO NOTHING",
        )
        .bind(&self.products)
        .bind(&self.locations)
        .bind(&self.on_hand)
        .execute(db)
        .await?;
        Ok(opened.rows_affected())
    }

    /// Brings the other rows to what was counted, and writes each difference as a movement, so that on hand stays
    /// the opening plus the sum of movements. Rows are locked in the order that all writers of stock keep.
    async fn adjust(&self, db: &mut PgConnection) -> Result<u64, sqlx::Error> {
        let off: Vec<(LocationId, ProductId, i64)> = sqlx::query_as(
            "SELECT location_id, product_id, counted - on_hand
             FROM (SELECT s.location_id, s.product_id, s.on_hand, count.counted
                   FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS count (product, location, counted)
                   JOIN stock s ON s.product_id = count.product AND s.location_id = count.location
                   ORDER BY s.location_id, s.product_id FOR NO KEY UPDATE OF s) AS locked
             WHERE counted <> on_hand",
        )
        .bind(&self.products)
        .bind(&self.locations)
        .bind(&self.on_hand)
        .fetch_all(&mut *db)
        .await?;
        if off.is_empty() {
            return Ok(0);
        }
        let locations: Vec<LocationId> = off.iter().map(|(location, _, _)| *location).collect();
        let products: Vec<ProductId> = off.iter().map(|(_, product, _)| *product).collect();
        let deltas: Vec<i64> = off.iter().map(|(_, _, delta)| *delta).collect();
        let reference: String = sqlx::query_scalar(
            "INSERT INTO movement_documents (reference, outcome, reason, occurred_at, time_zone, request_digest)
             VALUES ('count-' || gen_random_uuid(), 'applied', 'adjustment', now(), 'UTC', $1) RETURNING reference",
        )
        .bind(Digest::of(&off).as_bytes())
        .fetch_one(&mut *db)
        .await?;
        sqlx::query(
            "INSERT INTO stock_movements (reference, product_id, location_id, quantity, reason, occurred_at, time_zone)
             SELECT $1, product, location, delta, 'adjustment', now(), 'UTC'
             FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS off (product, location, delta)",
        )
        .bind(&reference)
        .bind(&products)
        .bind(&locations)
        .bind(&deltas)
        .execute(&mut *db)
        .await?;
        let changed = sqlx::query(
            "UPDATE stock SET on_hand = stock.on_hand + off.delta
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS off (product, location, delta)
             WHERE stock.product_id = off.product AND stock.location_id = off.location",
        )
        .bind(&products)
        .bind(&locations)
        .bind(&deltas)
        .execute(db)
        .await?;
        Ok(changed.rows_affected())
    }
}
