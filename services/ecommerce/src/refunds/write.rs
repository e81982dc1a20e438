//! Stores a new refund: header, lines, and the message to Inventory where goods come back, all or nothing.

use chrono::{DateTime, Utc};
use kit::error::ApiError;
use kit::id::LocationId;
use kit::idempotency::KeyedRequest;
use kit::stock::Step;
use sqlx::PgTransaction;
use uuid::Uuid;

use super::paid::Part;
use crate::App;
use crate::ids::{OrderId, RefundId};

/// A refund about to be stored; at least one part.
pub(crate) struct Draft {
    pub order_id: OrderId,
    pub occurred_at: DateTime<Utc>,
    /// Where goods come back to; none where none do.
    pub location_id: Option<LocationId>,
    pub parts: Vec<Part>,
}

/// Stores the refund, pending where goods come back and else completed, and answers its id; nothing where the key was taken
/// meanwhile. The caller has locked the order.
///
/// # Errors
/// The database's.
pub(crate) async fn insert(
    app: &App,
    tx: &mut PgTransaction<'_>,
    draft: &Draft,
    keyed: Option<&KeyedRequest>,
) -> Result<Option<RefundId>, ApiError> {
    fn column<T>(parts: &[Part], value: impl Fn(&Part) -> T) -> Vec<T> {
        parts.iter().map(value).collect()
    }
    let parts = &draft.parts;
    let id = sqlx::query_scalar!(
        "INSERT INTO refunds (reference, order_id, status, location_id, occurred_at, time_zone, local_time, total_cents, \
         idempotency_key, idempotency_digest, settled_at) \
         VALUES ($1, $2, CASE WHEN $3::bigint IS NULL THEN 'completed' ELSE 'pending' END, $3, $4, $5, $9, $6, $7, $8, \
         CASE WHEN $3 IS NULL THEN now() END) ON CONFLICT (idempotency_key) DO NOTHING RETURNING id",
        format!("refund-{}", Uuid::new_v4()),
        draft.order_id.0,
        draft.location_id as _,
        draft.occurred_at,
        app.time_zone.name(),
        parts.iter().map(|part| part.net_cents).sum::<i64>(),
        keyed.and_then(KeyedRequest::key),
        keyed.and_then(KeyedRequest::digest),
        app.time_zone.local(draft.occurred_at)
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(id) = id.map(RefundId) else { return Ok(None) };
    sqlx::query!(
        "INSERT INTO refund_lines (refund_id, line_no, order_line_no, quantity, discount_cents, net_cents) \
         SELECT $1, line_no::int, order_line_no, quantity, discount, net \
         FROM UNNEST($2::int[], $3::bigint[], $4::bigint[], $5::bigint[]) WITH ORDINALITY \
         AS l (order_line_no, quantity, discount, net, line_no)",
        id.0,
        &column(parts, |part| part.order_line_no),
        &column(parts, |part| part.quantity),
        &column(parts, |part| part.discount_cents),
        &column(parts, |part| part.net_cents)
    )
    .execute(&mut **tx)
    .await?;
    if draft.location_id.is_some() {
        app.outbox.enqueue(tx, id.into(), Step::Post).await?;
    } else {
        settle_payment(tx, draft.order_id).await?;
    }
    Ok(Some(id))
}

/// An order of which all that was paid is paid back is refunded.
///
/// # Errors
/// The database's.
pub(crate) async fn settle_payment(tx: &mut PgTransaction<'_>, order_id: OrderId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE orders o SET payment_status = 'refunded' WHERE o.id = $1 AND o.payment_status = 'paid' \
         AND o.total_cents + (SELECT sum(r.total_cents) FROM refunds r WHERE r.order_id = o.id \
           AND r.status = 'completed' AND NOT r.deleted) = 0",
        order_id.0
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
