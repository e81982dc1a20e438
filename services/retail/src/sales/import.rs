//! `POST /sales/import`: sales and returns of a retailer who arrives with history.
//!
//! An imported document is history: it is completed, flagged `imported`, and moves no stock. Its natural key is
//! the reference, which is also its receipt number; a known one must be equal, or is corrected where the client asks for
//! it. A return names its sale by `original_reference`, anywhere in the file or imported before; without, it is a return
//! without receipt.

mod judge;
mod known;
mod originals;
mod write;

use axum::extract::{Request, State};
use axum::response::Response;
use kit::error::ApiError;
use kit::extract::Query;
use kit::id::ProductId;
use kit::import::history::LineColumns;
use kit::import::{Applying, Document, Given, Kind as ImportKind, Major, Minor, Moment, Options, Outcome};
use kit::import::{Record, Refusal, Report, Rules, amount};
use kit::stock::Catalogue;
use kit::text::{Code, Reference, Zone};
use sqlx::PgTransaction;

use super::document::Kind;
use crate::App;

kit::cell_of_names! {
    Kind: "sale, return";
}

kit::columns! {
    /// One line of a sale or a return. The rows of a document stand anywhere in the file.
    pub(crate) struct SaleRow {
        /// What the document is known by, and its receipt number.
        reference: Reference = "S1-000017",
        /// `sale`: goods leave the store; `return`: goods come back.
        kind: Kind = "sale",
        /// Code of the store, which must exist.
        store_code: Code = "NYC-01",
        /// Number of the till in its store, from 1 to 9999; made where there is none.
        register_number: i32 = "1",
        /// When it happened, from 1970 to five minutes ahead: with offset, or local time of `time_zone`.
        occurred_at: Moment = "2026-01-31T09:30:00-05:00",
        /// IANA zone that decides the business day; the store's where absent or empty.
        time_zone: Option<Zone> = "America/New_York",
        /// On a return: reference of the sale it gives back; without it, a return without receipt. What is stored stays where
        /// absent.
        original_reference: Given<Reference> = "S1-000009",
        /// Pieces, not zero. On a sale, a line below zero came back (exchange) or takes off (coupon). On a return, the
        /// sign does not matter while all lines have the same; else what is below zero came back.
        quantity: i64 = "2",
        /// Taken off the whole document, in minor units, the same on each of its rows: spread over its lines by price.
        ticket_discount_cents: Given<Minor> = "250",
        /// The same in major units.
        ticket_discount: Given<Major> = "2.50",
        ..line: LineColumns
    }
}

impl Record for SaleRow {
    const KEY: &'static [&'static str] = &["reference"];
    const ONE_OF: &'static [&'static [&'static str]] = &[LineColumns::PRICE];

    fn pass(&self) -> i16 {
        match self.kind {
            Kind::Sale => 0,
            // Its sale may stand anywhere in the file.
            Kind::Return => 1,
        }
    }

    fn zone(&self) -> Option<&Zone> {
        self.time_zone.as_ref()
    }

    fn product(&self) -> Option<(Option<ProductId>, &str)> {
        Some(self.line.product())
    }

    fn check(&self, rules: Rules) -> Result<(), Refusal> {
        if !(1..=9999).contains(&self.register_number) {
            return Err(Refusal::new("register_number", "must be from 1 to 9999"));
        }
        self.occurred_at.check("occurred_at")?;
        if self.kind == Kind::Sale && self.original_reference.value().is_some() {
            return Err(Refusal::new("original_reference", "belongs on returns only"));
        }
        self.ticket_discount(rules)?;
        self.line.check(self.quantity, rules)
    }
}

impl SaleRow {
    /// Minor units taken off the whole document; none where no column says.
    fn ticket_discount(&self, rules: Rules) -> Result<Option<i64>, Refusal> {
        let minor = ("ticket_discount_cents", self.ticket_discount_cents.value().map(|amount| amount.0));
        let discount = amount(minor, ("ticket_discount", self.ticket_discount.value().copied()), rules)?;
        let said = self.ticket_discount_cents.is_said() || self.ticket_discount.is_said();
        Ok(discount.or(said.then_some(0)))
    }
}

/// The import of sales and returns.
struct Sales {
    catalogue: Catalogue,
}

impl ImportKind for Sales {
    type Row = SaleRow;
    const NAME: &'static str = "sales";
    const WITHDRAWABLE: bool = true;
    const PASSES: i16 = 2;

    async fn meet(&mut self, products: Vec<(Option<ProductId>, String)>) -> Result<(), ApiError> {
        self.catalogue.meet(products).await
    }

    async fn apply(
        &self,
        tx: &mut PgTransaction<'_>,
        import: Applying,
        documents: &[Document<SaleRow>],
        outcome: &mut Outcome,
    ) -> Result<(), ApiError> {
        let accepted = judge::judge(tx, import, &self.catalogue, documents, outcome).await?;
        write::write(tx, import, &accepted).await?;
        for resolved in &accepted {
            outcome.apply(resolved.document);
        }
        Ok(())
    }
}

/// Import sales and returns.
///
/// CSV or NDJSON, one row per line of a document, in any order. What is stored and equal is unchanged; what differs is
/// refused by line, field, old and new value, or corrected with `on_difference=replace`, where it was imported.
#[utoipa::path(post, path = "/sales/import", tag = "sales", params(Options),
    request_body(content((String = "text/csv"), (SaleRow = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report),
        (status = 202, description = "A large file, which is being applied; `Location` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`: another import runs")))]
pub(super) async fn import_sales(
    State(app): State<App>,
    Query(options): Query<Options>,
    request: Request,
) -> Result<Response, ApiError> {
    let kind = Sales { catalogue: app.outbox.catalogue() };
    app.imports.run(request, options, kind).await
}
