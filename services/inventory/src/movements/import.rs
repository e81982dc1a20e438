//! `POST /stock-movements/import`: history. It is written down as it was, and takes no stock.

use std::collections::{BTreeMap, HashMap, HashSet};

use axum::extract::{Request, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use kit::copy::{Field, Tuples};
use kit::error::ApiError;
use kit::extract::Query;
use kit::id::{LocationId, ProductId};
use kit::import::{
    Applying, Document, Fault, Kind, Moment, OnDifference, Options, Outcome, Record, Refusal, Report, Rules,
};
use kit::text::{Code, Reference, Sku, Zone};
use sqlx::PgTransaction;

use super::document::Outcome as Standing;
use super::{MAX_QUANTITY, Reason};
use crate::App;
use crate::names::Names;

kit::cell_of_names! {
    Reason: "sale, return, replenishment, adjustment, transfer";
}

kit::columns! {
    /// One line of a document. The rows of a document stand anywhere in the file.
    pub(crate) struct MovementRow {
        /// What the document is known by.
        reference: Reference = "S1-000017",
        /// Why stock moved: `sale` takes, `return` and `replenishment` give, `adjustment` and `transfer` do either.
        reason: Reason = "sale",
        /// SKU of the product.
        sku: Sku = "TEA-1",
        /// Code of the location.
        location_code: Code = "NYC-01",
        /// Pieces, not zero; below zero they left the location. Lines of one product at one location are added up.
        quantity: i64 = "-2",
        /// When it happened, from 1970 to five minutes ahead: with offset, or local time of `time_zone`.
        occurred_at: Moment = "2026-01-31T09:30:00-05:00",
        /// IANA zone where it happened.
        time_zone: Zone = "America/New_York",
    }
}

impl Record for MovementRow {
    const KEY: &'static [&'static str] = &["reference"];

    fn zone(&self) -> Option<&Zone> {
        Some(&self.time_zone)
    }

    fn check(&self, _: Rules) -> Result<(), Refusal> {
        if !(-MAX_QUANTITY..=MAX_QUANTITY).contains(&self.quantity) {
            return Err(Refusal::new("quantity", format!("a line moves at most {MAX_QUANTITY} pieces")));
        }
        if !self.reason.allows(self.quantity) {
            let reason = "a sale takes (below zero), a return or replenishment gives (above zero), nothing moves zero";
            return Err(Refusal::new("quantity", reason));
        }
        self.at().map(drop)
    }
}

impl MovementRow {
    fn at(&self) -> Result<DateTime<Utc>, Refusal> {
        self.occurred_at.within(self.time_zone.tz()).map_err(|reason| Refusal::new("occurred_at", reason))
    }
}

/// The import of movements.
struct Movements;

/// What moved of one product at one location.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Movement {
    quantity: i64,
    reason: Reason,
    at: DateTime<Utc>,
    zone: String,
}

/// The movements of a document, in the order in which they are written.
type ByPlace<T> = BTreeMap<(LocationId, ProductId), T>;

/// A document as a file tells it: each movement with the line that begins it.
struct Told<'a> {
    document: &'a Document<MovementRow>,
    movements: ByPlace<(u64, Movement)>,
}

/// A document as it is stored.
struct Known {
    standing: Standing,
    imported: bool,
    movements: ByPlace<Movement>,
}

impl Kind for Movements {
    type Row = MovementRow;
    const NAME: &'static str = "stock-movements";

    async fn apply(
        &mut self,
        tx: &mut PgTransaction<'_>,
        import: Applying,
        documents: &[Document<MovementRow>],
        outcome: &mut Outcome,
    ) -> Result<(), ApiError> {
        let rows = documents.iter().flat_map(|document| &document.rows);
        let names = Names::look_up(tx, rows.map(|row| (&row.value.sku, &row.value.location_code))).await?;
        let known = known(tx, documents).await?;
        let (mut new, mut replaced) = (Vec::new(), Vec::new());
        for document in documents {
            let told = match tell(&names, document) {
                Ok(told) => told,
                Err(fault) => {
                    outcome.refuse(document, fault);
                    continue;
                }
            };
            let reference = document.head().reference.as_str();
            let Some(stored) = known.get(reference) else {
                new.push(told);
                continue;
            };
            match judge(&told, stored, import.on_difference) {
                Ok(false) => outcome.unchanged(document),
                Ok(true) => {
                    replaced.push(reference);
                    new.push(told);
                }
                Err(fault) => outcome.refuse(document, fault),
            }
        }
        write(tx, import, &new, &replaced).await?;
        for told in &new {
            outcome.apply(told.document);
        }
        Ok(())
    }
}

/// Puts a document together, or says which of its lines cannot be.
fn tell<'a>(names: &Names, document: &'a Document<MovementRow>) -> Result<Told<'a>, Fault> {
    let mut movements: ByPlace<(u64, Movement)> = BTreeMap::new();
    for row in &document.rows {
        let it = &row.value;
        let (product, location) =
            names.ids(&it.sku, &it.location_code).map_err(|fault| Fault { line: Some(row.line), ..fault })?;
        let at = it.at().map_err(|refusal| row.fault(refusal.field, refusal.reason))?;
        let movement = Movement { quantity: 0, reason: it.reason, at, zone: it.time_zone.as_str().to_owned() };
        let (_, sum) = movements.entry((location, product)).or_insert_with(|| (row.line, movement.clone()));
        if (sum.reason, sum.at, &sum.zone) != (movement.reason, movement.at, &movement.zone) {
            let reason = "lines of one product at one location have another reason, moment or zone";
            return Err(row.fault("reason", reason));
        }
        sum.quantity += it.quantity;
    }
    for (line, movement) in movements.values() {
        if movement.quantity == 0 || movement.quantity.abs() > MAX_QUANTITY {
            let reason = "the lines of this product add up to nothing, or to too much".to_owned();
            return Err(Fault { line: Some(*line), field: "quantity", reason });
        }
    }
    Ok(Told { document, movements })
}

/// Whether the document takes the place of the stored one; false where it is equal.
fn judge(told: &Told<'_>, stored: &Known, on_difference: OnDifference) -> Result<bool, Fault> {
    if !stored.imported {
        return Err(Fault::new("reference", "this reference belongs to a document that moved stock itself"));
    }
    match difference(told, &stored.movements) {
        None => Ok(false),
        Some(_) if stored.standing != Standing::Applied => {
            Err(Fault::new("reference", "this document was reversed, and is not corrected any more"))
        }
        Some(_) if on_difference == OnDifference::Replace => Ok(true),
        Some(fault) => Err(Fault { reason: format!("{}; on_difference=replace corrects it", fault.reason), ..fault }),
    }
}

fn difference(told: &Told<'_>, stored: &ByPlace<Movement>) -> Option<Fault> {
    for (place, (line, new)) in &told.movements {
        let line = Some(*line);
        let Some(old) = stored.get(place) else {
            return Some(Fault::differs(
                line,
                "sku",
                "",
                format!("a movement of product {} at location {}", place.1, place.0),
            ));
        };
        if old.quantity != new.quantity {
            return Some(Fault::differs(line, "quantity", old.quantity, new.quantity));
        }
        if old.reason != new.reason {
            return Some(Fault::differs(line, "reason", old.reason.as_str(), new.reason.as_str()));
        }
        if old.at != new.at {
            return Some(Fault::differs(line, "occurred_at", old.at, new.at));
        }
        if old.zone != new.zone {
            return Some(Fault::differs(line, "time_zone", &old.zone, &new.zone));
        }
    }
    let (location, product) = stored.keys().find(|place| !told.movements.contains_key(place))?;
    Some(Fault::differs(None, "sku", format!("a movement of product {product} at location {location}"), ""))
}

#[derive(sqlx::FromRow)]
struct StoredMovement {
    reference: String,
    location_id: LocationId,
    product_id: ProductId,
    quantity: i64,
    reason: Reason,
    occurred_at: DateTime<Utc>,
    time_zone: String,
}

/// The stored documents by reference; withdrawn ones are none.
async fn known(
    tx: &mut PgTransaction<'_>,
    documents: &[Document<MovementRow>],
) -> Result<HashMap<String, Known>, ApiError> {
    let references: Vec<&str> = documents.iter().map(|document| document.head().reference.as_str()).collect();
    let heads: Vec<(String, Standing, bool)> = sqlx::query_as(
        "SELECT reference, outcome, imported FROM movement_documents WHERE reference = ANY($1) AND NOT withdrawn
         ORDER BY reference FOR NO KEY UPDATE",
    )
    .bind(references)
    .fetch_all(&mut **tx)
    .await?;
    let mut known: HashMap<String, Known> = heads
        .into_iter()
        .map(|(reference, standing, imported)| (reference, Known { standing, imported, movements: ByPlace::new() }))
        .collect();
    if known.is_empty() {
        return Ok(known);
    }
    let movements: Vec<StoredMovement> = sqlx::query_as(
        "SELECT reference, location_id, product_id, quantity, reason, occurred_at, time_zone FROM stock_movements
         WHERE reference = ANY($1) AND NOT reversal AND NOT deleted",
    )
    .bind(known.keys().map(String::as_str).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    for it in movements {
        let StoredMovement { reference, location_id, product_id, quantity, reason, occurred_at, time_zone } = it;
        if let Some(document) = known.get_mut(&reference) {
            let movement = Movement { quantity, reason, at: occurred_at, zone: time_zone };
            document.movements.insert((location_id, product_id), movement);
        }
    }
    Ok(known)
}

/// Writes the documents; the movements of those that they take the place of are marked deleted.
async fn write(
    tx: &mut PgTransaction<'_>,
    import: Applying,
    told: &[Told<'_>],
    replaced: &[&str],
) -> Result<(), ApiError> {
    if told.is_empty() {
        return Ok(());
    }
    if !replaced.is_empty() {
        sqlx::query!(
            "UPDATE stock_movements SET deleted = true WHERE reference = ANY($1) AND NOT deleted",
            replaced as _
        )
        .execute(&mut **tx)
        .await?;
    }
    let firsts: Vec<(&str, &Movement)> = told
        .iter()
        .filter_map(|it| Some((it.document.head().reference.as_str(), &it.movements.values().next()?.1)))
        .collect();
    let replaced: HashSet<&str> = replaced.iter().copied().collect();
    let written = sqlx::query!(
        "INSERT INTO movement_documents AS d (reference, outcome, reason, occurred_at, time_zone, imported, import_id)
         SELECT reference, 'applied', reason, occurred_at, time_zone, true, $5
         FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) AS row (reference, reason, occurred_at, time_zone)
         ORDER BY reference
         ON CONFLICT (reference) DO UPDATE SET outcome = 'applied', reason = excluded.reason, imported = true,
            occurred_at = excluded.occurred_at, time_zone = excluded.time_zone, import_id = excluded.import_id,
            location_id = NULL, to_location_id = NULL, request_digest = NULL, refusal = NULL, withdrawn = false
         WHERE d.withdrawn OR d.reference = ANY($6)",
        firsts.iter().map(|(reference, _)| *reference).collect::<Vec<_>>() as _,
        firsts.iter().map(|(_, movement)| movement.reason.as_str()).collect::<Vec<_>>() as _,
        firsts.iter().map(|(_, movement)| movement.at).collect::<Vec<_>>() as _,
        firsts.iter().map(|(_, movement)| movement.zone.as_str()).collect::<Vec<_>>() as _,
        import.id,
        replaced.into_iter().collect::<Vec<_>>() as _
    )
    .execute(&mut **tx)
    .await?;
    if written.rows_affected() != firsts.len() as u64 {
        return Err(ApiError::unavailable("a reference of this file was taken just now; send the file again"));
    }
    let mut rows = Tuples::default();
    for it in told {
        for ((location, product), (_, movement)) in &it.movements {
            rows.push(&[
                Field::Text(it.document.head().reference.as_str()),
                Field::Int8(product.0),
                Field::Int8(location.0),
                Field::Int8(movement.quantity),
                Field::Text(movement.reason.as_str()),
                Field::Moment(movement.at),
                Field::Text(&movement.zone),
                Field::Bool(true),
            ]);
        }
    }
    let copy = "COPY stock_movements (reference, product_id, location_id, quantity, reason, occurred_at, time_zone, imported) \
                FROM STDIN WITH (FORMAT binary)";
    rows.copy(tx, copy).await?;
    Ok(())
}

/// Import the history of stock movements.
///
/// CSV or NDJSON, one row per line of a document, in any order. Takes no stock. What is stored and equal is unchanged;
/// what differs is refused by line, field, old and new value, or corrected with `on_difference=replace`.
#[utoipa::path(post, path = "/stock-movements/import", tag = "stock movements", params(Options),
    request_body(content((String = "text/csv"), (MovementRow = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report),
        (status = 202, description = "A large file, which is being applied; `Location` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`: another import runs")))]
pub(super) async fn import_movements(
    State(app): State<App>,
    Query(options): Query<Options>,
    request: Request,
) -> Result<Response, ApiError> {
    app.imports.run(request, options, Movements).await
}
