//! Which orders of a file can have happened, given what is stored.

use std::collections::{HashMap, HashSet};

use base::Tz;
use chrono::{DateTime, NaiveDateTime, Utc};
use kit::error::ApiError;
use kit::import::history::{self, ResolvedLine};
use kit::import::{Applying, Document, Fault, Given, Outcome, Rules};
use sqlx::PgTransaction;

use super::known::{Known, known};
use super::{OrderRow, Orders};
use crate::ids::{CustomerId, OrderId};
use crate::orders::document::PaymentStatus;
use crate::refunds::paid::{PaidLine, paid};

/// An order with all that its codes stand for.
pub(super) struct Resolved<'a> {
    pub(super) document: &'a Document<OrderRow>,
    pub(super) customer_id: CustomerId,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) time_zone: String,
    /// Of `occurred_at` in `time_zone`; of a document that is corrected and happened when it did, what it was.
    pub(super) local_time: NaiveDateTime,
    /// `confirmed_at`, `shipped_at`, `delivered_at`, `cancelled_at`.
    pub(super) steps: [Option<DateTime<Utc>>; 4],
    /// The stored order whose place it takes.
    pub(super) replaces: Option<OrderId>,
    pub(super) lines: Vec<ResolvedLine>,
}

/// Answers the orders to write; what came of the others is in the outcome.
pub(super) async fn judge<'a>(
    tx: &mut PgTransaction<'_>,
    import: Applying,
    kind: &Orders,
    documents: &'a [Document<OrderRow>],
    outcome: &mut Outcome,
) -> Result<Vec<Resolved<'a>>, ApiError> {
    let known = known(tx, documents).await?;
    let customers = customers(tx, documents).await?;
    let mut resolved = Vec::with_capacity(documents.len());
    for document in documents {
        let stored = known.get(document.head().reference.as_str());
        let mut new = match resolve(document, stored, &customers, kind, import.rules) {
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
    refunds_fit(tx, resolved, outcome).await
}

/// Refuses corrections of orders whose refunds would then pay back what was not paid.
async fn refunds_fit<'a>(
    tx: &mut PgTransaction<'_>,
    resolved: Vec<Resolved<'a>>,
    outcome: &mut Outcome,
) -> Result<Vec<Resolved<'a>>, ApiError> {
    let replaced: Vec<OrderId> = resolved.iter().filter_map(|it| it.replaces).collect();
    if replaced.is_empty() {
        return Ok(resolved);
    }
    let refunds: HashMap<OrderId, (String, DateTime<Utc>)> = sqlx::query_as(
        "SELECT order_id, min(reference), min(occurred_at) FROM refunds WHERE order_id = ANY($1) \
         AND status <> 'rejected' AND NOT deleted GROUP BY order_id",
    )
    .bind(&replaced)
    .fetch_all(&mut **tx)
    .await?
    .into_iter()
    .map(|(id, reference, first)| (id, (reference, first)))
    .collect();
    let paid = if refunds.is_empty() { HashMap::new() } else { paid(tx, &replaced).await? };
    let mut fitting = Vec::with_capacity(resolved.len());
    for it in resolved {
        let of_stored = it.replaces.and_then(|id| Some((refunds.get(&id)?, paid.get(&id)?)));
        match of_stored {
            Some(((reference, first), stored)) if *first < it.occurred_at || !still_paid(&it, stored) => {
                let reason = format!("its refund {reference} would no longer fit; correct that first");
                outcome.refuse(it.document, Fault::new("reference", reason));
            }
            _ => fitting.push(it),
        }
    }
    Ok(fitting)
}

/// Whether an order as the file has it was paid all that went back of the stored lines.
fn still_paid(resolved: &Resolved<'_>, stored: &[PaidLine]) -> bool {
    let line = |number| resolved.lines.iter().map(|resolved| &resolved.line).find(|line| line.line_no == number);
    matches!(resolved.document.head().payment_status, PaymentStatus::Paid | PaymentStatus::Refunded)
        && stored.iter().filter(|old| old.back_quantity > 0 || old.back_cents > 0).all(|old| {
            line(old.line_no).is_some_and(|new| {
                new.product_id == old.product_id && new.quantity >= old.back_quantity && new.net() >= old.back_cents
            })
        })
}

fn resolve<'a>(
    document: &'a Document<OrderRow>,
    stored: Option<&Known>,
    customers: &HashMap<String, CustomerId>,
    kind: &Orders,
    rules: Rules,
) -> Result<Resolved<'a>, Fault> {
    consistent(document)?;
    let (head, first) = (document.head(), &document.rows[0]);
    let reference = head.customer_reference.as_str();
    let Some(customer_id) = customers.get(reference) else {
        return Err(Fault::new("customer_reference", format!("there is no customer {reference}")));
    };
    let zone = head.time_zone.as_ref().map(|zone| zone.as_str());
    let time_zone = zone.or(stored.map(|it| it.time_zone.as_str())).unwrap_or(kind.company_zone.name()).to_owned();
    let tz: Tz = time_zone.parse().map_err(|_| Fault::new("time_zone", format!("{time_zone} is not known")))?;
    let occurred_at = head.occurred_at.within(tz).map_err(|reason| first.fault("occurred_at", reason))?;
    let local_time = tz.local(occurred_at);
    let mut steps = [None; 4];
    for (step, (field, given)) in steps.iter_mut().zip(head.steps()) {
        let Given::Value(moment) = given else { continue };
        *step = Some(moment.within(tz).map_err(|reason| first.fault(field, reason))?);
    }
    let mut lines = Vec::with_capacity(document.rows.len());
    for row in &document.rows {
        let line = row.value.line.resolve(row.line, row.value.quantity, &kind.catalogue, rules);
        lines.push(line.map_err(|refusal| row.fault(refusal.field, refusal.reason))?);
    }
    let mut resolved = Resolved {
        document,
        customer_id: *customer_id,
        occurred_at,
        time_zone,
        local_time,
        steps,
        replaces: None,
        lines,
    };
    if let Some(stored) = stored {
        stored.keep(&mut resolved)?;
    }
    in_order(&resolved)?;
    history::fits(&resolved.lines)?;
    Ok(resolved)
}

/// What comes after an order was not before it.
fn in_order(resolved: &Resolved<'_>) -> Result<(), Fault> {
    for ((field, _), step) in resolved.document.head().steps().into_iter().zip(resolved.steps) {
        if step.is_some_and(|at| at < resolved.occurred_at) {
            return Err(Fault::new(field, format!("is before the order was placed, at {}", resolved.occurred_at)));
        }
    }
    if resolved.steps[1].zip(resolved.steps[2]).is_some_and(|(shipped, delivered)| delivered < shipped) {
        return Err(Fault::new("delivered_at", "is before it was shipped"));
    }
    Ok(())
}

/// All rows of an order must agree about it.
fn consistent(document: &Document<OrderRow>) -> Result<(), Fault> {
    document.consistent("order", |it, head| {
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
        (differs, it.line.line_no)
    })
}

async fn customers(
    tx: &mut PgTransaction<'_>,
    documents: &[Document<OrderRow>],
) -> Result<HashMap<String, CustomerId>, ApiError> {
    let references: HashSet<&str> =
        documents.iter().map(|document| document.head().customer_reference.as_str()).collect();
    let customers: Vec<(String, CustomerId)> =
        sqlx::query_as("SELECT reference, id FROM customers WHERE reference = ANY($1) AND NOT deleted")
            .bind(references.into_iter().collect::<Vec<_>>())
            .fetch_all(&mut **tx)
            .await?;
    Ok(customers.into_iter().collect())
}
