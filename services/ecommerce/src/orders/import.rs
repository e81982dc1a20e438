//! `POST /orders/import`: orders of a retailer who arrives with history.
//!
//! An imported order is history: it is flagged `imported` and takes no stock, now or later. Its natural key is
//! the reference; a known one must be equal, or is corrected where the client asks for it.

mod judge;
mod known;
mod write;

use axum::extract::{Request, State};
use axum::response::Response;
use chrono_tz::Tz;
use kit::amount::Price;
use kit::error::ApiError;
use kit::extract::Query;
use kit::id::ProductId;
use kit::import::history::LineCells;
use kit::import::{
    Applying, Document, Given, Kind, Major, Minor, Moment, Options, Outcome, Record, Refusal, Report, Rules,
};
use kit::stock::Catalogue;
use kit::text::{Reference, Text, Zone};
use sqlx::PgTransaction;

use super::document::{OrderStatus, PaymentStatus};
use crate::App;

kit::cell_of_names! {
    OrderStatus: "pending, confirmed, processing, shipped, delivered, cancelled";
    PaymentStatus: "pending, paid, refunded, failed";
}

kit::columns! {
    /// One line of an order. The rows of an order stand anywhere in the file.
    pub(crate) struct OrderRow {
        /// What the order is known by.
        reference: Reference = "W-100017",
        /// Reference of the customer, who must exist.
        customer_reference: Reference = "C-1042",
        /// Where the order stands: `pending`, `confirmed`, `processing`, `shipped`, `delivered` or `cancelled`.
        status: OrderStatus = "delivered",
        /// Where its payment stands: `pending`, `paid`, `refunded` or `failed`.
        payment_status: PaymentStatus = "paid",
        /// When it was placed, from 1970 to five minutes ahead: with offset, or local time of `time_zone`.
        occurred_at: Moment = "2026-01-31T09:30:00-05:00",
        /// IANA zone that decides the business day and local times; the company's where absent or empty.
        time_zone: Option<Zone> = "America/New_York",
        /// When it was confirmed, not before it was placed.
        confirmed_at: Given<Moment> = "2026-01-31T09:31:00-05:00",
        /// When it was shipped, not before it was placed.
        shipped_at: Given<Moment> = "2026-02-01T14:00:00-05:00",
        /// When it arrived, not before it was placed or shipped.
        delivered_at: Given<Moment> = "2026-02-03T11:00:00-05:00",
        /// When it was called off, not before it was placed.
        cancelled_at: Given<Moment> = "",
        /// Number of the line within its order, above zero.
        line_no: i32 = "1",
        /// Id of the product at Inventory; where absent or empty it is found by `sku`, and where given both must agree.
        product_id: Option<ProductId> = "7",
        /// SKU of the product.
        sku: Text = "TEA-1",
        /// Name as it was sold; Inventory's where absent or empty.
        product_name: Option<Text> = "Green tea",
        /// Category as it was sold; Inventory's where absent or empty.
        category: Option<Text> = "Tea",
        /// Pieces, above zero.
        quantity: i64 = "2",
        /// Price of one piece before discounts, in minor units.
        unit_price_cents: Option<Minor> = "1250",
        /// The same in major units, with a decimal point.
        unit_price: Option<Major> = "12.50",
        /// Cost of one piece, in minor units; Inventory's of today where absent or empty.
        unit_cost_cents: Option<Price> = "500",
        /// The same in major units.
        unit_cost: Option<Major> = "5.00",
        /// Taken off the whole line, in minor units, not negative.
        discount_cents: Given<Minor> = "100",
        /// The same in major units.
        discount: Given<Major> = "1.00",
    }
}

impl Record for OrderRow {
    const KEY: &'static [&'static str] = &["reference"];
    const ONE_OF: &'static [&'static [&'static str]] = &[&["unit_price_cents", "unit_price"]];

    fn zone(&self) -> Option<&Zone> {
        self.time_zone.as_ref()
    }

    fn product(&self) -> Option<(Option<ProductId>, &str)> {
        Some((self.product_id, self.sku.as_str()))
    }

    fn check(&self, rules: Rules) -> Result<(), Refusal> {
        if let Moment::Instant(at) = self.occurred_at {
            kit::moment::check(at).map_err(|reason| Refusal::new("occurred_at", reason))?;
        }
        if self.quantity < 1 {
            return Err(Refusal::new("quantity", "must be above zero"));
        }
        self.cells().check(rules)?;
        if self.cells().price(rules)? < 0 {
            return Err(Refusal::new("unit_price_cents", "must not be negative"));
        }
        if self.discount_cents.value().is_some_and(|discount| discount.0 < 0) {
            return Err(Refusal::new("discount_cents", "must not be negative"));
        }
        Ok(())
    }
}

impl OrderRow {
    fn cells(&self) -> LineCells<'_> {
        LineCells {
            line_no: self.line_no,
            product_id: self.product_id,
            sku: &self.sku,
            product_name: self.product_name.as_ref(),
            category: self.category.as_ref(),
            quantity: self.quantity,
            unit_price_cents: self.unit_price_cents,
            unit_price: self.unit_price,
            unit_cost_cents: self.unit_cost_cents,
            unit_cost: self.unit_cost,
            discount_cents: &self.discount_cents,
            discount: &self.discount,
        }
    }

    /// The moments after the order, by their columns.
    fn steps(&self) -> [(&'static str, &Given<Moment>); 4] {
        [
            ("confirmed_at", &self.confirmed_at),
            ("shipped_at", &self.shipped_at),
            ("delivered_at", &self.delivered_at),
            ("cancelled_at", &self.cancelled_at),
        ]
    }
}

/// The import of orders.
struct Orders {
    catalogue: Catalogue,
    company_zone: Tz,
}

impl Kind for Orders {
    type Row = OrderRow;
    const NAME: &'static str = "orders";

    async fn meet(&mut self, products: Vec<(Option<ProductId>, String)>) -> Result<(), ApiError> {
        self.catalogue.meet(products).await
    }

    async fn apply(
        &mut self,
        tx: &mut PgTransaction<'_>,
        import: Applying,
        documents: &[Document<OrderRow>],
        outcome: &mut Outcome,
    ) -> Result<(), ApiError> {
        let accepted = judge::judge(tx, import, self, documents, outcome).await?;
        write::write(tx, import, &accepted).await?;
        for resolved in &accepted {
            outcome.apply(resolved.document);
        }
        Ok(())
    }
}

/// Import orders.
///
/// CSV or NDJSON, one row per line of an order, in any order. What is stored and equal is unchanged; what differs is
/// refused by line, field, old and new value, or corrected with `on_difference=replace`, where it was imported.
#[utoipa::path(post, path = "/orders/import", tag = "orders", params(Options),
    request_body(content((String = "text/csv"), (OrderRow = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report),
        (status = 202, description = "A large file, which is being applied; `Location` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`: another import runs")))]
pub(super) async fn import_orders(
    State(app): State<App>,
    Query(options): Query<Options>,
    request: Request,
) -> Result<Response, ApiError> {
    let kind = Orders { catalogue: app.outbox.catalogue(), company_zone: app.time_zone };
    app.imports.run(request, options, kind).await
}
