//! `POST /orders/import`: orders of a retailer who arrives with history.
//!
//! An imported order is history: it is flagged `imported` and takes no stock, now or later. Its natural key is
//! the reference; a known one must be equal, or is corrected where the client asks for it.

mod judge;
mod known;
mod write;

use axum::extract::{Request, State};
use axum::response::Response;
use base::Tz;
use kit::error::ApiError;
use kit::extract::Query;
use kit::id::ProductId;
use kit::import::history::LineColumns;
use kit::import::{Applying, Document, Given, Kind, Moment, Options, Outcome, Record, Refusal, Report, Rules};
use kit::stock::Catalogue;
use kit::text::{Reference, Zone};
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
        /// Pieces, above zero.
        quantity: i64 = "2",
        ..line: LineColumns
    }
}

impl Record for OrderRow {
    const KEY: &'static [&'static str] = &["reference"];
    const ONE_OF: &'static [&'static [&'static str]] = &[LineColumns::PRICE];

    fn zone(&self) -> Option<&Zone> {
        self.time_zone.as_ref()
    }

    fn product(&self) -> Option<(Option<ProductId>, &str)> {
        Some(self.line.product())
    }

    fn check(&self, rules: Rules) -> Result<(), Refusal> {
        self.occurred_at.check("occurred_at")?;
        if self.quantity < 1 {
            return Err(Refusal::new("quantity", "must be above zero"));
        }
        self.line.check(self.quantity, rules)?;
        if self.line.price(rules)? < 0 {
            return Err(Refusal::new("unit_price_cents", "must not be negative"));
        }
        if self.line.discount(rules)? < 0 {
            return Err(Refusal::new("discount_cents", "must not be negative"));
        }
        Ok(())
    }
}

impl OrderRow {
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
    const WITHDRAWABLE: bool = true;

    async fn meet(&mut self, products: Vec<(Option<ProductId>, String)>) -> Result<(), ApiError> {
        self.catalogue.meet(products).await
    }

    async fn apply(
        &self,
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
