//! `POST /imports/{id}/withdrawal`: sales and returns of an import are taken back.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use kit::error::ApiError;
use kit::extract::Path;
use kit::import::{Report, Step, Withdrawal};
use sqlx::PgTransaction;

use super::document::Kind;
use crate::App;
use crate::ids::SaleId;

/// Documents taken back in one transaction.
const PART: i64 = 2_000;

/// Where the withdrawal stands: returns go first, so that only those of others hold a sale.
#[derive(Default)]
struct Sales {
    at_sales: bool,
    after: i64,
}

impl Withdrawal for Sales {
    const KINDS: &'static [&'static str] = &["sales"];

    async fn step(&mut self, tx: &mut PgTransaction<'_>, import_id: i64) -> Result<Step, ApiError> {
        // The lock that returns and voids take too.
        let documents: Vec<(SaleId, String)> = sqlx::query_as(
            "SELECT id, reference FROM sales WHERE import_id = $1 AND id > $2 AND kind = $3 AND NOT deleted \
             ORDER BY id LIMIT $4 FOR NO KEY UPDATE",
        )
        .bind(import_id)
        .bind(self.after)
        .bind(if self.at_sales { Kind::Sale } else { Kind::Return })
        .bind(PART)
        .fetch_all(&mut **tx)
        .await?;
        let Some((last, _)) = documents.last() else {
            let done = std::mem::replace(&mut self.at_sales, true);
            self.after = 0;
            return Ok(Step { done, refused: Vec::new() });
        };
        self.after = last.0;
        let held: Vec<(SaleId, String)> = sqlx::query_as(
            "SELECT original_sale_id, min(reference) FROM sales WHERE original_sale_id = ANY($1) AND NOT deleted \
             AND status IN ('pending', 'completed') GROUP BY original_sale_id",
        )
        .bind(documents.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await?;
        let held: HashMap<SaleId, String> = held.into_iter().collect();
        let free: Vec<SaleId> = documents.iter().map(|(id, _)| *id).filter(|id| !held.contains_key(id)).collect();
        sqlx::query!("UPDATE sales SET deleted = true WHERE id = ANY($1)", free as _).execute(&mut **tx).await?;
        let stays =
            |(id, name): &(SaleId, String)| Some(format!("{name} stays: {} returns goods of it", held.get(id)?));
        let refused = documents.iter().filter_map(stays).collect();
        Ok(Step { done: false, refused })
    }
}

/// Withdraw an import of sales.
///
/// What it wrote is deleted, as if its file had never come; a sale that a return outside of the import gives back stays,
/// and is named among the refusals. Safe to repeat.
#[utoipa::path(post, path = "/imports/{id}/withdrawal", tag = "imports", params(("id" = i64, Path)),
    responses((status = 202, description = "Begun, or done before; `GET /imports/{id}` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`, `not-withdrawable`")))]
pub(super) async fn withdraw_import(State(app): State<App>, Path(id): Path<i64>) -> Result<Response, ApiError> {
    app.imports.withdraw(id, Sales::default()).await
}
