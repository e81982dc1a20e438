//! The stored documents that a file names, and how they differ from it.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use kit::error::ApiError;
use kit::import::history::{self, Line};
use kit::import::{Document, Fault};
use sqlx::{FromRow as _, PgTransaction, Row as _};

use super::SaleRow;
use super::judge::Resolved;
use crate::ids::SaleId;
use crate::sales::document::{Kind, Status};

/// A stored document with its lines.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Known {
    pub(super) id: SaleId,
    reference: String,
    kind: Kind,
    status: Status,
    store_code: String,
    register_number: i32,
    occurred_at: DateTime<Utc>,
    pub(super) time_zone: String,
    local_time: NaiveDateTime,
    pub(super) imported: bool,
    pub(super) original_sale_id: Option<SaleId>,
    original_reference: Option<String>,
    #[sqlx(skip)]
    pub(super) lines: Vec<Line>,
}

/// The stored documents by reference.
pub(super) async fn known(
    tx: &mut PgTransaction<'_>,
    documents: &[Document<SaleRow>],
) -> Result<HashMap<String, Known>, ApiError> {
    let references: Vec<&str> = documents.iter().map(|document| document.head().reference.as_str()).collect();
    let mut known: Vec<Known> = sqlx::query_as(
        "SELECT s.id, s.reference, s.kind, s.status, st.code AS store_code, r.number AS register_number, s.occurred_at, \
         s.time_zone, s.local_time, s.imported, s.original_sale_id, o.reference AS original_reference \
         FROM sales s JOIN stores st ON st.id = s.store_id JOIN registers r ON r.id = s.register_id \
         LEFT JOIN sales o ON o.id = s.original_sale_id WHERE s.reference = ANY($1) AND NOT s.deleted ORDER BY s.id",
    )
    .bind(references)
    .fetch_all(&mut **tx)
    .await?;
    let places: HashMap<i64, usize> = known.iter().enumerate().map(|(at, document)| (document.id.0, at)).collect();
    let lines = sqlx::query(
        "SELECT sale_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents, unit_cost_cents, \
         discount_cents FROM sale_lines WHERE sale_id = ANY($1)",
    )
    .bind(known.iter().map(|document| document.id).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    for row in lines {
        if let Some(at) = places.get(&row.try_get("sale_id")?) {
            known[*at].lines.push(Line::from_row(&row)?);
        }
    }
    Ok(known.into_iter().map(|document| (document.reference.clone(), document)).collect())
}

impl Known {
    /// Keeps what is stored where the file does not say it.
    pub(super) fn keep(&self, resolved: &mut Resolved<'_>) -> Result<(), Fault> {
        if (self.occurred_at, &self.time_zone) == (resolved.occurred_at, &resolved.time_zone) {
            resolved.local_time = self.local_time;
        }
        let head = resolved.document.head();
        if !head.original_reference.is_said() && head.kind == self.kind {
            resolved.original_reference.clone_from(&self.original_reference);
        }
        history::keep(&mut resolved.lines, &self.lines)
    }

    /// The first field in which the file differs.
    pub(super) fn difference(&self, resolved: &Resolved<'_>) -> Option<Fault> {
        let head = resolved.document.head();
        let [old_original, new_original] =
            [&self.original_reference, &resolved.original_reference].map(|it| it.as_deref().unwrap_or_default());
        let texts = [
            ("kind", self.kind.as_str(), head.kind.as_str()),
            ("store_code", self.store_code.as_str(), head.store_code.as_str()),
            ("time_zone", self.time_zone.as_str(), resolved.time_zone.as_str()),
            ("original_reference", old_original, new_original),
        ];
        if let Some((field, old, new)) = texts.into_iter().find(|(_, old, new)| old != new) {
            return Some(Fault::differs(None, field, old, new));
        }
        if self.register_number != head.register_number {
            return Some(Fault::differs(None, "register_number", self.register_number, head.register_number));
        }
        if self.occurred_at != resolved.occurred_at {
            return Some(Fault::differs(None, "occurred_at", self.occurred_at, resolved.occurred_at));
        }
        if self.status != Status::Completed {
            return Some(Fault::new("reference", "is stored, but was not completed or is voided"));
        }
        history::difference(&resolved.lines, &self.lines)
    }
}
