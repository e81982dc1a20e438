//! `POST /refunds/import`: refunds of a retailer who arrives with history.
//!
//! An imported refund is history: it is completed, flagged `imported`, moves no stock and no order's payment. Its natural
//! key is the reference; a known one must be equal, or is corrected where the client asks for it.

mod judge;
mod known;
mod left;
mod write;

use axum::extract::{Request, State};
use axum::response::Response;
use base::Tz;
use kit::error::ApiError;
use kit::extract::Query;
use kit::import::history::MAX_PIECES;
use kit::import::{
    Applying, Document, Kind, Major, Minor, Moment, Options, Outcome, Record, Refusal, Report, Rules, amount,
};
use kit::text::{Reference, Text, Zone};
use sqlx::PgTransaction;

use super::paid::Wanted;
use crate::App;

kit::columns! {
    /// One line of a refund. The rows of a refund stand anywhere in the file.
    pub(crate) struct RefundRow {
        /// What the refund is known by.
        reference: Reference = "RF-100017",
        /// Reference of the order, which must exist and be paid.
        order_reference: Reference = "W-100017",
        /// When it was paid back, from 1970 to five minutes ahead and not before its order: with offset, or local time of
        /// `time_zone`.
        occurred_at: Moment = "2026-02-10T16:00:00-05:00",
        /// IANA zone that decides the business day and local times; the company's where absent or empty.
        time_zone: Option<Zone> = "America/New_York",
        /// Number of the line within its refund, above zero.
        line_no: i32 = "1",
        /// The line of the order; where absent or empty it is the one of `sku`, and where given both must agree.
        order_line_no: Option<i32> = "1",
        /// SKU of the order's line.
        sku: Option<Text> = "TEA-1",
        /// Pieces that came back, over all refunds never more than ordered; the sign does not matter. None where absent,
        /// empty or zero: only money went back.
        quantity: Option<i64> = "1",
        /// Paid back for the line, in minor units, over all refunds never more than was paid; the sign does not matter. Where
        /// absent or empty, what is stored for the same pieces stays, and else it is what the pieces cost, as far as it was not
        /// paid back before.
        amount_cents: Option<Minor> = "1150",
        /// The same in major units, with a decimal point.
        amount: Option<Major> = "11.50",
    }
}

impl Record for RefundRow {
    const KEY: &'static [&'static str] = &["reference"];
    const ONE_OF: &'static [&'static [&'static str]] =
        &[&["order_line_no", "sku"], &["quantity", "amount_cents", "amount"]];

    fn zone(&self) -> Option<&Zone> {
        self.time_zone.as_ref()
    }

    fn check(&self, rules: Rules) -> Result<(), Refusal> {
        self.occurred_at.check("occurred_at")?;
        if self.line_no < 1 {
            return Err(Refusal::new("line_no", "must be above zero"));
        }
        if self.order_line_no.is_none() && self.sku.is_none() {
            return Err(Refusal::new("order_line_no", "is needed, or sku"));
        }
        match self.wanted(rules)? {
            Wanted { pieces, .. } if pieces > MAX_PIECES => Err(Refusal::new("quantity", "is more than a line holds")),
            Wanted { pieces: 0, cents: None } => Err(Refusal::new("quantity", "is needed, or amount_cents, or amount")),
            Wanted { pieces: 0, cents: Some(0) } => {
                Err(Refusal::new("amount_cents", "must not be zero without pieces"))
            }
            _ => Ok(()),
        }
    }
}

impl RefundRow {
    fn wanted(&self, rules: Rules) -> Result<Wanted, Refusal> {
        let minor = ("amount_cents", self.amount_cents.map(|amount| amount.0));
        let cents = amount(minor, ("amount", self.amount), rules)?.map(i64::saturating_abs);
        Ok(Wanted { pieces: self.quantity.map_or(0, i64::saturating_abs), cents })
    }
}

/// The import of refunds.
struct Refunds {
    company_zone: Tz,
}

impl Kind for Refunds {
    type Row = RefundRow;
    const NAME: &'static str = "refunds";
    const WITHDRAWABLE: bool = true;

    async fn apply(
        &self,
        tx: &mut PgTransaction<'_>,
        import: Applying,
        documents: &[Document<RefundRow>],
        outcome: &mut Outcome,
    ) -> Result<(), ApiError> {
        let accepted = judge::judge(tx, import, self.company_zone, documents, outcome).await?;
        write::write(tx, import, &accepted).await?;
        for resolved in &accepted {
            outcome.apply(resolved.document);
        }
        Ok(())
    }
}

/// Import refunds of orders.
///
/// CSV or NDJSON, one row per line of a refund, in any order; their orders are imported before. What is stored and equal is
/// unchanged; what differs is refused by line, field, old and new value, or corrected with `on_difference=replace`, where it
/// was imported.
#[utoipa::path(post, path = "/refunds/import", tag = "refunds", params(Options),
    request_body(content((String = "text/csv"), (RefundRow = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report),
        (status = 202, description = "A large file, which is being applied; `Location` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`: another import runs")))]
pub(super) async fn import_refunds(
    State(app): State<App>,
    Query(options): Query<Options>,
    request: Request,
) -> Result<Response, ApiError> {
    app.imports.run(request, options, Refunds { company_zone: app.time_zone }).await
}
