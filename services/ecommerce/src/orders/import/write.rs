//! Writes judged orders: headers and lines by a COPY each, whatever their number.

use kit::copy::{Field, Tuples};
use kit::error::ApiError;
use kit::import::Applying;
use sqlx::PgTransaction;

use super::judge::Told;
use crate::ids::OrderId;

/// Writes the orders; what they take the place of is marked deleted.
pub(super) async fn write(tx: &mut PgTransaction<'_>, import: Applying, told: &[Told<'_>]) -> Result<(), ApiError> {
    if told.is_empty() {
        return Ok(());
    }
    let replaced: Vec<OrderId> = told.iter().filter_map(|it| it.replaces).collect();
    if !replaced.is_empty() {
        sqlx::query!("UPDATE orders SET deleted = true WHERE id = ANY($1)", &replaced as _).execute(&mut **tx).await?;
    }
    let ids: Vec<OrderId> = sqlx::query_scalar(
        "SELECT nextval(pg_get_serial_sequence('orders', 'id')) FROM generate_series(1, $1) ORDER BY 1",
    )
    .bind(i64::try_from(told.len()).unwrap_or(i64::MAX))
    .fetch_all(&mut **tx)
    .await?;
    let (mut headers, mut lines) = (Tuples::default(), Tuples::default());
    for (it, id) in told.iter().zip(&ids) {
        let head = it.document.head();
        let [confirmed, shipped, delivered, cancelled] = it.steps.map(|at| at.map_or(Field::Null, Field::Moment));
        headers.push(&[
            Field::Int8(id.0),
            Field::Text(head.reference.as_str()),
            Field::Int8(it.customer_id.0),
            Field::Text(head.status.as_str()),
            Field::Text(head.payment_status.as_str()),
            Field::Moment(it.occurred_at),
            Field::Text(&it.time_zone),
            confirmed,
            shipped,
            delivered,
            cancelled,
            Field::Int8(it.lines.iter().map(|told| told.line.net()).sum()),
            Field::Bool(true),
            Field::Int8(import.id),
        ]);
        for line in it.lines.iter().map(|told| &told.line) {
            lines.push(&[
                Field::Int8(id.0),
                Field::Int4(line.line_no),
                Field::Int8(line.product_id.0),
                Field::Text(&line.sku),
                Field::Text(&line.product_name),
                Field::Text(&line.category),
                Field::Int8(line.quantity),
                Field::Int8(line.unit_price_cents),
                Field::Int8(line.unit_cost_cents),
                Field::Int8(line.discount_cents),
            ]);
        }
    }
    let copy = "COPY orders (id, reference, customer_id, status, payment_status, occurred_at, time_zone, confirmed_at, \
                shipped_at, delivered_at, cancelled_at, total_cents, imported, import_id) FROM STDIN WITH (FORMAT binary)";
    headers.copy(tx, copy).await?;
    // The lines are of headers that this transaction just made.
    sqlx::query("SELECT set_config('feed.new_headers', pg_current_xact_id()::text, true)").execute(&mut **tx).await?;
    let copy = "COPY order_lines (order_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents, \
                unit_cost_cents, discount_cents) FROM STDIN WITH (FORMAT binary)";
    lines.copy(tx, copy).await?;
    Ok(())
}
