//! What the outbox of `kit::stock` must know of orders and refunds to keep them in agreement with the stock.

use chrono::{DateTime, Utc};
use kit::id::LocationId;
use kit::stock::Documents;
use kit::stock::{Line, Movement, Reason, Refusal};
use sqlx::{PgPool, PgTransaction};

use crate::ids::{DocumentId, OrderId};
use crate::refunds::write::settle_payment;

/// Orders and refunds, as documents that move stock. Accepted is `confirmed`, rejected is `cancelled` with its cart open
/// again; of a refund, `completed` and `rejected`.
pub struct Orders;

#[derive(sqlx::FromRow)]
struct Header {
    reference: String,
    is_refund: bool,
    location_id: LocationId,
    occurred_at: DateTime<Utc>,
    time_zone: String,
}

impl Documents for Orders {
    type Id = DocumentId;

    async fn movement(db: &PgPool, id: DocumentId) -> Result<Movement, sqlx::Error> {
        let header = sqlx::query_as(
            "SELECT reference, false AS is_refund, location_id, occurred_at, time_zone FROM orders WHERE id = $1 \
             UNION ALL SELECT reference, true, location_id, occurred_at, time_zone FROM refunds WHERE id = $1",
        );
        let Header { reference, is_refund, location_id, occurred_at, time_zone } =
            header.bind(id).fetch_one(db).await?;
        let lines: Vec<Line> = sqlx::query_as(
            "SELECT product_id, (-sum(quantity))::bigint AS quantity FROM ( \
               SELECT product_id, quantity FROM order_lines WHERE order_id = $1 \
               UNION ALL SELECT product_id, quantity FROM refunded_lines WHERE refund_id = $1 AND quantity < 0) AS moved \
             GROUP BY product_id ORDER BY product_id",
        )
        .bind(id)
        .fetch_all(db)
        .await?;
        Ok(Movement {
            reference,
            reason: if is_refund { Reason::Return } else { Reason::Sale },
            location_id,
            occurred_at,
            time_zone,
            lines,
            allow_shortfall: false,
        })
    }

    async fn accept(tx: &mut PgTransaction<'_>, id: DocumentId) -> Result<bool, sqlx::Error> {
        let confirmed = sqlx::query!(
            "UPDATE orders SET status = 'confirmed', confirmed_at = now() WHERE id = $1 AND status = 'pending'",
            id.0
        );
        if confirmed.execute(&mut **tx).await?.rows_affected() == 1 {
            return Ok(true);
        }
        // The order before the refund, as everything that refunds locks them.
        sqlx::query!(
            "SELECT FROM orders WHERE id = (SELECT r.order_id FROM refunds r WHERE r.id = $1) FOR NO KEY UPDATE",
            id.0
        )
        .execute(&mut **tx)
        .await?;
        let completed = sqlx::query_scalar!(
            "UPDATE refunds SET status = 'completed', settled_at = now() WHERE id = $1 AND status = 'pending' \
             RETURNING order_id",
            id.0
        );
        // The order that it is of now: a correction may have taken the place of the other meanwhile.
        let Some(order_id) = completed.fetch_optional(&mut **tx).await? else { return Ok(false) };
        settle_payment(tx, OrderId(order_id)).await?;
        Ok(true)
    }

    async fn reject(tx: &mut PgTransaction<'_>, id: DocumentId, refusal: &Refusal) -> Result<bool, sqlx::Error> {
        let cancelled = sqlx::query!(
            "UPDATE orders SET status = 'cancelled', cancelled_at = now(), refusal = $2
             WHERE id = $1 AND status = 'pending'",
            id.0,
            sqlx::types::Json(refusal) as _
        );
        if cancelled.execute(&mut **tx).await?.rows_affected() == 0 {
            let rejected = sqlx::query!(
                "UPDATE refunds SET status = 'rejected', settled_at = now(), refusal = $2 \
                 WHERE id = $1 AND status = 'pending'",
                id.0,
                sqlx::types::Json(refusal) as _
            );
            return Ok(rejected.execute(&mut **tx).await?.rows_affected() == 1);
        }
        // The cart is the customer's again, to change and try once more.
        sqlx::query!("UPDATE carts SET status = 'open', order_id = NULL, updated_at = now() WHERE order_id = $1", id.0)
            .execute(&mut **tx)
            .await?;
        Ok(true)
    }
}
