//! Writes judged orders: headers and lines by a COPY each, whatever their number.

use kit::copy::{Field, Tuples};
use kit::error::ApiError;
use kit::import::{Applying, history};
use sqlx::PgTransaction;

use super::judge::Resolved;
use crate::ids::OrderId;

/// Writes the orders; what they take the place of is marked deleted, and its refunds move over.
pub(super) async fn write(
    tx: &mut PgTransaction<'_>,
    import: Applying,
    resolved: &[Resolved<'_>],
) -> Result<(), ApiError> {
    if resolved.is_empty() {
        return Ok(());
    }
    let replaced: Vec<OrderId> = resolved.iter().filter_map(|it| it.replaces).collect();
    if !replaced.is_empty() {
        sqlx::query!("UPDATE orders SET deleted = true WHERE id = ANY($1)", &replaced as _).execute(&mut **tx).await?;
    }
    let ids = history::ids(tx, "orders_id_seq", resolved.len()).await?;
    let (mut headers, mut lines) = (Tuples::default(), Tuples::default());
    for (it, id) in resolved.iter().zip(ids.iter().copied()) {
        let head = it.document.head();
        let [confirmed, shipped, delivered, cancelled] = it.steps.map(|at| at.map_or(Field::Null, Field::Moment));
        headers.push(&[
            Field::Int8(id),
            Field::Text(head.reference.as_str()),
            Field::Int8(it.customer_id.0),
            Field::Text(head.status.as_str()),
            Field::Text(head.payment_status.as_str()),
            Field::Moment(it.occurred_at),
            Field::Text(&it.time_zone),
            Field::Local(it.local_time),
            confirmed,
            shipped,
            delivered,
            cancelled,
            Field::Int8(it.lines.iter().map(|resolved| resolved.line.net()).sum()),
            Field::Bool(true),
            Field::Int8(import.id),
            it.replaces.map_or(Field::Null, |replaced| Field::Int8(replaced.0)),
        ]);
        it.lines.iter().for_each(|resolved| resolved.line.push(id, &mut lines));
    }
    let headers_to = "COPY orders (id, reference, customer_id, status, payment_status, occurred_at, time_zone, local_time, \
                      confirmed_at, shipped_at, delivered_at, cancelled_at, total_cents, imported, import_id, replaces) \
                      FROM STDIN WITH (FORMAT binary)";
    let lines_to = "COPY order_lines (order_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents, \
                    unit_cost_cents, discount_cents) FROM STDIN WITH (FORMAT binary)";
    history::write(tx, (headers, headers_to), (lines, lines_to)).await?;
    if !replaced.is_empty() {
        let (old, new): (Vec<OrderId>, Vec<i64>) =
            resolved.iter().zip(ids).filter_map(|(it, id)| Some((it.replaces?, id))).unzip();
        sqlx::query!(
            "UPDATE refunds SET order_id = moved.new FROM UNNEST($1::bigint[], $2::bigint[]) AS moved (old, new) \
             WHERE order_id = moved.old AND NOT deleted",
            old as _,
            new as _
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}
