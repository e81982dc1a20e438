//! Adjustments that a movement brings with it: what a count has already, and what was taken and was not there.

use chrono::{DateTime, NaiveDateTime, Utc};
use kit::id::{LocationId, ProductId};
use kit::idempotency::Digest;
use kit::text::Reference;
use sqlx::PgConnection;

use super::apply::change;

/// The products that were counted here after `occurred_at`: what moved before is in the count already.
pub(super) async fn counted_since(
    db: &mut PgConnection,
    location: LocationId,
    ids: &[ProductId],
    occurred_at: Option<DateTime<Utc>>,
) -> Result<Vec<ProductId>, sqlx::Error> {
    let Some(at) = occurred_at else { return Ok(Vec::new()) };
    sqlx::query_scalar!(
        r#"SELECT product_id AS "id: ProductId" FROM stock WHERE location_id = $1 AND product_id = ANY($2) AND counted_at > $3"#,
        location.0,
        ids as _,
        at
    )
    .fetch_all(db)
    .await
}

/// Books as an adjustment what a sale takes and is not there: of each product, what would be `left` below zero.
pub(super) async fn book_shortfall(
    db: &mut PgConnection,
    reference: &Reference,
    location: LocationId,
    left: impl Iterator<Item = (ProductId, i64)>,
    local_time: NaiveDateTime,
) -> Result<(), sqlx::Error> {
    let (ids, short): (Vec<ProductId>, Vec<i64>) =
        left.filter(|(_, left)| *left < 0).map(|(id, left)| (id, -left)).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let digest = Digest::of(&(location, &ids, &short));
    let booked: String = sqlx::query_scalar!(
        "INSERT INTO movement_documents (reference, outcome, reason, location_id, occurred_at, time_zone, request_digest)
         SELECT left('shortfall-' || d.reference, 100), 'applied', 'adjustment', $2, d.occurred_at, d.time_zone, $3
         FROM movement_documents d WHERE d.reference = $1 RETURNING reference",
        reference.as_str(),
        location.0,
        digest.as_bytes()
    )
    .fetch_one(&mut *db)
    .await?;
    change(db, location, &ids, &short).await?;
    sqlx::query!(
        "INSERT INTO stock_movements (reference, product_id, location_id, quantity, reason, occurred_at, time_zone, local_time)
         SELECT d.reference, line.product_id, $2, line.quantity, d.reason, d.occurred_at, d.time_zone, $5
         FROM movement_documents d, unnest($3::bigint[], $4::bigint[]) AS line (product_id, quantity)
         WHERE d.reference = $1 ORDER BY line.product_id",
        booked,
        location.0,
        ids as _,
        &short,
        local_time
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes the opposite of what came late as an adjustment of the count that has it already, so that on hand stays the
/// opening plus the sum of movements.
pub(super) async fn offset(
    db: &mut PgConnection,
    location: LocationId,
    ids: &[ProductId],
    deltas: &[i64],
) -> Result<(), sqlx::Error> {
    let digest = Digest::of(&(location, ids, deltas));
    let reference: String = sqlx::query_scalar!(
        "INSERT INTO movement_documents (reference, outcome, reason, location_id, occurred_at, time_zone, request_digest)
         VALUES ('counted-' || gen_random_uuid(), 'applied', 'adjustment', $1, now(), 'UTC', $2) RETURNING reference",
        location.0,
        digest.as_bytes()
    )
    .fetch_one(&mut *db)
    .await?;
    sqlx::query!(
        "INSERT INTO stock_movements (reference, product_id, location_id, quantity, reason, occurred_at, time_zone, local_time)
         SELECT $1, s.product_id, s.location_id, line.quantity, 'adjustment', s.counted_at, 'UTC', timezone('UTC', s.counted_at)
         FROM unnest($3::bigint[], $4::bigint[]) AS line (product_id, quantity)
         JOIN stock s ON s.location_id = $2 AND s.product_id = line.product_id ORDER BY s.product_id",
        reference,
        location.0,
        ids as _,
        deltas
    )
    .execute(db)
    .await?;
    Ok(())
}
