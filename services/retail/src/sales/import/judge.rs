//! Which documents of a file can have happened, given what is stored.

use std::collections::{HashMap, HashSet};

use base::Tz;
use chrono::{DateTime, NaiveDateTime, Utc};
use kit::error::ApiError;
use kit::id::{ProductId, StoreId};
use kit::import::history::{self, ResolvedLine};
use kit::import::{Applying, Document, Fault, Outcome, Row, Rules, Sum};
use kit::stock::Catalogue;
use sqlx::PgTransaction;

use super::SaleRow;
use super::known::{Known, known};
use super::originals::originals_allow;
use crate::ids::SaleId;
use crate::sales::document::Kind;

/// A document with all that its codes stand for.
pub(super) struct Resolved<'a> {
    pub(super) document: &'a Document<SaleRow>,
    pub(super) store_id: StoreId,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) time_zone: String,
    /// Of `occurred_at` in `time_zone`; of a document that is corrected and happened when it did, what it was.
    pub(super) local_time: NaiveDateTime,
    /// The sale that a return gives back, as the file says it or as it is stored.
    pub(super) original_reference: Option<String>,
    pub(super) original: Option<SaleId>,
    /// The stored document whose place it takes.
    pub(super) replaces: Option<SaleId>,
    pub(super) lines: Vec<ResolvedLine>,
}

/// What came back of a product of a sale.
#[derive(sqlx::FromRow)]
struct Returned {
    original_sale_id: SaleId,
    /// One of the returns.
    reference: String,
    product_id: ProductId,
    pieces: i64,
    cents: i64,
    first_at: DateTime<Utc>,
}

/// Stores by code, each with its zone.
type Stores = HashMap<String, (StoreId, String)>;

/// Answers the documents to write; what came of the others is in the outcome.
pub(super) async fn judge<'a>(
    tx: &mut PgTransaction<'_>,
    import: Applying,
    catalogue: &Catalogue,
    documents: &'a [Document<SaleRow>],
    outcome: &mut Outcome,
) -> Result<Vec<Resolved<'a>>, ApiError> {
    let known = known(tx, documents).await?;
    let stores = stores(tx, documents).await?;
    let mut resolved = Vec::with_capacity(documents.len());
    for document in documents {
        let stored = known.get(document.head().reference.as_str());
        let mut new = match resolve(document, stored, &stores, catalogue, import.rules) {
            Ok(new) => new,
            Err(fault) => {
                outcome.refuse(document, fault);
                continue;
            }
        };
        if let Some(stored) = stored {
            if !import.replaces(document, stored.imported, stored.difference(&new), outcome) {
                continue;
            }
            new.replaces = Some(stored.id);
        }
        resolved.push(new);
    }
    let resolved = free_receipts(tx, resolved, outcome).await?;
    let resolved = returns_fit(tx, resolved, outcome).await?;
    originals_allow(tx, resolved, &known, outcome).await
}

/// A fault of a row, by what it says itself.
fn at(row: &Row<SaleRow>) -> impl Fn(kit::import::Refusal) -> Fault {
    let line = row.line;
    move |refusal| Fault { line: Some(line), field: refusal.field, reason: refusal.reason }
}

fn resolve<'a>(
    document: &'a Document<SaleRow>,
    stored: Option<&Known>,
    stores: &Stores,
    catalogue: &Catalogue,
    rules: Rules,
) -> Result<Resolved<'a>, Fault> {
    consistent(document)?;
    let (head, first) = (document.head(), &document.rows[0]);
    let Some((store_id, store_zone)) = stores.get(head.store_code.as_str()) else {
        return Err(Fault::new("store_code", format!("there is no store with code {}", head.store_code.as_str())));
    };
    let zone = head.time_zone.as_ref().map(|zone| zone.as_str());
    let time_zone = zone.or(stored.map(|it| it.time_zone.as_str())).unwrap_or(store_zone).to_owned();
    let tz: Tz = time_zone.parse().map_err(|_| Fault::new("time_zone", format!("{time_zone} is not known")))?;
    let occurred_at = head.occurred_at.within(tz).map_err(|reason| first.fault("occurred_at", reason))?;
    let local_time = tz.local(occurred_at);
    let mixed = document.rows.iter().any(|row| row.value.quantity > 0)
        && document.rows.iter().any(|row| row.value.quantity < 0);
    let sign = if head.kind == Kind::Return { -1 } else { 1 };
    let mut lines = Vec::with_capacity(document.rows.len());
    for row in &document.rows {
        let quantity = if head.kind == Kind::Return && !mixed { -row.value.quantity.abs() } else { row.value.quantity };
        lines.push(row.value.line.resolve(row.line, quantity, catalogue, rules).map_err(at(row))?);
    }
    history::spread(&mut lines, head.ticket_discount(rules).map_err(at(first))?, sign)?;
    goes_its_way(head.kind, &lines)?;
    let original_reference = head.original_reference.value().map(|reference| reference.as_str().to_owned());
    let (store_id, original, replaces) = (*store_id, None, None);
    let mut resolved = Resolved {
        document,
        store_id,
        occurred_at,
        time_zone,
        local_time,
        original_reference,
        original,
        replaces,
        lines,
    };
    if let Some(stored) = stored {
        stored.keep(&mut resolved)?;
    }
    history::fits(&resolved.lines)?;
    Ok(resolved)
}

/// All rows of a document must agree about it.
fn consistent(document: &Document<SaleRow>) -> Result<(), Fault> {
    document.consistent("document", |it, head| {
        let differs = [
            ("kind", it.kind != head.kind),
            ("store_code", it.store_code != head.store_code),
            ("register_number", it.register_number != head.register_number),
            ("occurred_at", it.occurred_at != head.occurred_at),
            ("time_zone", it.time_zone != head.time_zone),
            ("original_reference", it.original_reference != head.original_reference),
            ("ticket_discount_cents", it.ticket_discount_cents != head.ticket_discount_cents),
            ("ticket_discount", it.ticket_discount != head.ticket_discount),
        ];
        (differs, it.line.line_no)
    })
}

/// A sale sells something and a return takes something back; other lines may go the other way.
fn goes_its_way(kind: Kind, lines: &[ResolvedLine]) -> Result<(), Fault> {
    let goes = |resolved: &ResolvedLine| match kind {
        Kind::Sale => resolved.line.quantity > 0 && resolved.line.unit_price_cents >= 0,
        Kind::Return => resolved.line.quantity < 0 && resolved.line.unit_price_cents >= 0,
    };
    if lines.iter().any(goes) {
        return Ok(());
    }
    let first = &lines[0];
    let field = if first.line.unit_price_cents < 0 { "unit_price_cents" } else { "quantity" };
    let reason = match kind {
        Kind::Sale => "a sale has a line that is sold, above zero; goods that only come back are of kind return",
        Kind::Return => "a return has a line that comes back",
    };
    Err(Fault { line: Some(first.at), field, reason: reason.to_owned() })
}

async fn stores(tx: &mut PgTransaction<'_>, documents: &[Document<SaleRow>]) -> Result<Stores, ApiError> {
    let codes: HashSet<&str> = documents.iter().map(|document| document.head().store_code.as_str()).collect();
    let stores: Vec<(String, StoreId, String)> =
        sqlx::query_as("SELECT code, id, time_zone FROM stores WHERE code = ANY($1) AND NOT deleted")
            .bind(codes.into_iter().collect::<Vec<_>>())
            .fetch_all(&mut **tx)
            .await?;
    Ok(stores.into_iter().map(|(code, id, zone)| (code, (id, zone))).collect())
}

/// Refuses documents whose reference is the receipt number of another.
async fn free_receipts<'a>(
    tx: &mut PgTransaction<'_>,
    resolved: Vec<Resolved<'a>>,
    outcome: &mut Outcome,
) -> Result<Vec<Resolved<'a>>, ApiError> {
    let receipts: Vec<&str> =
        resolved.iter().filter(|it| it.replaces.is_none()).map(|it| it.document.head().reference.as_str()).collect();
    let taken: HashSet<String> =
        sqlx::query_scalar("SELECT receipt_number FROM sales WHERE receipt_number = ANY($1) AND NOT deleted")
            .bind(receipts)
            .fetch_all(&mut **tx)
            .await?
            .into_iter()
            .collect();
    let is_free = |it: &Resolved<'a>| it.replaces.is_some() || !taken.contains(it.document.head().reference.as_str());
    let (free, refused): (Vec<_>, Vec<_>) = resolved.into_iter().partition(is_free);
    for it in refused {
        outcome.refuse(it.document, Fault::new("reference", "another document has this receipt number"));
    }
    Ok(free)
}

/// Refuses corrections of sales whose returns would then give back what was not sold.
async fn returns_fit<'a>(
    tx: &mut PgTransaction<'_>,
    resolved: Vec<Resolved<'a>>,
    outcome: &mut Outcome,
) -> Result<Vec<Resolved<'a>>, ApiError> {
    let mut replaced: Vec<SaleId> = resolved.iter().filter_map(|it| it.replaces).collect();
    if replaced.is_empty() {
        return Ok(resolved);
    }
    replaced.sort_unstable();
    // A return or a void of one of them waits, and then sees what came of it.
    sqlx::query!("SELECT FROM sales WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", &replaced as _)
        .execute(&mut **tx)
        .await?;
    let returned: Vec<Returned> = sqlx::query_as(
        "SELECT r.original_sale_id, min(r.reference) AS reference, l.product_id, (-sum(l.quantity))::bigint AS pieces, \
         (-sum(l.net_cents))::bigint AS cents, min(r.occurred_at) AS first_at FROM sales r JOIN sale_lines l ON l.sale_id = r.id WHERE r.original_sale_id = ANY($1) \
         AND r.status IN ('pending', 'completed') AND NOT r.deleted AND l.quantity < 0 GROUP BY 1, 3",
    )
    .bind(&replaced)
    .fetch_all(&mut **tx)
    .await?;
    let mut fitting = Vec::with_capacity(resolved.len());
    for it in resolved {
        let sold = sold(&it);
        let unfit = returned.iter().find(|back| {
            let left = sold.get(&back.product_id).copied().unwrap_or_default();
            it.replaces == Some(back.original_sale_id)
                && (it.document.head().kind == Kind::Return
                    || left.pieces < back.pieces
                    || left.cents < back.cents
                    || back.first_at < it.occurred_at)
        });
        match unfit {
            None => fitting.push(it),
            Some(Returned { reference, .. }) => {
                let reason = format!("its return {reference} would no longer fit; correct that first");
                outcome.refuse(it.document, Fault::new("reference", reason));
            }
        }
    }
    Ok(fitting)
}

/// What a document sold of each product.
fn sold(resolved: &Resolved<'_>) -> HashMap<ProductId, Sum> {
    let mut sums: HashMap<ProductId, Sum> = HashMap::new();
    for line in resolved.lines.iter().map(|resolved| &resolved.line).filter(|line| line.quantity > 0) {
        sums.entry(line.product_id).or_default().add(line.sum(), 1);
    }
    sums
}
