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
        Ok(Step { done: taken.is_empty(), refused: Vec::new() })
    }
}

/// Withdraw an import of stock movements.
///
/// What it wrote is deleted, as if its file had never come. Safe to repeat.
#[utoipa::path(post, path = "/imports/{id}/withdrawal", tag = "imports", params(("id" = i64, Path)),
    responses((status = 202, description = "Begun, or done before; `GET /imports/{id}` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`, `not-withdrawable`")))]
pub(super) async fn withdraw_import(State(app): State<App>, Path(id): Path<i64>) -> Result<Response, ApiError> {
    app.imports.withdraw(id, Movements).await
}
