//! The stored refunds that a file names, and how they differ from it.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use kit::error::ApiError;
use kit::import::{Document, Fault};
use sqlx::PgTransaction;

use super::RefundRow;
use super::judge::Resolved;
use crate::ids::{OrderId, RefundId};
use crate::refunds::paid::Part;

/// A stored refund with its lines.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Known {
    pub(super) id: RefundId,
    reference: String,
    pub(super) order_id: OrderId,
    order_reference: String,
    occurred_at: DateTime<Utc>,
    pub(super) time_zone: String,
    local_time: NaiveDateTime,
    pub(super) imported: bool,
    rejected: bool,
    #[sqlx(skip)]
    pub(super) lines: Vec<Line>,
}

/// What is stored of a line.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub(super) struct Line {
    refund_id: RefundId,
    line_no: i32,
    #[sqlx(flatten)]
    pub(super) part: Part,
}

/// The stored refunds by reference.
pub(super) async fn known(
    tx: &mut PgTransaction<'_>,
    documents: &[Document<RefundRow>],
) -> Result<HashMap<String, Known>, ApiError> {
    let references: Vec<&str> = documents.iter().map(|document| document.head().reference.as_str()).collect();
    let mut known: Vec<Known> = sqlx::query_as(
        "SELECT r.id, r.reference, r.order_id, o.reference AS order_reference, r.occurred_at, r.time_zone, r.local_time, r.imported, \
         r.status = 'rejected' AS rejected FROM refunds r JOIN orders o ON o.id = r.order_id \
         WHERE r.reference = ANY($1) AND NOT r.deleted ORDER BY r.id",
    )
    .bind(references)
    .fetch_all(&mut **tx)
    .await?;
    let lines: Vec<Line> = sqlx::query_as(
        "SELECT refund_id, line_no, order_line_no, quantity, discount_cents, net_cents FROM refund_lines \
         WHERE refund_id = ANY($1) ORDER BY refund_id, line_no",
    )
    .bind(known.iter().map(|refund| refund.id).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    for of_one in lines.chunk_by(|a, b| a.refund_id == b.refund_id) {
        // Both come in the order of their ids.
        if let Ok(at) = known.binary_search_by_key(&of_one[0].refund_id, |refund| refund.id) {
            known[at].lines = of_one.to_vec();
        }
    }
    Ok(known.into_iter().map(|refund| (refund.reference.clone(), refund)).collect())
}

impl Known {
    /// Keeps the amounts that are stored where the file does not say them, and the same pieces of the same line came back.
    pub(super) fn keep(&self, resolved: &mut Resolved<'_>) {
        if (self.occurred_at, &self.time_zone) == (resolved.occurred_at, &resolved.time_zone) {
            resolved.local_time = self.local_time;
        }
        let stored: HashMap<i32, &Line> = self.lines.iter().map(|line| (line.line_no, line)).collect();
        for new in resolved.lines.iter_mut().filter(|_| resolved.order_id == self.order_id) {
            let same = |part: &Part| part.order_line_no == new.order_line_no && -part.quantity == new.wanted.pieces;
            let kept = stored.get(&new.line_no).map(|line| line.part).filter(same).map(|part| -part.net_cents);
            new.wanted.cents = new.wanted.cents.or(kept);
        }
    }

    /// The first field in which the file differs.
    pub(super) fn difference(&self, resolved: &Resolved<'_>) -> Option<Fault> {
        let head = resolved.document.head();
        let texts = [
            ("order_reference", self.order_reference.as_str(), head.order_reference.as_str()),
            ("time_zone", self.time_zone.as_str(), resolved.time_zone.as_str()),
        ];
        if let Some((field, old, new)) = texts.into_iter().find(|(_, old, new)| old != new) {
            return Some(Fault::differs(None, field, old, new));
        }
        if self.occurred_at != resolved.occurred_at {
            return Some(Fault::differs(None, "occurred_at", self.occurred_at, resolved.occurred_at));
        }
        if self.rejected {
            return Some(Fault::new("reference", "is stored, but was rejected"));
        }
        let mut left: HashMap<i32, &Line> = self.lines.iter().map(|line| (line.line_no, line)).collect();
        for new in &resolved.lines {
            let at = Some(new.at);
            let Some(old) = left.remove(&new.line_no) else {
                return Some(Fault::differs(at, "line_no", "", new.line_no));
            };
            let old = old.part;
            if old.order_line_no != new.order_line_no {
                return Some(Fault::differs(at, new.found_by, old.order_line_no, new.order_line_no));
            }
            if -old.quantity != new.wanted.pieces {
                return Some(Fault::differs(at, "quantity", -old.quantity, new.wanted.pieces));
            }
            if let Some(cents) = new.wanted.cents
                && -old.net_cents != cents
            {
                return Some(Fault::differs(at, "amount_cents", -old.net_cents, cents));
            }
        }
        left.into_keys().min().map(|missing| Fault::differs(None, "line_no", missing, ""))
    }
}
