//! What the outbox of `kit::stock` must know of orders to keep them in agreement with the stock.

use chrono::{DateTime, Utc};
use kit::id::LocationId;
use kit::stock::Documents;
use kit::stock::{Line, Movement, Reason, Refusal};
use sqlx::{PgPool, PgTransaction};

use crate::ids::OrderId;

/// Orders, as documents that take stock: accepted is `confirmed`, rejected is `cancelled` with its cart open again.
pub struct Orders;

#[derive(sqlx::FromRow)]
struct Header {
    reference: String,
    location_id: LocationId,
    occurred_at: DateTime<Utc>,
    time_zone: String,
}

impl Documents for Orders {
    type Id = OrderId;

    async fn movement(db: &PgPool, id: OrderId) -> Result<Movement, sqlx::Error> {
        let header = sqlx::query_as("SELECT reference, location_id, occurred_at, time_zone FROM orders WHERE id = $1");
        let Header { reference, location_id, occurred_at, time_zone } = header.bind(id).fetch_one(db).await?;
        let lines: Vec<Line> = sqlx::query_as(
            "SELECT product_id, (-sum(quantity))::bigint AS quantity FROM order_lines WHERE order_id = $1
             GROUP BY product_id ORDER BY product_id",
        )
        .bind(id)
        .fetch_all(db)
        .await?;
        Ok(Movement {
            reference,
            reason: Reason::Sale,
            location_id,
            occurred_at,
            time_zone,
            lines,
            allow_shortfall: false,
        })
    }

    async fn accept(tx: &mut PgTransaction<'_>, id: OrderId) -> Result<bool, sqlx::Error> {
        let accepted = sqlx::query!(
            "UPDATE orders SET status = 'confirmed', confirmed_at = now() WHERE id = $1 AND status = 'pending'",
            id.0
        );
        Ok(accepted.execute(&mut **tx).await?.rows_affected() == 1)
    }

    async fn reject(tx: &mut PgTransaction<'_>, id: OrderId, refusal: &Refusal) -> Result<bool, sqlx::Error> {
        let cancelled = sqlx::query!(
            "UPDATE orders SET status = 'cancelled', cancelled_at = now(), refusal = $2
             WHERE id = $1 AND status = 'pending'",
            id.0,
            sqlx::types::Json(refusal) as _
        )
        .execute(&mut **tx)
        .await?;
        if cancelled.rows_affected() == 0 {
            return Ok(false);
        }
        // The cart is the customer's again, to change and try once more.
        sqlx::query!("UPDATE carts SET status = 'open', order_id = NULL, updated_at = now() WHERE order_id = $1", id.0)
            .execute(&mut **tx)
            .await?;
        Ok(true)
    }
}
