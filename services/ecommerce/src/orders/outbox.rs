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
        if let Some(order_id) = order_of_refund(tx, id).await? {
            let completed = sqlx::query!(
                "UPDATE refunds SET status = 'completed', settled_at = now() WHERE id = $1 AND status = 'pending'",
                id.0
            );
            let completed = completed.execute(&mut **tx).await?.rows_affected() == 1;
            settle_payment(tx, order_id).await?;
            return Ok(completed);
        }
        let accepted = sqlx::query!(
            "UPDATE orders SET status = 'confirmed', confirmed_at = now() WHERE id = $1 AND status = 'pending'",
            id.0
        );
        Ok(accepted.execute(&mut **tx).await?.rows_affected() == 1)
    }

    async fn reject(tx: &mut PgTransaction<'_>, id: DocumentId, refusal: &Refusal) -> Result<bool, sqlx::Error> {
        if order_of_refund(tx, id).await?.is_some() {
            let rejected = sqlx::query!(
                "UPDATE refunds SET status = 'rejected', settled_at = now(), refusal = $2 \
                 WHERE id = $1 AND status = 'pending'",
                id.0,
                sqlx::types::Json(refusal) as _
            );
            let rejected = rejected.execute(&mut **tx).await?;
            return Ok(rejected.rows_affected() == 1);
        }
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

/// The order of a refund, locked as every refund of it does first; none where the document is an order itself.
async fn order_of_refund(tx: &mut PgTransaction<'_>, id: DocumentId) -> Result<Option<OrderId>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT o.id FROM refunds r JOIN orders o ON o.id = r.order_id WHERE r.id = $1 FOR NO KEY UPDATE OF o",
    )
    .bind(id)
    .fetch_optional(&mut **tx)
    .await
}
