//! Writes judged documents: headers and lines by a COPY each, whatever their number.

use std::collections::{BTreeSet, HashMap};

use chrono::Utc;
use kit::copy::{Field, Tuples};
use kit::error::ApiError;
use kit::id::StoreId;
use kit::import::{Applying, history};
use sqlx::PgTransaction;

use super::judge::Resolved;
use crate::ids::{RegisterId, SaleId};

/// Registers by store and number.
type Registers = HashMap<(StoreId, i32), RegisterId>;

/// Writes the documents; what they take the place of is marked deleted, and its returns move over.
pub(super) async fn write(
    tx: &mut PgTransaction<'_>,
    import: Applying,
    resolved: &[Resolved<'_>],
) -> Result<(), ApiError> {
    if resolved.is_empty() {
        return Ok(());
    }
    let registers = registers(tx, resolved).await?;
    let replaced: Vec<SaleId> = resolved.iter().filter_map(|it| it.replaces).collect();
    if !replaced.is_empty() {
        sqlx::query!("UPDATE sales SET deleted = true WHERE id = ANY($1)", &replaced as _).execute(&mut **tx).await?;
    }
    let ids = history::ids(tx, "sales_id_seq", resolved.len()).await?;
    let (mut headers, mut lines) = (Tuples::default(), Tuples::default());
    let now = Utc::now();
    for (it, id) in resolved.iter().zip(ids.iter().copied()) {
        let head = it.document.head();
        let reference = Field::Text(head.reference.as_str());
        let register = registers.get(&(it.store_id, head.register_number)).map_or(0, |register| register.0);
        headers.push(&[
            Field::Int8(id),
            reference,
            Field::Text(head.kind.as_str()),
            Field::Text("completed"),
            reference,
            Field::Int8(it.store_id.0),
            Field::Int8(register),
            it.original.map_or(Field::Null, |original| Field::Int8(original.0)),
            Field::Moment(it.occurred_at),
            Field::Text(&it.time_zone),
            Field::Local(it.local_time),
            Field::Int8(it.lines.iter().map(|resolved| resolved.line.net()).sum()),
            Field::Bool(true),
            Field::Moment(now),
            Field::Int8(import.id),
            it.replaces.map_or(Field::Null, |replaced| Field::Int8(replaced.0)),
        ]);
        it.lines.iter().for_each(|resolved| resolved.line.push(id, &mut lines));
    }
    let headers_to = "COPY sales (id, reference, kind, status, receipt_number, store_id, register_id, original_sale_id, \
                      occurred_at, time_zone, local_time, total_cents, imported, settled_at, import_id, replaces) \
                      FROM STDIN WITH (FORMAT binary)";
    let lines_to = "COPY sale_lines (sale_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents, \
                    unit_cost_cents, discount_cents) FROM STDIN WITH (FORMAT binary)";
    history::write(tx, (headers, headers_to), (lines, lines_to)).await?;
    if !replaced.is_empty() {
        let (old, new): (Vec<SaleId>, Vec<i64>) =
            resolved.iter().zip(ids).filter_map(|(it, id)| Some((it.replaces?, id))).unzip();
        sqlx::query!(
            "UPDATE sales SET original_sale_id = moved.new FROM UNNEST($1::bigint[], $2::bigint[]) AS moved (old, new) \
             WHERE original_sale_id = moved.old AND NOT deleted",
            old as _,
            new as _
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// The registers of the documents, made where they are missing.
async fn registers(tx: &mut PgTransaction<'_>, resolved: &[Resolved<'_>]) -> Result<Registers, ApiError> {
    let asked: BTreeSet<(StoreId, i32)> =
        resolved.iter().map(|it| (it.store_id, it.document.head().register_number)).collect();
    let (store_ids, numbers): (Vec<StoreId>, Vec<i32>) = asked.into_iter().unzip();
    // Missing ones only: a conflict would use up an id, page after page.
    sqlx::query!(
        "INSERT INTO registers (store_id, number) \
         SELECT a.store_id, a.number FROM UNNEST($1::bigint[], $2::int[]) AS a (store_id, number) \
         WHERE NOT EXISTS (SELECT FROM registers r WHERE r.store_id = a.store_id AND r.number = a.number) \
         ORDER BY 1, 2 ON CONFLICT (store_id, number) DO NOTHING",
        &store_ids as _,
        &numbers
    )
    .execute(&mut **tx)
    .await?;
    let registers: Vec<(StoreId, i32, RegisterId)> = sqlx::query_as(
        "SELECT r.store_id, r.number, r.id FROM registers r \
         JOIN UNNEST($1::bigint[], $2::int[]) AS a (store_id, number) ON r.store_id = a.store_id AND r.number = a.number",
    )
    .bind(&store_ids)
    .bind(&numbers)
    .fetch_all(&mut **tx)
    .await?;
    Ok(registers.into_iter().map(|(store_id, number, id)| ((store_id, number), id)).collect())
}
