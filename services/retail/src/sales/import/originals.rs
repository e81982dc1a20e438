//! Which returns of a file their sales allow.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use kit::error::ApiError;
use kit::id::ProductId;
use kit::import::{Fault, Outcome, Sum};
use sqlx::PgTransaction;

use super::judge::Resolved;
use super::known::Known;
use crate::ids::SaleId;
use crate::sales::left::left_to_return;

/// What is left to return of sales while the returns of a file are judged together.
struct Left(HashMap<(SaleId, ProductId), Sum>);

/// Refuses returns whose sale there is not, is later, or has not so much left: neither pieces nor what was paid.
///
/// What corrected returns gave back before is given up first, all of it, so that a corrected history fits as a whole; one whose
/// correction is refused counts again, and may leave too little to others.
pub(super) async fn originals_allow<'a>(
    tx: &mut PgTransaction<'_>,
    resolved: Vec<Resolved<'a>>,
    known: &HashMap<String, Known>,
    outcome: &mut Outcome,
) -> Result<Vec<Resolved<'a>>, ApiError> {
    let references: HashSet<&str> = resolved.iter().filter_map(|it| it.original_reference.as_deref()).collect();
    if references.is_empty() {
        return Ok(resolved);
    }
    let replaced: Vec<SaleId> = resolved.iter().filter_map(|it| it.replaces).collect();
    // Locked, so that no other return or void of them comes in between. The file's sales are stored by now: one whose place is
    // taken here becomes a return.
    let originals: Vec<(String, SaleId, DateTime<Utc>)> = sqlx::query_as(
        "SELECT reference, id, occurred_at FROM sales WHERE reference = ANY($1) AND kind = 'sale' \
         AND status = 'completed' AND NOT deleted AND id <> ALL($2) ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(references.into_iter().collect::<Vec<_>>())
    .bind(&replaced)
    .fetch_all(&mut **tx)
    .await?;
    let originals: HashMap<String, (SaleId, DateTime<Utc>)> =
        originals.into_iter().map(|(reference, id, at)| (reference, (id, at))).collect();
    let ids: Vec<SaleId> = originals.values().map(|(id, _)| *id).collect();
    let left = Left(left_to_return(tx, &ids, &replaced).await?);
    Ok(within(left, &originals, resolved, known, outcome))
}

/// Answers the documents that stay within what is left.
fn within<'a>(
    mut left: Left,
    originals: &HashMap<String, (SaleId, DateTime<Utc>)>,
    resolved: Vec<Resolved<'a>>,
    known: &HashMap<String, Known>,
    outcome: &mut Outcome,
) -> Vec<Resolved<'a>> {
    let stored = |it: &Resolved<'_>| it.replaces.and_then(|_| known.get(it.document.head().reference.as_str()));
    let mut stays = false;
    let mut accepted = Vec::with_capacity(resolved.len());
    for mut it in resolved {
        let taken = original_of(&it, originals)
            .and_then(|original| original.map_or(Ok(()), |original| left.take(&it, original)).map(|()| original));
        match taken {
            Ok(original) => {
                it.original = original;
                accepted.push(it);
            }
            Err(fault) => {
                stays |= left.put_back(stored(&it));
                outcome.refuse(it.document, fault);
            }
        }
    }
    while stays {
        stays = false;
        accepted.retain(|it| {
            if !left.is_beyond(it) {
                return true;
            }
            let reason = "takes what another return of the sale has given back, whose correction is refused";
            outcome.refuse(it.document, Fault::new("reference", reason));
            left.leave(it);
            stays |= left.put_back(stored(it));
            false
        });
    }
    accepted
}

fn original_of(
    resolved: &Resolved<'_>,
    originals: &HashMap<String, (SaleId, DateTime<Utc>)>,
) -> Result<Option<SaleId>, Fault> {
    let Some(reference) = &resolved.original_reference else { return Ok(None) };
    match originals.get(reference) {
        None => Err(Fault::new("original_reference", format!("there is no completed sale {reference}"))),
        Some((_, at)) if *at > resolved.occurred_at => {
            Err(Fault::new("occurred_at", format!("is before the sale {reference}, which was at {at}")))
        }
        Some((id, _)) => Ok(Some(*id)),
    }
}

impl Left {
    /// Takes what a return gives back from what is left of its sale; all of it or nothing.
    fn take(&mut self, resolved: &Resolved<'_>, original: SaleId) -> Result<(), Fault> {
        let mut wanted: BTreeMap<ProductId, (u64, Sum)> = BTreeMap::new();
        for resolved in resolved.lines.iter().filter(|resolved| resolved.line.quantity < 0) {
            let (_, sum) = wanted.entry(resolved.line.product_id).or_insert((resolved.at, Sum::default()));
            sum.add(resolved.line.sum(), -1);
        }
        for (product_id, (line, sum)) in &wanted {
            let rest = self.0.get(&(original, *product_id)).copied().unwrap_or_default();
            let (field, reason) = if sum.pieces > rest.pieces {
                let (asked, left) = (sum.pieces, rest.pieces);
                let reason = format!(
                    "{asked} of product {product_id} come back, but only {left} of the sale are left to return"
                );
                ("quantity", reason)
            } else if sum.cents > rest.cents {
                let (asked, left) = (sum.cents, rest.cents);
                let paid = format!("{asked} cents are paid back for product {product_id}");
                ("unit_price_cents", format!("{paid}, but only {left} of what was paid are left"))
            } else {
                continue;
            };
            return Err(Fault { line: Some(*line), field, reason });
        }
        wanted.into_iter().for_each(|(product_id, (_, sum))| self.entry(original, product_id).add(sum, -1));
        Ok(())
    }

    /// Gives back what a return of the file has taken.
    fn leave(&mut self, resolved: &Resolved<'_>) {
        let Some(original) = resolved.original else { return };
        for line in resolved.lines.iter().map(|resolved| &resolved.line).filter(|line| line.quantity < 0) {
            self.entry(original, line.product_id).add(line.sum(), -1);
        }
    }

    /// A stored return counts after all, however much is left. Answers whether there is one.
    fn put_back(&mut self, stored: Option<&Known>) -> bool {
        let Some((stored, original)) = stored.and_then(|stored| Some((stored, stored.original_sale_id?))) else {
            return false;
        };
        for line in stored.lines.iter().filter(|line| line.quantity < 0) {
            self.entry(original, line.product_id).add(line.sum(), 1);
        }
        true
    }

    /// Whether more is taken than there was of a product that a return takes.
    fn is_beyond(&self, resolved: &Resolved<'_>) -> bool {
        let Some(original) = resolved.original else { return false };
        resolved.lines.iter().filter(|resolved| resolved.line.quantity < 0).any(|resolved| {
            let left = self.0.get(&(original, resolved.line.product_id)).copied().unwrap_or_default();
            left.pieces < 0 || left.cents < 0
        })
    }

    fn entry(&mut self, sale: SaleId, product: ProductId) -> &mut Sum {
        self.0.entry((sale, product)).or_default()
    }
}
