//! `POST /sales/import`: sales and returns of a retailer who arrives with history.
//!
//! An imported document is history: it is completed, flagged `imported`, and moves no stock. Its natural key is
//! the reference, which is also its receipt number; a known one is left as it is, so sending a file again
//! changes nothing. A return names its sale by `original_reference`, in the same file or imported before.

mod batch;

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use kit::amount::Price;
use kit::error::ApiError;
use kit::extract::Json;
use kit::id::ProductId;
use kit::import::{Import, Record, Refusal, Report};
use kit::text::{Code, Reference, Text, Zone};
use serde::Deserialize;

use super::document::Kind;
use crate::App;

/// Pieces on one line of history: with the bound on prices it keeps every amount within 64 bits.
const MAX_PIECES: i64 = 10_000_000;

/// One line of a document; the lines of a document stand side by side.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaleRow {
    reference: Reference,
    kind: Kind,
    store_code: Code,
    register_number: i32,
    occurred_at: DateTime<Utc>,
    time_zone: Option<Zone>,
    original_reference: Option<Reference>,
    line_no: i32,
    product_id: ProductId,
    sku: Text,
    product_name: Text,
    category: Text,
    quantity: i64,
    unit_price_cents: Price,
    unit_cost_cents: Price,
    discount_cents: Option<i64>,
}

impl Record for SaleRow {
    const REQUIRED: &'static [&'static str] = &[
        "reference",
        "kind",
        "store_code",
        "register_number",
        "occurred_at",
        "line_no",
        "product_id",
        "sku",
        "product_name",
        "category",
        "quantity",
        "unit_price_cents",
        "unit_cost_cents",
    ];
    const OPTIONAL: &'static [&'static str] = &["time_zone", "original_reference", "discount_cents"];
    const DOCUMENT: Option<&'static str> = Some("reference");

    fn document(&self) -> Option<&str> {
        Some(self.reference.as_str())
    }

    fn check(&self) -> Result<(), Refusal> {
        let bounds = [
            ("register_number", (1..=9999).contains(&self.register_number), "must be from 1 to 9999"),
            ("line_no", self.line_no > 0, "must be above zero"),
            ("product_id", self.product_id.0 > 0, "must be above zero"),
            (
                "occurred_at",
                self.occurred_at <= Utc::now() + TimeDelta::minutes(5),
                "is in the future; an import is history",
            ),
            ("occurred_at", self.occurred_at >= DateTime::UNIX_EPOCH, "is before 1970"),
            ("quantity", self.pieces() <= MAX_PIECES, "is more than a line holds"),
            ("quantity", self.quantity != 0, "must not be zero"),
            ("quantity", self.kind == Kind::Return || self.quantity > 0, "must be above zero on a sale"),
            (
                "original_reference",
                self.kind == Kind::Sale || self.original_reference.is_some(),
                "is needed on a return",
            ),
            (
                "original_reference",
                self.kind == Kind::Return || self.original_reference.is_none(),
                "belongs on returns only",
            ),
        ];
        if let Some((field, _, reason)) = bounds.into_iter().find(|(_, holds, _)| !holds) {
            return Err(Refusal::new(field, reason));
        }
        if self.discount() > self.price() {
            return Err(Refusal::new("discount_cents", "is more than the line's price"));
        }
        Ok(())
    }
}

impl SaleRow {
    /// Pieces, above zero. Returns may give them with either sign: the kind says which way they went.
    fn pieces(&self) -> i64 {
        self.quantity.saturating_abs()
    }

    /// The line's price in minor units, before the discount.
    fn price(&self) -> i64 {
        self.pieces() * self.unit_price_cents.get()
    }

    /// Minor units taken off the line, not negative.
    fn discount(&self) -> i64 {
        self.discount_cents.unwrap_or(0).saturating_abs()
    }

    /// 1 for what leaves the store, -1 for what comes back.
    fn sign(&self) -> i64 {
        match self.kind {
            Kind::Sale => 1,
            Kind::Return => -1,
        }
    }
}

/// Import sales and returns.
///
/// CSV or NDJSON, one row per line of a document, rows of a document side by side. Stores must exist; registers are
/// made on demand. Without `time_zone` the store's counts.
#[utoipa::path(post, path = "/sales/import", tag = "sales", request_body(content((String = "text/csv"), (String = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report)))]
pub(super) async fn import_sales(
    State(app): State<App>,
    mut import: Import<SaleRow>,
) -> Result<Json<Report>, ApiError> {
    while let Some(rows) = import.next().await {
        let outcome = batch::write(&app.db, &rows).await?;
        import.record(outcome);
    }
    Ok(Json(import.finish()))
}
