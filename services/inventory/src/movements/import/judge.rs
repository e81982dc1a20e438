//! Which documents of a file can have happened, given what is stored.

use std::collections::BTreeMap;

use kit::error::ApiError;
use kit::import::{Applying, Document, Fault, Outcome};
use sqlx::PgTransaction;

use super::known::known;
use super::{ByPlace, Movement, MovementRow};
use crate::movements::MAX_QUANTITY;
use crate::movements::document::Outcome as Decision;
use crate::names::Names;

/// A document of a file: each movement with the line that begins it.
pub(super) struct Resolved<'a> {
    pub(super) document: &'a Document<MovementRow>,
    pub(super) movements: ByPlace<(u64, Movement)>,
}

/// Answers the documents to write, and the references of those whose place one of them takes; what came of the others is
/// told.
pub(super) async fn judge<'a>(
    tx: &mut PgTransaction<'_>,
    import: Applying,
    documents: &'a [Document<MovementRow>],
    outcome: &mut Outcome,
) -> Result<(Vec<Resolved<'a>>, Vec<&'a str>), ApiError> {
    let rows = documents.iter().flat_map(|document| &document.rows);
    let names = Names::look_up(tx, rows.map(|row| (&row.value.sku, &row.value.location_code))).await?;
    let known = known(tx, documents).await?;
    let (mut new, mut replaced) = (Vec::new(), Vec::new());
    for document in documents {
        let mut resolved = match resolve(&names, document) {
            Ok(resolved) => resolved,
            Err(fault) => {
                outcome.refuse(document, fault);
                continue;
            }
        };
        let reference = document.head().reference.as_str();
        let Some(stored) = known.get(reference) else {
            new.push(resolved);
            continue;
        };
        let difference = if stored.imported {
            difference(&resolved, &stored.movements)
        } else {
            Some(Fault::new("reference", "belongs to a document that moved stock itself"))
        };
        if difference.is_some() && stored.imported && stored.decision != Decision::Applied {
            outcome
                .refuse(document, Fault::new("reference", "this document was reversed, and is not corrected any more"));
        } else if import.replaces(document, stored.imported, difference, outcome) {
            resolved.keep(&stored.movements);
            replaced.push(reference);
            new.push(resolved);
        }
    }
    Ok((new, replaced))
}

impl Resolved<'_> {
    /// Movements that happened when and where they did keep the local time that they have.
    fn keep(&mut self, stored: &ByPlace<Movement>) {
        for (place, (_, new)) in &mut self.movements {
            if let Some(old) = stored.get(place).filter(|old| old.at == new.at && old.zone == new.zone) {
                new.local = old.local;
            }
        }
    }
}

/// Puts a document together, or says which of its lines cannot be.
fn resolve<'a>(names: &Names, document: &'a Document<MovementRow>) -> Result<Resolved<'a>, Fault> {
    let mut movements: ByPlace<(u64, Movement)> = BTreeMap::new();
    for row in &document.rows {
        let it = &row.value;
        let (product, location) =
            names.ids(&it.sku, &it.location_code).map_err(|fault| Fault { line: Some(row.line), ..fault })?;
        let at = it.at().map_err(|refusal| row.fault(refusal.field, refusal.reason))?;
        let zone = it.time_zone.as_str().to_owned();
        let local = it.time_zone.tz().local(at);
        let movement = Movement { quantity: 0, reason: it.reason, at, zone, local };
        let (_, sum) = movements.entry((location, product)).or_insert_with(|| (row.line, movement.clone()));
        let differs = [
            ("reason", sum.reason != movement.reason),
            ("occurred_at", sum.at != movement.at),
            ("time_zone", sum.zone != movement.zone),
        ];
        if let Some((field, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            return Err(row.fault(field, "differs between the lines of one product at one location"));
        }
        sum.quantity += it.quantity;
    }
    for (line, movement) in movements.values() {
        if movement.quantity == 0 || movement.quantity.abs() > MAX_QUANTITY {
            let reason = "the lines of this product add up to nothing, or to too much".to_owned();
            return Err(Fault { line: Some(*line), field: "quantity", reason });
        }
    }
    Ok(Resolved { document, movements })
}

fn difference(resolved: &Resolved<'_>, stored: &ByPlace<Movement>) -> Option<Fault> {
    for (place, (line, new)) in &resolved.movements {
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
    let (location, product) = stored.keys().find(|place| !resolved.movements.contains_key(place))?;
    Some(Fault::differs(None, "sku", format!("a movement of product {product} at location {location}"), ""))
}
