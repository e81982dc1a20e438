//! `POST /orders/import`: orders of a retailer who arrives with history.
//!
//! An imported order is history: it is flagged `imported` and takes no stock, now or later. Its natural key is
//! the reference; a known one is left as it is, so sending a file again changes nothing.

mod batch;

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use kit::error::ApiError;
use kit::extract::Json;
use kit::import::{Import, Record, Refusal, Report};
use kit::text::{Reference, Text, Zone};
use serde::Deserialize;

use super::document::{OrderStatus, PaymentStatus};
use crate::App;

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
    product_id: i64,
    sku: Text,
    product_name: Text,
    category: Text,
    quantity: i64,
    unit_price_cents: i64,
    unit_cost_cents: i64,
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
        let discount = self.discount_cents.unwrap_or(0);
        let bounds = [
            ("line_no", self.line_no > 0, "must be above zero"),
            ("product_id", self.product_id > 0, "must be above zero"),
            (
                "occurred_at",
                self.occurred_at <= Utc::now() + TimeDelta::minutes(5),
                "is in the future; an import is history",
            ),
            ("occurred_at", self.occurred_at >= DateTime::UNIX_EPOCH, "is before 1970"),
            ("quantity", self.quantity > 0, "must be above zero"),
            ("unit_price_cents", self.unit_price_cents >= 0, "must not be negative"),
            ("unit_cost_cents", self.unit_cost_cents >= 0, "must not be negative"),
            ("discount_cents", discount >= 0, "must not be negative"),
        ];
        if let Some((field, _, reason)) = bounds.into_iter().find(|(_, holds, _)| !holds) {
            return Err(Refusal::new(field, reason));
        }
        if self.unit_cost_cents.checked_mul(self.quantity).is_none() {
            return Err(Refusal::new("quantity", "makes the line's cost larger than 64 bits hold"));
        }
        match self.unit_price_cents.checked_mul(self.quantity) {
            None => Err(Refusal::new("quantity", "makes the line's price larger than 64 bits hold")),
            Some(price) if discount > price => Err(Refusal::new("discount_cents", "is more than the line's price")),
            Some(_) => Ok(()),
        }
    }
}

impl OrderRow {
    fn discount(&self) -> i64 {
        self.discount_cents.unwrap_or(0)
    }
}

/// Import orders.
///
/// CSV or NDJSON, one row per line of an order, rows of an order side by side. Customers must exist. Without
/// `time_zone` the company's counts.
#[utoipa::path(post, path = "/orders/import", tag = "orders", request_body(content = String, content_type = "text/csv"),
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
