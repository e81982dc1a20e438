//! `POST /imports/{id}/withdrawal`: orders of an import are taken back.

use axum::extract::State;
use axum::response::Response;
use kit::error::ApiError;
use kit::extract::Path;
use kit::import::{Report, Step, Withdrawal};
use sqlx::PgTransaction;

use crate::App;

/// Orders taken back in one transaction.
const PART: i64 = 2_000;

/// The withdrawal of orders, on which no other document depends.
struct Orders;

impl Withdrawal for Orders {
    const KINDS: &'static [&'static str] = &["orders"];

    async fn step(&mut self, tx: &mut PgTransaction<'_>, import_id: i64) -> Result<Step, ApiError> {
        let taken = sqlx::query!(
            "UPDATE orders SET deleted = true WHERE id IN (SELECT id FROM orders WHERE import_id = $1 AND NOT deleted \
             ORDER BY id LIMIT $2 FOR NO KEY UPDATE)",
            import_id,
            PART
        )
        .execute(&mut **tx)
        .await?;
        Ok(Step { done: taken.rows_affected() == 0, refused: Vec::new() })
    }
}

/// Withdraw an import of orders.
///
/// What it wrote is deleted, as if its file had never come. Safe to repeat.
#[utoipa::path(post, path = "/imports/{id}/withdrawal", tag = "imports", params(("id" = i64, Path)),
    responses((status = 202, description = "Begun, or done before; `GET /imports/{id}` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`, `not-withdrawable`")))]
pub(super) async fn withdraw_import(State(app): State<App>, Path(id): Path<i64>) -> Result<Response, ApiError> {
    app.imports.withdraw(id, Orders).await
}
