//! Stores a new document: header, lines, receipt number and the debt to Inventory, all or nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::error::ApiError;
use sqlx::{PgConnection, PgTransaction};

use super::answer::Bound;
use super::document::Kind;
use super::sell::Place;

/// A document about to be stored as pending.
pub(super) struct Draft {
    pub kind: Kind,
    pub reference: String,
    pub place: Place,
    pub location_id: i64,
    pub original_sale_id: Option<i64>,
    pub occurred_at: DateTime<Utc>,
    pub lines: Vec<DraftLine>,
}

/// A line about to be stored; its values never change afterwards.
#[derive(Debug, Clone)]
pub(super) struct DraftLine {
    pub product_id: i64,
    pub sku: String,
    pub product_name: String,
    pub category: String,
    /// Pieces; negative on returns.
    pub quantity: i64,
    pub unit_price_cents: i64,
    pub unit_cost_cents: i64,
    pub discount_cents: i64,
    pub original_line_no: Option<i32>,
}

/// Stores the draft as pending and answers its id; `grace` is how long recovery leaves it to the request that
/// made it. Answers nothing where the key was taken meanwhile: roll back, for a receipt number was drawn.
///
/// # Errors
/// The database's.
pub(super) async fn insert_pending(
    tx: &mut PgTransaction<'_>,
    draft: &Draft,
    bound: Option<&Bound>,
    grace: Duration,
) -> Result<Option<i64>, ApiError> {
    let total_cents = total_cents(&draft.lines)?;
    let receipt_number = next_receipt_number(tx, &draft.place).await?;
    let id: Option<i64> = sqlx::query_scalar(
        "INSERT INTO sales (reference, kind, status, receipt_number, store_id, register_id, location_id, \
         original_sale_id, occurred_at, time_zone, total_cents, idempotency_key, idempotency_digest) \
         VALUES ($1, $2, 'pending', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (idempotency_key) DO NOTHING RETURNING id",
    )
    .bind(&draft.reference)
    .bind(draft.kind)
    .bind(receipt_number)
    .bind(draft.place.store_id)
    .bind(draft.place.register_id)
    .bind(draft.location_id)
    .bind(draft.original_sale_id)
    .bind(draft.occurred_at)
    .bind(&draft.place.time_zone)
    .bind(total_cents)
    .bind(bound.map(|it| it.key.as_str()))
    .bind(bound.map(|it| it.digest.as_bytes()))
    .fetch_optional(&mut **tx)
    .await?;
    let Some(id) = id else { return Ok(None) };
    insert_lines(tx, id, &draft.lines).await?;
    sqlx::query(
        "INSERT INTO stock_tasks (sale_id, step, due_at) VALUES ($1, 'post', now() + make_interval(secs => $2))",
    )
    .bind(id)
    .bind(grace.as_secs_f64())
    .execute(&mut **tx)
    .await?;
    Ok(Some(id))
}

fn total_cents(lines: &[DraftLine]) -> Result<i64, ApiError> {
    let total: i128 = lines
        .iter()
        .map(|line| i128::from(line.quantity) * i128::from(line.unit_price_cents) - i128::from(line.discount_cents))
        .sum();
    i64::try_from(total).map_err(|_| ApiError::invalid("lines", "the total is beyond 64 bits"))
}

/// `<store code>-<register>-<running number>`. The counter's row lock makes numbers gapless: a document
/// that is not stored takes none.
async fn next_receipt_number(db: &mut PgConnection, place: &Place) -> Result<String, sqlx::Error> {
    let number: i64 = sqlx::query_scalar(
        "INSERT INTO receipt_counters AS c (register_id, last) VALUES ($1, 1) \
         ON CONFLICT (register_id) DO UPDATE SET last = c.last + 1 RETURNING last",
    )
    .bind(place.register_id)
    .fetch_one(db)
    .await?;
    Ok(format!("{}-{:02}-{number:06}", place.store_code, place.register_number))
}

async fn insert_lines(db: &mut PgConnection, sale_id: i64, lines: &[DraftLine]) -> Result<(), sqlx::Error> {
    fn column<T>(lines: &[DraftLine], value: impl Fn(&DraftLine) -> T) -> Vec<T> {
        lines.iter().map(value).collect()
    }
    sqlx::query(
        "INSERT INTO sale_lines (sale_id, line_no, product_id, sku, product_name, category, quantity, \
         unit_price_cents, unit_cost_cents, discount_cents, original_line_no) \
         SELECT $1, line_no::int, product_id, sku, product_name, category, quantity, price, cost, discount, original \
         FROM UNNEST($2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], \
         $9::bigint[], $10::int[]) WITH ORDINALITY \
         AS l (product_id, sku, product_name, category, quantity, price, cost, discount, original, line_no)",
    )
    .bind(sale_id)
    .bind(column(lines, |it| it.product_id))
    .bind(column(lines, |it| it.sku.clone()))
    .bind(column(lines, |it| it.product_name.clone()))
    .bind(column(lines, |it| it.category.clone()))
    .bind(column(lines, |it| it.quantity))
    .bind(column(lines, |it| it.unit_price_cents))
    .bind(column(lines, |it| it.unit_cost_cents))
    .bind(column(lines, |it| it.discount_cents))
    .bind(column(lines, |it| it.original_line_no))
    .execute(db)
    .await?;
    Ok(())
}
