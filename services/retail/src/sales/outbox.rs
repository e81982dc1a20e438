//! What the outbox of `kit::stock` must know of sales and returns to keep them in agreement with the stock.
//!
//! Beside the invariants there: a void cannot be refused by Inventory, so it is decided here at once and the
//! stock follows; a return is never given up, because the goods are back in the store and only Inventory's answer is
//! missing; nor is the sale of a till that was offline, because its goods have left the store.

use chrono::{DateTime, Utc};
use kit::id::LocationId;
use kit::stock::Documents;
use kit::stock::{Line, Movement, Reason, Refusal};
use sqlx::{PgPool, PgTransaction};

use super::document::Kind;
use crate::ids::SaleId;

/// Sales and returns, as documents that take and give stock.
pub struct Sales;

struct Header {
    reference: String,
    kind: Kind,
    location_id: LocationId,
    occurred_at: DateTime<Utc>,
    time_zone: String,
    offline: bool,
}

impl Documents for Sales {
    type Id = SaleId;

    async fn movement(db: &PgPool, id: SaleId) -> Result<Movement, sqlx::Error> {
        let header: Header = sqlx::query_as!(
            Header,
            r#"SELECT reference, kind AS "kind: _", location_id AS "location_id!", occurred_at,
           time_zone, offline FROM sales WHERE id = $1"#,
            id.0
        )
        .fetch_one(db)
        .await?;
        // Stock moves against the sale.
        let lines: Vec<Line> = sqlx::query_as!(
            Line,
            r#"SELECT product_id, (-sum(quantity))::bigint AS "quantity!" FROM sale_lines WHERE sale_id = $1
             GROUP BY product_id ORDER BY product_id"#,
            id.0
        )
        .fetch_all(db)
        .await?;
        let reason = match header.kind {
            Kind::Sale => Reason::Sale,
            Kind::Return => Reason::Return,
        };
        let Header { reference, location_id, occurred_at, time_zone, offline, .. } = header;
        Ok(Movement { reference, reason, location_id, occurred_at, time_zone, lines, allow_shortfall: offline })
    }

    async fn accept(tx: &mut PgTransaction<'_>, id: SaleId) -> Result<bool, sqlx::Error> {
        let settled = sqlx::query!(
            "UPDATE sales SET status = 'completed', settled_at = now() WHERE id = $1 AND status = 'pending'",
            id.0
        );
        Ok(settled.execute(&mut **tx).await?.rows_affected() == 1)
    }

    async fn reject(tx: &mut PgTransaction<'_>, id: SaleId, refusal: &Refusal) -> Result<bool, sqlx::Error> {
        let settled = sqlx::query!(
            "UPDATE sales SET status = 'rejected', refusal = $2, settled_at = now() WHERE id = $1 AND status = 'pending'",
            id.0,
            sqlx::types::Json(refusal) as _
        );
        Ok(settled.execute(&mut **tx).await?.rows_affected() == 1)
    }

    async fn give_up(tx: &mut PgTransaction<'_>, id: SaleId) -> Result<bool, sqlx::Error> {
        let (kind, offline): (Kind, bool) =
            sqlx::query_as("SELECT kind, offline FROM sales WHERE id = $1").bind(id).fetch_one(&mut **tx).await?;
        Ok(kind == Kind::Sale && !offline && Self::reject(tx, id, &Refusal::unanswered()).await?)
    }
}
