//! Writes one batch of an import in one transaction, with a handful of statements whatever its size.

use std::collections::{HashMap, HashSet};

use kit::error::ApiError;
use kit::id::{ProductId, StoreId};
use kit::import::{Batch, Outcome, Row};
use sqlx::{PgPool, PgTransaction};

use super::SaleRow;
use crate::ids::{RegisterId, SaleId};
use crate::sales::document::Kind;

/// Pieces that can still come back, by original sale and product.
type Left = HashMap<(SaleId, ProductId), i64>;

/// Stores by code, each with its zone.
type Stores = HashMap<String, (StoreId, String)>;

/// Registers by store and number.
type Registers = HashMap<(StoreId, i32), RegisterId>;

/// A document that passed its checks, with the ids that its codes stand for.
struct Document<'a> {
    rows: &'a [Row<SaleRow>],
    store_id: StoreId,
    register_id: RegisterId,
    time_zone: String,
    original_sale_id: Option<SaleId>,
}

impl Document<'_> {
    fn head(&self) -> &SaleRow {
        &self.rows[0].value
    }

    fn total_cents(&self) -> i64 {
        self.rows.iter().map(|row| row.value.sign() * (row.value.price() - row.value.discount())).sum()
    }
}

/// Writes the documents of a batch that are new and good.
///
/// # Errors
/// The database's; then nothing of the batch is written.
pub(super) async fn write(db: &PgPool, batch: &Batch<SaleRow>) -> Result<Outcome, ApiError> {
    let mut outcome = Outcome::default();
    let mut tx = kit::db::begin(db).await?;
    let known = known_references(&mut tx, batch).await?;
    let stores = stores(&mut tx, batch).await?;
    let registers = registers(&mut tx, batch, &stores).await?;
    // Sales first: a return of the same batch needs its sale's id.
    for kind in [Kind::Sale, Kind::Return] {
        let of_kind: Vec<&[Row<SaleRow>]> = batch.documents().filter(|rows| rows[0].value.kind == kind).collect();
        let originals = originals(&mut tx, &of_kind).await?;
        let mut left = left_to_return(&mut tx, &originals).await?;
        let mut documents = Vec::with_capacity(of_kind.len());
        let mut seen = HashSet::new();
        for rows in of_kind {
            let head = &rows[0].value;
            if known.contains(head.reference.as_str()) {
                outcome.unchanged += rows.len() as u64;
                continue;
            }
            let checked = consistent(rows)
                .and_then(|()| {
                    if seen.insert(head.reference.as_str()) {
                        Ok(())
                    } else {
                        Err(("reference", "stands twice in this file".to_owned()))
                    }
                })
                .and_then(|()| resolve(rows, &stores, &registers, &originals))
                .and_then(|document| take(&document, &mut left).map(|()| document));
            match checked {
                Ok(document) => documents.push(document),
                Err((field, reason)) => {
                    outcome.refused.extend(rows.iter().map(|row| row.refused(field, reason.clone())))
                }
            }
        }
        insert(&mut tx, &documents, &mut outcome).await?;
    }
    tx.commit().await?;
    Ok(outcome)
}

/// What a document is refused for: the field and why.
type Fault = (&'static str, String);

/// All rows of a document must tell the same story about it.
fn consistent(rows: &[Row<SaleRow>]) -> Result<(), Fault> {
    let head = &rows[0].value;
    let mut lines = HashSet::new();
    for SaleRow { kind, store_code, register_number, occurred_at, time_zone, original_reference, line_no, .. } in
        rows.iter().map(|row| &row.value)
    {
        let differs = [
            ("kind", *kind != head.kind),
            ("store_code", *store_code != head.store_code),
            ("register_number", *register_number != head.register_number),
            ("occurred_at", *occurred_at != head.occurred_at),
            ("time_zone", *time_zone != head.time_zone),
            ("original_reference", *original_reference != head.original_reference),
        ];
        if let Some((field, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            return Err((field, "differs between the lines of one document".to_owned()));
        }
        if !lines.insert(*line_no) {
            return Err(("line_no", format!("line {line_no} stands twice in one document")));
        }
    }
    let total: i128 = rows.iter().map(|row| i128::from(row.value.price())).sum();
    if total > i128::from(i64::MAX) {
        return Err(("quantity", "makes the document's total larger than 64 bits hold".to_owned()));
    }
    Ok(())
}

fn resolve<'a>(
    rows: &'a [Row<SaleRow>],
    stores: &Stores,
    registers: &Registers,
    originals: &HashMap<String, SaleId>,
) -> Result<Document<'a>, Fault> {
    let head = &rows[0].value;
    let Some((store_id, zone)) = stores.get(head.store_code.as_str()) else {
        return Err(("store_code", format!("there is no store with code {}", head.store_code.as_str())));
    };
    let Some(register_id) = registers.get(&(*store_id, head.register_number)) else {
        return Err(("register_number", "the register could not be made".to_owned()));
    };
    let original_sale_id = match &head.original_reference {
        None => None,
        Some(reference) => match originals.get(reference.as_str()) {
            Some(id) => Some(*id),
            None => return Err(("original_reference", format!("there is no completed sale {}", reference.as_str()))),
        },
    };
    let time_zone = head.time_zone.as_ref().map_or(zone.as_str(), |zone| zone.as_str()).to_owned();
    Ok(Document { rows, store_id: *store_id, register_id: *register_id, time_zone, original_sale_id })
}

/// Takes the pieces of a return from what is left of its sale; all of them or none.
fn take(document: &Document<'_>, left: &mut Left) -> Result<(), Fault> {
    let Some(original) = document.original_sale_id else { return Ok(()) };
    let mut wanted: HashMap<ProductId, i64> = HashMap::new();
    for row in document.rows {
        *wanted.entry(row.value.product_id).or_default() += row.value.pieces();
    }
    for (product_id, pieces) in &wanted {
        let rest = left.get(&(original, *product_id)).copied().unwrap_or(0);
        if *pieces > rest {
            return Err((
                "quantity",
                format!("{pieces} of product {product_id} come back, but only {rest} of the sale are left to return"),
            ));
        }
    }
    for (product_id, pieces) in wanted {
        *left.entry((original, product_id)).or_default() -= pieces;
    }
    Ok(())
}

async fn known_references(tx: &mut PgTransaction<'_>, batch: &Batch<SaleRow>) -> Result<HashSet<String>, ApiError> {
    let references: Vec<&str> = batch.documents().map(|rows| rows[0].value.reference.as_str()).collect();
    let known: Vec<String> = sqlx::query_scalar("SELECT reference FROM sales WHERE reference = ANY($1)")
        .bind(references)
        .fetch_all(&mut **tx)
        .await?;
    Ok(known.into_iter().collect())
}

async fn stores(tx: &mut PgTransaction<'_>, batch: &Batch<SaleRow>) -> Result<Stores, ApiError> {
    let codes: HashSet<&str> = batch.documents().map(|rows| rows[0].value.store_code.as_str()).collect();
    let stores: Vec<(String, StoreId, String)> =
        sqlx::query_as("SELECT code, id, time_zone FROM stores WHERE code = ANY($1) AND NOT deleted")
            .bind(codes.into_iter().collect::<Vec<_>>())
            .fetch_all(&mut **tx)
            .await?;
    Ok(stores.into_iter().map(|(code, id, zone)| (code, (id, zone))).collect())
}

/// The registers of the batch, made where they are missing.
async fn registers(tx: &mut PgTransaction<'_>, batch: &Batch<SaleRow>, stores: &Stores) -> Result<Registers, ApiError> {
    let asked: HashSet<(StoreId, i32)> = batch
        .documents()
        .map(|rows| &rows[0].value)
        .filter_map(|head| Some((stores.get(head.store_code.as_str())?.0, head.register_number)))
        .collect();
    let (store_ids, numbers): (Vec<StoreId>, Vec<i32>) = asked.into_iter().unzip();
    // Missing ones only: a conflict would use up an id, batch after batch.
    sqlx::query(
        "INSERT INTO registers (store_id, number) SELECT a.store_id, a.number FROM UNNEST($1::bigint[], $2::int[]) AS a (store_id, number) \
         WHERE NOT EXISTS (SELECT FROM registers r WHERE r.store_id = a.store_id AND r.number = a.number) \
         ORDER BY 1, 2 ON CONFLICT (store_id, number) DO NOTHING",
    )
    .bind(&store_ids)
    .bind(&numbers)
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

/// The sales that returns refer to, locked so that no other return or void of them comes in between.
async fn originals(
    tx: &mut PgTransaction<'_>,
    documents: &[&[Row<SaleRow>]],
) -> Result<HashMap<String, SaleId>, ApiError> {
    let references: HashSet<&str> =
        documents.iter().filter_map(|rows| Some(rows[0].value.original_reference.as_ref()?.as_str())).collect();
    if references.is_empty() {
        return Ok(HashMap::new());
    }
    let originals: Vec<(String, SaleId)> = sqlx::query_as(
        "SELECT reference, id FROM sales WHERE reference = ANY($1) AND kind = 'sale' AND status = 'completed' AND NOT deleted \
         ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(references.into_iter().collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    Ok(originals.into_iter().collect())
}

async fn left_to_return(tx: &mut PgTransaction<'_>, originals: &HashMap<String, SaleId>) -> Result<Left, ApiError> {
    if originals.is_empty() {
        return Ok(Left::new());
    }
    let left: Vec<(SaleId, ProductId, i64)> = sqlx::query_as(
        "SELECT sale_id, product_id, sum(quantity)::bigint FROM ( \
           SELECT l.sale_id, l.product_id, l.quantity FROM sale_lines l WHERE l.sale_id = ANY($1) \
           UNION ALL \
           SELECT r.original_sale_id, l.product_id, l.quantity FROM sales r JOIN sale_lines l ON l.sale_id = r.id \
            WHERE r.original_sale_id = ANY($1) AND r.status IN ('pending', 'completed') AND NOT r.deleted) AS moved \
         GROUP BY sale_id, product_id",
    )
    .bind(originals.values().copied().collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    Ok(left.into_iter().map(|(sale_id, product_id, pieces)| ((sale_id, product_id), pieces)).collect())
}

async fn insert(tx: &mut PgTransaction<'_>, documents: &[Document<'_>], outcome: &mut Outcome) -> Result<(), ApiError> {
    fn column<'a, T>(documents: &'a [Document<'a>], value: impl Fn(&'a Document<'a>) -> T) -> Vec<T> {
        documents.iter().map(value).collect()
    }
    // Without a conflict target, because the receipt number may be taken too.
    let inserted: Vec<(String, SaleId)> = sqlx::query_as(
        "INSERT INTO sales (reference, kind, status, receipt_number, store_id, register_id, original_sale_id, occurred_at, time_zone, \
         total_cents, imported, settled_at) \
         SELECT reference, kind, 'completed', reference, store_id, register_id, original, occurred_at, time_zone, total, true, now() \
         FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::timestamptz[], $7::text[], $8::bigint[]) \
         AS d (reference, kind, store_id, register_id, original, occurred_at, time_zone, total) \
         ON CONFLICT DO NOTHING RETURNING reference, id",
    )
    .bind(column(documents, |it| it.head().reference.as_str()))
    .bind(column(documents, |it| it.head().kind.as_str()))
    .bind(column(documents, |it| it.store_id))
    .bind(column(documents, |it| it.register_id))
    .bind(column(documents, |it| it.original_sale_id))
    .bind(column(documents, |it| it.head().occurred_at))
    .bind(column(documents, |it| it.time_zone.as_str()))
    .bind(column(documents, Document::total_cents))
    .fetch_all(&mut **tx)
    .await?;
    let ids: HashMap<String, SaleId> = inserted.into_iter().collect();
    let mut lines: Vec<(SaleId, &SaleRow)> = Vec::new();
    for document in documents {
        match ids.get(document.head().reference.as_str()) {
            Some(id) => lines.extend(document.rows.iter().map(|row| (*id, &row.value))),
            None => {
                let reason = "another document has this receipt number";
                outcome.refused.extend(document.rows.iter().map(|row| row.refused("reference", reason)));
            }
        }
    }
    outcome.applied += lines.len() as u64;
    insert_lines(tx, &lines).await
}

async fn insert_lines(tx: &mut PgTransaction<'_>, lines: &[(SaleId, &SaleRow)]) -> Result<(), ApiError> {
    fn column<'a, T>(lines: &'a [(SaleId, &'a SaleRow)], value: impl Fn(&'a SaleRow) -> T) -> Vec<T> {
        lines.iter().map(|(_, row)| value(row)).collect()
    }
    sqlx::query(
        "INSERT INTO sale_lines (sale_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents, \
         unit_cost_cents, discount_cents) \
         SELECT l.sale_id, l.line_no, l.product_id, l.sku, l.product_name, l.category, l.quantity, l.unit_price_cents, \
         l.unit_cost_cents, l.discount_cents \
         FROM UNNEST($1::bigint[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], \
         $8::bigint[], $9::bigint[], $10::bigint[]) \
         AS l (sale_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents, unit_cost_cents, \
         discount_cents)",
    )
    .bind(lines.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(column(lines, |it| it.line_no))
    .bind(column(lines, |it| it.product_id))
    .bind(column(lines, |it| it.sku.as_str()))
    .bind(column(lines, |it| it.product_name.as_str()))
    .bind(column(lines, |it| it.category.as_str()))
    .bind(column(lines, |it| it.sign() * it.pieces()))
    .bind(column(lines, |it| it.unit_price_cents))
    .bind(column(lines, |it| it.unit_cost_cents))
    .bind(column(lines, |it| it.sign() * it.discount()))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
