//! Which refunds of a file can have happened, given what is stored.

use std::collections::{HashMap, HashSet};

use base::Tz;
use chrono::{DateTime, NaiveDateTime, Utc};
use kit::error::ApiError;
use kit::import::{Applying, Document, Fault, Outcome, Row, Rules};
use sqlx::PgTransaction;

use super::RefundRow;
use super::known::{Known, known};
use super::left::Left;
use crate::ids::{OrderId, RefundId};
use crate::orders::document::PaymentStatus;
use crate::refunds::paid::{PaidLine, Part, Wanted, paid};

/// A refund with all that its codes stand for.
pub(super) struct Resolved<'a> {
    pub(super) document: &'a Document<RefundRow>,
    pub(super) order_id: OrderId,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) time_zone: String,
    /// Of `occurred_at` in `time_zone`; of a document that is corrected and happened when it did, what it was.
    pub(super) local_time: NaiveDateTime,
    /// The stored refund whose place it takes.
    pub(super) replaces: Option<RefundId>,
    pub(super) lines: Vec<ResolvedLine>,
    /// What it takes of its order, line by line.
    pub(super) parts: Vec<Part>,
}

/// A line of the file.
pub(super) struct ResolvedLine {
    /// Its line in the file.
    pub(super) at: u64,
    pub(super) line_no: i32,
    pub(super) order_line_no: i32,
    /// The column that names the order's line.
    pub(super) found_by: &'static str,
    pub(super) wanted: Wanted,
}

/// An order that refunds name.
#[derive(sqlx::FromRow)]
struct Refunded {
    reference: String,
    id: OrderId,
    payment_status: PaymentStatus,
    occurred_at: DateTime<Utc>,
}

/// Answers the refunds to write; what came of the others is in the outcome.
pub(super) async fn judge<'a>(
    tx: &mut PgTransaction<'_>,
    import: Applying,
    company_zone: Tz,
    documents: &'a [Document<RefundRow>],
    outcome: &mut Outcome,
) -> Result<Vec<Resolved<'a>>, ApiError> {
    let orders = orders(tx, documents).await?;
    let known = known(tx, documents).await?;
    // Also of the orders that refunds to be corrected belong to now.
    let ids: HashSet<OrderId> =
        orders.values().map(|order| order.id).chain(known.values().map(|refund| refund.order_id)).collect();
    let left = Left(paid(tx, &ids.into_iter().collect::<Vec<_>>()).await?);
    let mut fitting = Vec::with_capacity(documents.len());
    for document in documents {
        let stored = known.get(document.head().reference.as_str());
        let zone = stored.map_or(company_zone.name(), |it| it.time_zone.as_str());
        let mut new = match resolve(document, zone, &orders, &left, import.rules) {
            Ok(new) => new,
            Err(fault) => {
                outcome.refuse(document, fault);
                continue;
            }
        };
        if let Some(stored) = stored {
            stored.keep(&mut new);
            if !import.replaces(document, stored.imported, stored.difference(&new), outcome) {
                continue;
            }
            new.replaces = Some(stored.id);
        }
        fitting.push((new, stored));
    }
    Ok(within(left, fitting, outcome))
}

/// Answers the refunds that stay within what is left. Those that they take the place of are given back first, all of them, so
/// that a corrected history fits as a whole; one whose correction is refused counts again, and may leave too little to others.
fn within<'a>(
    mut left: Left,
    resolved: Vec<(Resolved<'a>, Option<&Known>)>,
    outcome: &mut Outcome,
) -> Vec<Resolved<'a>> {
    let stored = resolved.iter().filter_map(|(_, stored)| *stored);
    stored.for_each(|stored| left.give_back(stored));
    let mut stays = false;
    let mut accepted = Vec::with_capacity(resolved.len());
    for (mut new, stored) in resolved {
        match left.take(&mut new) {
            Ok(()) => accepted.push((new, stored)),
            Err(fault) => {
                outcome.refuse(new.document, fault);
                stored.into_iter().for_each(|stored| left.put_back(stored));
                stays |= stored.is_some();
            }
        }
    }
    while stays {
        stays = false;
        accepted.retain_mut(|(new, stored)| {
            if !left.is_beyond(new) {
                return true;
            }
            let reason = "takes what another refund of the order has paid back, whose correction is refused";
            outcome.refuse(new.document, Fault::new("reference", reason));
            left.leave(new);
            stored.iter().for_each(|stored| left.put_back(stored));
            stays |= stored.is_some();
            false
        });
    }
    accepted.into_iter().map(|(new, _)| new).collect()
}

fn resolve<'a>(
    document: &'a Document<RefundRow>,
    zone: &str,
    orders: &HashMap<String, Refunded>,
    left: &Left,
    rules: Rules,
) -> Result<Resolved<'a>, Fault> {
    consistent(document)?;
    let (head, first) = (document.head(), &document.rows[0]);
    let reference = head.order_reference.as_str();
    let Some(order) = orders.get(reference) else {
        return Err(Fault::new("order_reference", format!("there is no order {reference}")));
    };
    if !matches!(order.payment_status, PaymentStatus::Paid | PaymentStatus::Refunded) {
        let payment = order.payment_status.as_str();
        return Err(Fault::new(
            "order_reference",
            format!("payment of order {reference} is {payment}: nothing was paid"),
        ));
    }
    let time_zone = head.time_zone.as_ref().map_or(zone, |zone| zone.as_str()).to_owned();
    let tz: Tz = time_zone.parse().map_err(|_| Fault::new("time_zone", format!("{time_zone} is not known")))?;
    let occurred_at = head.occurred_at.within(tz).map_err(|reason| first.fault("occurred_at", reason))?;
    let local_time = tz.local(occurred_at);
    if occurred_at < order.occurred_at {
        let reason = format!("is before the order {reference}, which was at {}", order.occurred_at);
        return Err(first.fault("occurred_at", reason));
    }
    let of_order = left.of(order.id);
    let lines = document.rows.iter().map(|row| resolve_line(row, of_order, rules)).collect::<Result<_, _>>()?;
    let order_id = order.id;
    Ok(Resolved { document, order_id, occurred_at, time_zone, local_time, replaces: None, lines, parts: Vec::new() })
}

fn resolve_line(row: &Row<RefundRow>, of_order: &[PaidLine], rules: Rules) -> Result<ResolvedLine, Fault> {
    let RefundRow { line_no, order_line_no, sku, .. } = &row.value;
    let wanted = row.value.wanted(rules).map_err(|refusal| row.fault(refusal.field, refusal.reason))?;
    let found_by = if order_line_no.is_some() { "order_line_no" } else { "sku" };
    let of_sku = |line: &&PaidLine| sku.as_ref().is_none_or(|sku| sku.as_str() == line.sku);
    let of_number = |line: &&PaidLine| order_line_no.is_none_or(|number| number == line.line_no);
    let mut found = of_order.iter().filter(of_sku).filter(of_number);
    match (found.next(), found.next()) {
        (Some(line), None) => {
            Ok(ResolvedLine { at: row.line, line_no: *line_no, order_line_no: line.line_no, found_by, wanted })
        }
        (Some(_), Some(_)) => Err(row.fault("sku", "stands on several lines of the order; give order_line_no")),
        (None, _) if of_order.iter().any(|line| of_number(&line)) => {
            Err(row.fault("sku", "is not of this line of the order"))
        }
        (None, _) => Err(row.fault(found_by, "is of no line of the order")),
    }
}

/// All rows of a refund must agree about it.
fn consistent(document: &Document<RefundRow>) -> Result<(), Fault> {
    document.consistent("refund", |it, head| {
        let differs = [
            ("order_reference", it.order_reference != head.order_reference),
            ("occurred_at", it.occurred_at != head.occurred_at),
            ("time_zone", it.time_zone != head.time_zone),
        ];
        (differs, it.line_no)
    })
}

/// The orders by reference, locked, so that no other refund or step of them comes in between.
async fn orders(
    tx: &mut PgTransaction<'_>,
    documents: &[Document<RefundRow>],
) -> Result<HashMap<String, Refunded>, ApiError> {
    let (references, refunds): (HashSet<&str>, HashSet<&str>) =
        documents.iter().map(|it| (it.head().order_reference.as_str(), it.head().reference.as_str())).unzip();
    let orders: Vec<Refunded> = sqlx::query_as(
        "SELECT reference, id, payment_status, occurred_at FROM orders WHERE NOT deleted AND id IN ( \
           SELECT o.id FROM orders o WHERE o.reference = ANY($1) \
           UNION ALL SELECT r.order_id FROM refunds r WHERE r.reference = ANY($2) AND NOT r.deleted) \
         ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(references.into_iter().collect::<Vec<_>>())
    .bind(refunds.into_iter().collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    Ok(orders.into_iter().map(|order| (order.reference.clone(), order)).collect())
}
