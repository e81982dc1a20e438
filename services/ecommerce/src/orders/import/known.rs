//! The stored orders that a file names, and how they differ from it.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use kit::error::ApiError;
use kit::import::history::{self, Line};
use kit::import::{Document, Fault};
use sqlx::{FromRow as _, PgTransaction, Row as _};

use super::OrderRow;
use super::judge::Resolved;
use crate::ids::{CustomerId, OrderId};
use crate::orders::document::{OrderStatus, PaymentStatus};

/// A stored order with its lines.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Known {
    pub(super) id: OrderId,
    reference: String,
    customer_id: CustomerId,
    customer_reference: Option<String>,
    status: OrderStatus,
    payment_status: PaymentStatus,
    occurred_at: DateTime<Utc>,
    pub(super) time_zone: String,
    local_time: NaiveDateTime,
    confirmed_at: Option<DateTime<Utc>>,
    shipped_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    cancelled_at: Option<DateTime<Utc>>,
    pub(super) imported: bool,
    #[sqlx(skip)]
    lines: Vec<Line>,
}

/// The stored orders by reference, locked, for a step may lead on from what is compared.
pub(super) async fn known(
    tx: &mut PgTransaction<'_>,
    documents: &[Document<OrderRow>],
) -> Result<HashMap<String, Known>, ApiError> {
    let references: Vec<&str> = documents.iter().map(|document| document.head().reference.as_str()).collect();
    let mut known: Vec<Known> = sqlx::query_as(
        "SELECT o.id, o.reference, o.customer_id, c.reference AS customer_reference, o.status, o.payment_status, \
         o.occurred_at, o.time_zone, o.local_time, o.confirmed_at, o.shipped_at, o.delivered_at, o.cancelled_at, o.imported \
         FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.reference = ANY($1) AND NOT o.deleted \
         ORDER BY o.id FOR NO KEY UPDATE OF o",
    )
    .bind(references)
    .fetch_all(&mut **tx)
    .await?;
    let places: HashMap<i64, usize> = known.iter().enumerate().map(|(at, order)| (order.id.0, at)).collect();
    let lines = sqlx::query(
        "SELECT order_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents, unit_cost_cents, \
         discount_cents FROM order_lines WHERE order_id = ANY($1)",
    )
    .bind(known.iter().map(|order| order.id).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    for row in lines {
        if let Some(at) = places.get(&row.try_get("order_id")?) {
            known[*at].lines.push(Line::from_row(&row)?);
        }
    }
    Ok(known.into_iter().map(|order| (order.reference.clone(), order)).collect())
}

impl Known {
    /// Keeps what is stored where the file does not say it.
    pub(super) fn keep(&self, resolved: &mut Resolved<'_>) -> Result<(), Fault> {
        if (self.occurred_at, &self.time_zone) == (resolved.occurred_at, &resolved.time_zone) {
            resolved.local_time = self.local_time;
        }
        for ((step, (_, given)), stored) in
            resolved.steps.iter_mut().zip(resolved.document.head().steps()).zip(self.steps())
        {
            if !given.is_said() {
                *step = stored;
            }
        }
        history::keep(&mut resolved.lines, &self.lines)
    }

    /// The moments after the order, in the order of [`OrderRow::steps`].
    fn steps(&self) -> [Option<DateTime<Utc>>; 4] {
        [self.confirmed_at, self.shipped_at, self.delivered_at, self.cancelled_at]
    }

    /// The first field in which the file differs.
    pub(super) fn difference(&self, resolved: &Resolved<'_>) -> Option<Fault> {
        let head = resolved.document.head();
        if self.customer_id != resolved.customer_id {
            let old = self.customer_reference.clone().unwrap_or_default();
            return Some(Fault::differs(None, "customer_reference", old, head.customer_reference.as_str()));
        }
        let texts = [
            ("status", self.status.as_str(), head.status.as_str()),
            ("payment_status", self.payment_status.as_str(), head.payment_status.as_str()),
            ("time_zone", self.time_zone.as_str(), resolved.time_zone.as_str()),
        ];
        if let Some((field, old, new)) = texts.into_iter().find(|(_, old, new)| old != new) {
            return Some(Fault::differs(None, field, old, new));
        }
        if self.occurred_at != resolved.occurred_at {
            return Some(Fault::differs(None, "occurred_at", self.occurred_at, resolved.occurred_at));
        }
        for (((field, _), old), new) in head.steps().into_iter().zip(self.steps()).zip(resolved.steps) {
            if old != new {
                let text = |at: Option<DateTime<Utc>>| at.map(|at| at.to_string()).unwrap_or_default();
                return Some(Fault::differs(None, field, text(old), text(new)));
            }
        }
        history::difference(&resolved.lines, &self.lines)
    }
}
