//! `POST /orders/import`: orders of a retailer who arrives with history.
//!
//! An imported order is history: it is flagged `imported` and takes no stock, now or later. Its natural key is
//! the reference; a known one is left as it is, so sending a file again changes nothing.

mod batch;

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use kit::amount::Price;
use kit::error::ApiError;
use kit::extract::Json;
use kit::id::ProductId;
use kit::import::{Import, Record, Refusal, Report};
use kit::text::{Reference, Text, Zone};
use serde::Deserialize;

use super::document::{OrderStatus, PaymentStatus};
use crate::App;

/// Pieces on one line of history: with the bound on prices it keeps every amount within 64 bits.
const MAX_PIECES: i64 = 10_000_000;

/// One line of an order; the lines of an order stand side by side.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderRow {
    reference: Reference,
    customer_reference: Reference,
    status: OrderStatus,
    payment_status: PaymentStatus,
    occurred_at: DateTime<Utc>,
    time_zone: Option<Zone>,
    confirmed_at: Option<DateTime<Utc>>,
    shipped_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    cancelled_at: Option<DateTime<Utc>>,
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

impl Record for OrderRow {
    const REQUIRED: &'static [&'static str] = &[
        "reference",
        "customer_reference",
        "status",
        "payment_status",
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
    const OPTIONAL: &'static [&'static str] =
        &["time_zone", "confirmed_at", "shipped_at", "delivered_at", "cancelled_at", "discount_cents"];
    const DOCUMENT: Option<&'static str> = Some("reference");

    fn document(&self) -> Option<&str> {
        Some(self.reference.as_str())
    }

    fn check(&self) -> Result<(), Refusal> {
        let discount = self.discount();
        let bounds = [
            ("line_no", self.line_no > 0, "must be above zero"),
            ("product_id", self.product_id.0 > 0, "must be above zero"),
            (
                "occurred_at",
                self.occurred_at <= Utc::now() + TimeDelta::minutes(5),
                "is in the future; an import is history",
            ),
            ("occurred_at", self.occurred_at >= DateTime::UNIX_EPOCH, "is before 1970"),
            ("quantity", (1..=MAX_PIECES).contains(&self.quantity), "must be from 1 to 10000000"),
            ("discount_cents", discount >= 0, "must not be negative"),
        ];
        if let Some((field, _, reason)) = bounds.into_iter().find(|(_, holds, _)| !holds) {
            return Err(Refusal::new(field, reason));
        }
        if discount > self.price() {
            return Err(Refusal::new("discount_cents", "is more than the line's price"));
        }
        Ok(())
    }
}

impl OrderRow {
    /// The line's price in minor units, before the discount.
    fn price(&self) -> i64 {
        self.quantity * self.unit_price_cents.get()
    }

    fn discount(&self) -> i64 {
        self.discount_cents.unwrap_or(0)
    }
}

/// Import orders.
///
/// CSV or NDJSON, one row per line of an order, rows of an order side by side. Customers must exist. Without
/// `time_zone` the company's counts.
#[utoipa::path(post, path = "/orders/import", tag = "orders", request_body(content((String = "text/csv"), (String = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report)))]
pub(super) async fn import_orders(
    State(app): State<App>,
    mut import: Import<OrderRow>,
) -> Result<Json<Report>, ApiError> {
    while let Some(rows) = import.next().await {
        let outcome = batch::write(&app.db, app.time_zone, &rows).await?;
        import.record(outcome);
    }
    Ok(Json(import.finish()))
}
