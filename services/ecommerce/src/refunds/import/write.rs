//! Writes judged refunds: headers and lines by a COPY each, whatever their number.

use chrono::Utc;
use kit::copy::{Field, Tuples};
use kit::error::ApiError;
use kit::import::{Applying, history};
use sqlx::PgTransaction;

use super::judge::Resolved;
use crate::ids::RefundId;

/// Writes the refunds; what they take the place of is marked deleted.
pub(super) async fn write(
    tx: &mut PgTransaction<'_>,
    import: Applying,
    resolved: &[Resolved<'_>],
) -> Result<(), ApiError> {
    if resolved.is_empty() {
        return Ok(());
    }
    let replaced: Vec<RefundId> = resolved.iter().filter_map(|it| it.replaces).collect();
    if !replaced.is_empty() {
        sqlx::query!("UPDATE refunds SET deleted = true WHERE id = ANY($1)", &replaced as _).execute(&mut **tx).await?;
    }
    let ids = history::ids(tx, "orders_id_seq", resolved.len()).await?;
    let (mut headers, mut lines) = (Tuples::default(), Tuples::default());
    let now = Utc::now();
    for (it, id) in resolved.iter().zip(ids) {
        headers.push(&[
            Field::Int8(id),
            Field::Text(it.document.head().reference.as_str()),
            Field::Int8(it.order_id.0),
            Field::Text("completed"),
            Field::Moment(it.occurred_at),
            Field::Text(&it.time_zone),
            Field::Local(it.local_time),
            Field::Int8(it.parts.iter().map(|part| part.net_cents).sum()),
            Field::Bool(true),
            Field::Moment(now),
            Field::Int8(import.id),
            it.replaces.map_or(Field::Null, |replaced| Field::Int8(replaced.0)),
        ]);
        for (line, part) in it.lines.iter().zip(&it.parts) {
            lines.push(&[
                Field::Int8(id),
                Field::Int4(line.line_no),
                Field::Int4(part.order_line_no),
                Field::Int8(part.quantity),
                Field::Int8(part.discount_cents),
                Field::Int8(part.net_cents),
            ]);
        }
    }
    let headers_to = "COPY refunds (id, reference, order_id, status, occurred_at, time_zone, local_time, total_cents, imported, \
                      settled_at, import_id, replaces) FROM STDIN WITH (FORMAT binary)";
    let lines_to = "COPY refund_lines (refund_id, line_no, order_line_no, quantity, discount_cents, net_cents) \
                    FROM STDIN WITH (FORMAT binary)";
    history::write(tx, (headers, headers_to), (lines, lines_to)).await
}
