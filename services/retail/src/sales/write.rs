//! Stores a new document: receipt number, header, lines and the message to Inventory, all or nothing.

use chrono::{DateTime, Utc};
use kit::error::ApiError;
use kit::fact;
use kit::id::{LocationId, ProductId};
use kit::idempotency::KeyedRequest;
use kit::stock::Step;
use sqlx::PgTransaction;

use super::document::Kind;
use super::place::Place;
use crate::App;
use crate::ids::SaleId;

/// A document about to be stored as pending.
pub(super) struct Draft {
    pub kind: Kind,
    pub reference: String,
    pub place: Place,
    pub location_id: LocationId,
    pub original_sale_id: Option<SaleId>,
    pub occurred_at: DateTime<Utc>,
    /// Sent later by a till, at the prices that were charged.
    pub offline: bool,
    pub lines: Vec<DraftLine>,
}

/// A line about to be stored; its values never change afterwards.
#[derive(Debug, Clone)]
pub(super) struct DraftLine {
    pub product_id: ProductId,
    pub sku: String,
    pub product_name: String,
    pub category: String,
    /// Pieces; negative on returns.
    pub quantity: i64,
    pub unit_price_cents: i64,
    /// Where another price was charged: the one of the list.
    pub list_price_cents: Option<i64>,
    pub unit_cost_cents: i64,
    pub discount_cents: i64,
    pub original_line_no: Option<i32>,
}

/// Stores the draft as pending, with its message to Inventory, and answers its id. Answers nothing where the key was taken
/// meanwhile: roll back, for a receipt number was drawn.
///
/// As few statements as can be, because they hold the register's counter and everybody at that register waits for it.
///
/// # Errors
/// The database's.
pub(super) async fn insert_pending(
    app: &App,
    tx: &mut PgTransaction<'_>,
    draft: &Draft,
    keyed: &KeyedRequest,
) -> Result<Option<SaleId>, ApiError> {
    fn column<T>(lines: &[DraftLine], value: impl Fn(&DraftLine) -> T) -> Vec<T> {
        lines.iter().map(value).collect()
    }
    let Draft { place, lines, .. } = draft;
    let id: Option<SaleId> = sqlx::query_scalar!(
        "WITH drawn AS (
           INSERT INTO receipt_counters AS c (register_id, last) VALUES ($5, 1)
           ON CONFLICT (register_id) DO UPDATE SET last = c.last + 1 RETURNING last),
         sale AS (
           INSERT INTO sales (reference, kind, status, receipt_number, store_id, register_id, location_id,
             original_sale_id, occurred_at, time_zone, local_time, total_cents, idempotency_key, idempotency_digest, offline)
           SELECT $1, $2, 'pending', $3 || lpad(last::text, greatest(6, length(last::text)), '0'), $4, $5, $6, $7, $8, $9,
             $24, $10, $11, $12, $22
           FROM drawn ON CONFLICT (idempotency_key) DO NOTHING RETURNING id),
         lines AS (
           INSERT INTO sale_lines (sale_id, line_no, product_id, sku, product_name, category, quantity,
             unit_price_cents, unit_cost_cents, discount_cents, original_line_no, list_price_cents)
           SELECT sale.id, line_no::int, product_id, sku, product_name, category, quantity, price, cost, discount, original, list
           FROM sale, UNNEST($13::bigint[], $14::text[], $15::text[], $16::text[], $17::bigint[], $18::bigint[], $19::bigint[],
             $20::bigint[], $21::int[], $23::bigint[]) WITH ORDINALITY
             AS l (product_id, sku, product_name, category, quantity, price, cost, discount, original, list, line_no))
         SELECT id AS \"id!: SaleId\" FROM sale",
        &draft.reference,
        draft.kind as _,
        format!("{}-{:02}-", place.store_code, place.register_number),
        place.store_id.0,
        place.register_id.0,
        draft.location_id.0,
        draft.original_sale_id.map(i64::from),
        draft.occurred_at,
        &place.time_zone,
        total_cents(lines)?,
        keyed.key(),
        keyed.digest(),
        column(lines, |it| it.product_id) as _,
        &column(lines, |it| it.sku.clone()),
        &column(lines, |it| it.product_name.clone()),
        &column(lines, |it| it.category.clone()),
        &column(lines, |it| it.quantity),
        &column(lines, |it| it.unit_price_cents),
        &column(lines, |it| it.unit_cost_cents),
        &column(lines, |it| it.discount_cents),
        column(lines, |it| it.original_line_no) as _,
        draft.offline,
        column(lines, |it| it.list_price_cents) as _,
        fact::local_time(&place.time_zone, draft.occurred_at)?
    )
    .fetch_optional(&mut **tx)
    .await?;
    if let Some(id) = id {
        app.outbox.enqueue(tx, id, Step::Post).await?;
    }
    Ok(id)
}

fn total_cents(lines: &[DraftLine]) -> Result<i64, ApiError> {
    let total: i128 = lines
        .iter()
        .map(|line| i128::from(line.quantity) * i128::from(line.unit_price_cents) - i128::from(line.discount_cents))
        .sum();
    i64::try_from(total).map_err(|_| ApiError::invalid("lines", "the total is beyond 64 bits"))
}
