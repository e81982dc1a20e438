//! `POST /imports/{id}/withdrawal`: movements of an import are taken back. They took no stock, so none is given back.

use axum::extract::State;
use axum::response::Response;
use kit::error::ApiError;
use kit::extract::Path;
use kit::import::{Report, Step, Withdrawal};
use sqlx::PgTransaction;

use crate::App;

/// Documents taken back in one transaction.
const PART: i64 = 2_000;

/// The withdrawal of movements, on which no other document depends.
struct Movements;

impl Withdrawal for Movements {
    const KINDS: &'static [&'static str] = &["stock-movements"];

    async fn step(&mut self, tx: &mut PgTransaction<'_>, import_id: i64) -> Result<Step, ApiError> {
        let corrected = forget_corrected(tx, import_id).await?;
        let taken: Vec<String> = sqlx::query_scalar!(
            "UPDATE movement_documents SET withdrawn = true WHERE reference IN (
               SELECT reference FROM movement_documents WHERE import_id = $1 AND NOT withdrawn
               ORDER BY reference LIMIT $2 FOR NO KEY UPDATE) RETURNING reference",
            import_id,
            PART
        )
        .fetch_all(&mut **tx)
        .await?;
        sqlx::query!("UPDATE stock_movements SET deleted = true WHERE reference = ANY($1) AND NOT deleted", &taken)
            .execute(&mut **tx)
            .await?;
        bring_back(tx, import_id, &taken).await?;
        Ok(Step { done: corrected + taken.len() == 0, refused: Vec::new() })
    }
}

/// Whoever corrected a document of the import corrected the one before it, or none. Answers how many there were.
async fn forget_corrected(tx: &mut PgTransaction<'_>, import_id: i64) -> Result<usize, ApiError> {
    let corrected: Vec<String> = sqlx::query_scalar!(
        "SELECT d.reference FROM movement_documents d WHERE d.reference IN (
           SELECT reference FROM movement_corrections WHERE earlier_import_id = $1 ORDER BY reference LIMIT $2)
         ORDER BY d.reference FOR NO KEY UPDATE",
        import_id,
        PART
    )
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query!(
        "DELETE FROM movement_corrections c WHERE c.reference = ANY($2) AND c.earlier_import_id = $1
           AND NOT EXISTS (SELECT FROM movement_corrections b WHERE b.reference = c.reference AND b.import_id = $1)",
        import_id,
        &corrected
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE movement_corrections c SET earlier_import_id = b.earlier_import_id, reason = b.reason,
            occurred_at = b.occurred_at, time_zone = b.time_zone, movements = b.movements
         FROM movement_corrections b WHERE c.reference = ANY($2) AND c.earlier_import_id = $1
           AND b.reference = c.reference AND b.import_id = $1",
        import_id,
        &corrected
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "DELETE FROM movement_corrections WHERE reference = ANY($2) AND import_id = $1",
        import_id,
        &corrected
    )
    .execute(&mut **tx)
    .await?;
    Ok(corrected.len())
}

/// What the import had corrected is again what it was before; of a document that was reversed since, both have gone.
async fn bring_back(tx: &mut PgTransaction<'_>, import_id: i64, taken: &[String]) -> Result<(), ApiError> {
    sqlx::query!(
        "UPDATE movement_documents d SET withdrawn = false, import_id = c.earlier_import_id, reason = c.reason,
            occurred_at = c.occurred_at, time_zone = c.time_zone
         FROM movement_corrections c WHERE d.reference = ANY($2) AND d.outcome = 'applied'
           AND c.reference = d.reference AND c.import_id = $1",
        import_id,
        taken
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE stock_movements m SET deleted = false
         FROM movement_corrections c JOIN movement_documents d ON d.reference = c.reference AND NOT d.withdrawn
         WHERE c.reference = ANY($2) AND c.import_id = $1 AND m.id = ANY (c.movements)",
        import_id,
        taken
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("DELETE FROM movement_corrections WHERE reference = ANY($2) AND import_id = $1", import_id, taken)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Withdraw an import of stock movements.
///
/// What it wrote is deleted, and what it had corrected is again what it was before, as if its file had never come. Safe to
/// repeat.
#[utoipa::path(post, path = "/imports/{id}/withdrawal", tag = "imports", params(("id" = i64, Path)),
    responses((status = 202, description = "Begun, or done before; `GET /imports/{id}` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`, `not-withdrawable`")))]
pub(super) async fn withdraw_import(State(app): State<App>, Path(id): Path<i64>) -> Result<Response, ApiError> {
    app.imports.withdraw(id, Movements).await
}
