//! `POST /imports/{id}/withdrawal`: orders or refunds of an import are taken back.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use kit::error::ApiError;
use kit::extract::Path;
use kit::import::{Report, Step, Withdrawal};
use sqlx::PgTransaction;

use crate::App;
use crate::ids::{OrderId, RefundId};

/// Documents taken back in one transaction.
const PART: i64 = 2_000;

/// Where the withdrawal stands: an import has either refunds or orders.
#[derive(Default)]
struct Documents {
    after: i64,
}

impl Withdrawal for Documents {
    const KINDS: &'static [&'static str] = &["orders", "refunds"];

    async fn step(&mut self, tx: &mut PgTransaction<'_>, import_id: i64) -> Result<Step, ApiError> {
        // Under the locks of their orders, as everything that refunds.
        let refunds: Vec<RefundId> = sqlx::query_scalar(
            "SELECT r.id FROM refunds r JOIN orders o ON o.id = r.order_id WHERE r.import_id = $1 AND NOT r.deleted \
             ORDER BY o.id, r.id LIMIT $2 FOR NO KEY UPDATE OF o",
        )
        .bind(import_id)
        .bind(PART)
        .fetch_all(&mut **tx)
        .await?;
        if !refunds.is_empty() {
            sqlx::query!("UPDATE refunds SET deleted = true WHERE id = ANY($1)", refunds as _)
                .execute(&mut **tx)
                .await?;
            return Ok(Step::default());
        }
        let orders: Vec<(OrderId, String)> = sqlx::query_as(
            "SELECT id, reference FROM orders WHERE import_id = $1 AND id > $2 AND NOT deleted \
             ORDER BY id LIMIT $3 FOR NO KEY UPDATE",
        )
        .bind(import_id)
        .bind(self.after)
        .bind(PART)
        .fetch_all(&mut **tx)
        .await?;
        let Some((last, _)) = orders.last() else { return Ok(Step { done: true, refused: Vec::new() }) };
        self.after = last.0;
        let held: Vec<(OrderId, String)> = sqlx::query_as(
            "SELECT order_id, min(reference) FROM refunds WHERE order_id = ANY($1) AND NOT deleted \
             AND status <> 'rejected' GROUP BY order_id",
        )
        .bind(orders.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await?;
        let held: HashMap<OrderId, String> = held.into_iter().collect();
        let free: Vec<OrderId> = orders.iter().map(|(id, _)| *id).filter(|id| !held.contains_key(id)).collect();
        sqlx::query!("UPDATE orders SET deleted = true WHERE id = ANY($1)", free as _).execute(&mut **tx).await?;
        let stays = |(id, name): &(OrderId, String)| Some(format!("{name} stays: {} refunds it", held.get(id)?));
        let refused = orders.iter().filter_map(stays).collect();
        Ok(Step { done: false, refused })
    }
}

/// Withdraw an import of orders or of refunds.
///
/// What it wrote is deleted, as if its file had never come; an order that a refund pays back stays, and is named among the
/// refusals. Safe to repeat.
#[utoipa::path(post, path = "/imports/{id}/withdrawal", tag = "imports", params(("id" = i64, Path)),
    responses((status = 202, description = "Begun, or done before; `GET /imports/{id}` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`, `not-withdrawable`")))]
pub(super) async fn withdraw_import(State(app): State<App>, Path(id): Path<i64>) -> Result<Response, ApiError> {
    app.imports.withdraw(id, Documents::default()).await
}
