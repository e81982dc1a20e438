//! Writes one batch of an import in one transaction, with a handful of statements whatever its size.

use std::collections::{HashMap, HashSet};

use chrono_tz::Tz;
use kit::error::ApiError;
use kit::import::{Batch, Outcome, Row};
use sqlx::{PgPool, PgTransaction};

use super::OrderRow;
use crate::ids::{CustomerId, OrderId};

/// An order that passed its checks.
struct Document<'a> {
    rows: &'a [Row<OrderRow>],
    customer_id: CustomerId,
}

impl Document<'_> {
    fn head(&self) -> &OrderRow {
        &self.rows[0].value
    }

    fn total_cents(&self) -> i64 {
        self.rows.iter().map(|row| row.value.price() - row.value.discount()).sum()
    }
}

/// Writes the orders of a batch that are new and good.
///
/// # Errors
/// The database's; then nothing of the batch is written.
pub(super) async fn write(db: &PgPool, company_zone: Tz, batch: &Batch<OrderRow>) -> Result<Outcome, ApiError> {
    let mut outcome = Outcome::default();
    let mut tx = kit::db::begin(db).await?;
    let known = known_references(&mut tx, batch).await?;
    let customers = customers(&mut tx, batch).await?;
    let mut documents = Vec::new();
    let mut seen = HashSet::new();
    for rows in batch.documents() {
        let head = &rows[0].value;
        if known.contains(head.reference.as_str()) {
            outcome.unchanged += rows.len() as u64;
            continue;
        }
        let checked = consistent(rows).and_then(|()| {
            if !seen.insert(head.reference.as_str()) {
                return Err(("reference", "stands twice in this file".to_owned()));
            }
            customers.get(head.customer_reference.as_str()).copied().ok_or_else(|| {
                ("customer_reference", format!("there is no customer {}", head.customer_reference.as_str()))
            })
        });
        match checked {
            Ok(customer_id) => documents.push(Document { rows, customer_id }),
            Err((field, reason)) => outcome.refused.extend(rows.iter().map(|row| row.refused(field, reason.clone()))),
        }
    }
    insert(&mut tx, company_zone, &documents, &mut outcome).await?;
    tx.commit().await?;
    Ok(outcome)
}

/// All rows of an order must tell the same story about it.
fn consistent(rows: &[Row<OrderRow>]) -> Result<(), (&'static str, String)> {
    let head = &rows[0].value;
    let mut lines = HashSet::new();
    for it in rows.iter().map(|row| &row.value) {
        let differs = [
            ("customer_reference", it.customer_reference != head.customer_reference),
            ("status", it.status != head.status),
            ("payment_status", it.payment_status != head.payment_status),
            ("occurred_at", it.occurred_at != head.occurred_at),
            ("time_zone", it.time_zone != head.time_zone),
            ("confirmed_at", it.confirmed_at != head.confirmed_at),
            ("shipped_at", it.shipped_at != head.shipped_at),
            ("delivered_at", it.delivered_at != head.delivered_at),
            ("cancelled_at", it.cancelled_at != head.cancelled_at),
        ];
        if let Some((field, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            return Err((field, "differs between the lines of one order".to_owned()));
        }
        if !lines.insert(it.line_no) {
            return Err(("line_no", format!("line {} stands twice in one order", it.line_no)));
        }
    }
    let total: i128 = rows.iter().map(|row| i128::from(row.value.price())).sum();
    if total > i128::from(i64::MAX) {
        return Err(("quantity", "makes the order's total larger than 64 bits hold".to_owned()));
    }
    Ok(())
}

async fn known_references(tx: &mut PgTransaction<'_>, batch: &Batch<OrderRow>) -> Result<HashSet<String>, ApiError> {
    let references: Vec<&str> = batch.documents().map(|rows| rows[0].value.reference.as_str()).collect();
    let known: Vec<String> = sqlx::query_scalar("SELECT reference FROM orders WHERE reference = ANY($1)")
        .bind(references)
        .fetch_all(&mut **tx)
        .await?;
    Ok(known.into_iter().collect())
}

async fn customers(
    tx: &mut PgTransaction<'_>,
    batch: &Batch<OrderRow>,
) -> Result<HashMap<String, CustomerId>, ApiError> {
    let references: HashSet<&str> = batch.documents().map(|rows| rows[0].value.customer_reference.as_str()).collect();
    let customers: Vec<(String, CustomerId)> =
        sqlx::query_as("SELECT reference, id FROM customers WHERE reference = ANY($1) AND NOT deleted")
            .bind(references.into_iter().collect::<Vec<_>>())
            .fetch_all(&mut **tx)
            .await?;
    Ok(customers.into_iter().collect())
}

async fn insert(
    tx: &mut PgTransaction<'_>,
    company_zone: Tz,
    documents: &[Document<'_>],
    outcome: &mut Outcome,
) -> Result<(), ApiError> {
    fn column<'a, T>(documents: &'a [Document<'a>], value: impl Fn(&'a Document<'a>) -> T) -> Vec<T> {
        documents.iter().map(value).collect()
    }
    let inserted: Vec<(String, OrderId)> = sqlx::query_as(
        "INSERT INTO orders (reference, customer_id, status, payment_status, occurred_at, time_zone, confirmed_at, shipped_at, \
         delivered_at, cancelled_at, total_cents, imported) \
         SELECT d.reference, d.customer_id, d.status, d.payment_status, d.occurred_at, d.time_zone, d.confirmed_at, d.shipped_at, \
         d.delivered_at, d.cancelled_at, d.total_cents, true \
         FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], \
         $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::bigint[]) \
         AS d (reference, customer_id, status, payment_status, occurred_at, time_zone, confirmed_at, shipped_at, \
         delivered_at, cancelled_at, total_cents) \
         ON CONFLICT (reference) DO NOTHING RETURNING reference, id",
    )
    .bind(column(documents, |it| it.head().reference.as_str()))
    .bind(column(documents, |it| it.customer_id))
    .bind(column(documents, |it| it.head().status.as_str()))
    .bind(column(documents, |it| it.head().payment_status.as_str()))
    .bind(column(documents, |it| it.head().occurred_at))
    .bind(column(documents, |it| it.head().time_zone.as_ref().map_or(company_zone.name(), |zone| zone.as_str())))
    .bind(column(documents, |it| it.head().confirmed_at))
    .bind(column(documents, |it| it.head().shipped_at))
    .bind(column(documents, |it| it.head().delivered_at))
    .bind(column(documents, |it| it.head().cancelled_at))
    .bind(column(documents, Document::total_cents))
    .fetch_all(&mut **tx)
    .await?;
    let ids: HashMap<String, OrderId> = inserted.into_iter().collect();
    let mut lines: Vec<(OrderId, &OrderRow)> = Vec::new();
    for document in documents {
        match ids.get(document.head().reference.as_str()) {
            Some(id) => lines.extend(document.rows.iter().map(|row| (*id, &row.value))),
            // Another import of the same file was quicker.
            None => outcome.unchanged += document.rows.len() as u64,
        }
    }
    outcome.applied += lines.len() as u64;
    insert_lines(tx, &lines).await
}

async fn insert_lines(tx: &mut PgTransaction<'_>, lines: &[(OrderId, &OrderRow)]) -> Result<(), ApiError> {
    fn column<'a, T>(lines: &'a [(OrderId, &'a OrderRow)], value: impl Fn(&'a OrderRow) -> T) -> Vec<T> {
        lines.iter().map(|(_, row)| value(row)).collect()
    }
    sqlx::query(
        "INSERT INTO order_lines (order_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents, \
         unit_cost_cents, discount_cents) \
         SELECT l.order_id, l.line_no, l.product_id, l.sku, l.product_name, l.category, l.quantity, l.unit_price_cents, \
         l.unit_cost_cents, l.discount_cents \
         FROM UNNEST($1::bigint[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], \
         $8::bigint[], $9::bigint[], $10::bigint[]) \
         AS l (order_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents, unit_cost_cents, \
         discount_cents)",
    )
    .bind(lines.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(column(lines, |it| it.line_no))
    .bind(column(lines, |it| it.product_id))
    .bind(column(lines, |it| it.sku.as_str()))
    .bind(column(lines, |it| it.product_name.as_str()))
    .bind(column(lines, |it| it.category.as_str()))
    .bind(column(lines, |it| it.quantity))
    .bind(column(lines, |it| it.unit_price_cents))
    .bind(column(lines, |it| it.unit_cost_cents))
    .bind(column(lines, |it| it.discount()))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
