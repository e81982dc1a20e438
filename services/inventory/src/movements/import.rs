//! `POST /stock-movements/import`: history. It is written down as it was, and takes no stock.

mod judge;
mod known;
mod write;

use std::collections::BTreeMap;

use axum::extract::{Request, State};
use axum::response::Response;
use chrono::{DateTime, NaiveDateTime, Utc};
use kit::error::ApiError;
use kit::extract::Query;
use kit::id::{LocationId, ProductId};
use kit::import::{Applying, Document, Kind, Moment, Options, Outcome, Record, Refusal, Report, Rules};
use kit::text::{Code, Reference, Sku, Zone};
use sqlx::PgTransaction;

use super::{MAX_QUANTITY, Reason};
use crate::App;

kit::cell_of_names! {
    Reason: "sale, return, replenishment, adjustment, transfer";
}

kit::columns! {
    /// One line of a document. The rows of a document stand anywhere in the file.
    pub(crate) struct MovementRow {
        /// What the document is known by.
        reference: Reference = "S1-000017",
        /// Why stock moved: `sale` takes, `return` and `replenishment` give, `adjustment` and `transfer` do either.
        reason: Reason = "sale",
        /// SKU of the product.
        sku: Sku = "TEA-1",
        /// Code of the location.
        location_code: Code = "NYC-01",
        /// Pieces, not zero; below zero they left the location. Lines of one product at one location are added up.
        quantity: i64 = "-2",
        /// When it happened, from 1970 to five minutes ahead: with offset, or local time of `time_zone`.
        occurred_at: Moment = "2026-01-31T09:30:00-05:00",
        /// IANA zone where it happened.
        time_zone: Zone = "America/New_York",
    }
}

impl Record for MovementRow {
    const KEY: &'static [&'static str] = &["reference"];

    fn zone(&self) -> Option<&Zone> {
        Some(&self.time_zone)
    }

    fn check(&self, _: Rules) -> Result<(), Refusal> {
        if !(-MAX_QUANTITY..=MAX_QUANTITY).contains(&self.quantity) {
            return Err(Refusal::new("quantity", format!("a line moves at most {MAX_QUANTITY} pieces")));
        }
        if !self.reason.allows(self.quantity) {
            let reason = "a sale takes (below zero), a return or replenishment gives (above zero), nothing moves zero";
            return Err(Refusal::new("quantity", reason));
        }
        self.at().map(drop)
    }
}

impl MovementRow {
    fn at(&self) -> Result<DateTime<Utc>, Refusal> {
        self.occurred_at.within(self.time_zone.tz()).map_err(|reason| Refusal::new("occurred_at", reason))
    }
}

/// The import of movements.
struct Movements;

/// What moved of one product at one location.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Movement {
    quantity: i64,
    reason: Reason,
    at: DateTime<Utc>,
    zone: String,
    local: NaiveDateTime,
}

/// The movements of a document, in the order in which they are written.
type ByPlace<T> = BTreeMap<(LocationId, ProductId), T>;

impl Kind for Movements {
    type Row = MovementRow;
    const NAME: &'static str = "stock-movements";
    const WITHDRAWABLE: bool = true;

    async fn apply(
        &self,
        tx: &mut PgTransaction<'_>,
        import: Applying,
        documents: &[Document<MovementRow>],
        outcome: &mut Outcome,
    ) -> Result<(), ApiError> {
        let (accepted, replaced) = judge::judge(tx, import, documents, outcome).await?;
        write::write(tx, import, &accepted, &replaced).await?;
        for resolved in &accepted {
            outcome.apply(resolved.document);
        }
        Ok(())
    }
}

/// Import the history of stock movements.
///
/// CSV or NDJSON, one row per line of a document, in any order. Takes no stock. What is stored and equal is unchanged;
/// what differs is refused by line, field, old and new value, or corrected with `on_difference=replace`.
#[utoipa::path(post, path = "/stock-movements/import", tag = "stock movements", params(Options),
    request_body(content((String = "text/csv"), (MovementRow = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report),
        (status = 202, description = "A large file, which is being applied; `Location` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`: another import runs")))]
pub(super) async fn import_movements(
    State(app): State<App>,
    Query(options): Query<Options>,
    request: Request,
) -> Result<Response, ApiError> {
    app.imports.run(request, options, Movements).await
}
