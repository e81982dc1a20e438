//! Writes judged documents: movements by a COPY, whatever their number.

use kit::copy::{Field, Tuples};
use kit::error::ApiError;
use kit::import::Applying;
use sqlx::PgTransaction;

use super::Movement;
use super::judge::Resolved;

/// Writes the documents; the movements of those that they take the place of are marked deleted.
pub(super) async fn write(
    tx: &mut PgTransaction<'_>,
    import: Applying,
    resolved: &[Resolved<'_>],
    replaced: &[&str],
) -> Result<(), ApiError> {
    if resolved.is_empty() {
        return Ok(());
    }
    if !replaced.is_empty() {
        set_aside(tx, import, replaced).await?;
    }
    let firsts: Vec<(&str, &Movement)> = resolved
        .iter()
        .filter_map(|it| Some((it.document.head().reference.as_str(), &it.movements.values().next()?.1)))
        .collect();
    let written = sqlx::query!(
        "INSERT INTO movement_documents AS d (reference, outcome, reason, occurred_at, time_zone, imported, import_id)
         SELECT reference, 'applied', reason, occurred_at, time_zone, true, $5
         FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) AS row (reference, reason, occurred_at, time_zone)
         ORDER BY reference
         ON CONFLICT (reference) DO UPDATE SET outcome = 'applied', reason = excluded.reason, imported = true,
            occurred_at = excluded.occurred_at, time_zone = excluded.time_zone, import_id = excluded.import_id,
            location_id = NULL, to_location_id = NULL, request_digest = NULL, refusal = NULL, withdrawn = false
         WHERE d.withdrawn OR d.reference = ANY($6)",
        firsts.iter().map(|(reference, _)| *reference).collect::<Vec<_>>() as _,
        firsts.iter().map(|(_, movement)| movement.reason.as_str()).collect::<Vec<_>>() as _,
        firsts.iter().map(|(_, movement)| movement.at).collect::<Vec<_>>() as _,
        firsts.iter().map(|(_, movement)| movement.zone.as_str()).collect::<Vec<_>>() as _,
        import.id,
        replaced as _
    )
    .execute(&mut **tx)
    .await?;
    if written.rows_affected() != firsts.len() as u64 {
        return Err(ApiError::unavailable("a reference of this file was taken just now; send the file again"));
    }
    copy(tx, resolved).await
}

/// Marks the movements of corrected documents as deleted, and keeps what they were for a withdrawal.
async fn set_aside(tx: &mut PgTransaction<'_>, import: Applying, replaced: &[&str]) -> Result<(), ApiError> {
    sqlx::query!(
        "INSERT INTO movement_corrections (reference, import_id, earlier_import_id, reason, occurred_at, time_zone, movements)
             SELECT d.reference, $2, d.import_id, d.reason, d.occurred_at, d.time_zone,
                    ARRAY(SELECT m.id FROM stock_movements m WHERE m.reference = d.reference AND NOT m.deleted)
             FROM movement_documents d WHERE d.reference = ANY($1) ORDER BY d.reference",
        replaced as _,
        import.id
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("UPDATE stock_movements SET deleted = true WHERE reference = ANY($1) AND NOT deleted", replaced as _)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn copy(tx: &mut PgTransaction<'_>, resolved: &[Resolved<'_>]) -> Result<(), ApiError> {
    let mut rows = Tuples::default();
    for it in resolved {
        for ((location, product), (_, movement)) in &it.movements {
            rows.push(&[
                Field::Text(it.document.head().reference.as_str()),
                Field::Int8(product.0),
                Field::Int8(location.0),
                Field::Int8(movement.quantity),
                Field::Text(movement.reason.as_str()),
                Field::Moment(movement.at),
                Field::Text(&movement.zone),
                Field::Local(movement.local),
                Field::Bool(true),
            ]);
        }
    }
    let copy = "COPY stock_movements (reference, product_id, location_id, quantity, reason, occurred_at, time_zone, local_time, imported) \
                FROM STDIN WITH (FORMAT binary)";
    rows.copy(tx, copy).await?;
    Ok(())
}
