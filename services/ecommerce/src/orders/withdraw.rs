//! `POST /imports/{id}/withdrawal`: orders or refunds of an import are taken back.

use std::collections::{BTreeMap, HashMap};

use axum::extract::State;
use axum::response::Response;
use kit::error::ApiError;
use kit::extract::Path;
use kit::import::{Report, Step, Withdrawal};
use sqlx::PgTransaction;

use crate::App;
use crate::ids::OrderId;
use crate::refunds::withdraw::{PART, take_back as take_back_refunds};

/// What is taken back next; an import has either refunds or orders.
#[derive(Clone, Copy)]
enum Stage {
    /// What a later import corrected: it will not come back.
    Corrected,
    Refunds,
    Orders,
}

/// Where the withdrawal stands: behind a document, of those with falling ids, as the import did it the other way round.
struct Documents {
    stage: Stage,
    before: i64,
}

/// A document that is to go.
#[derive(sqlx::FromRow)]
struct Order {
    id: OrderId,
    reference: String,
    replaces: Option<OrderId>,
}

impl Withdrawal for Documents {
    const KINDS: &'static [&'static str] = &["orders", "refunds"];

    async fn step(&mut self, tx: &mut PgTransaction<'_>, import_id: i64) -> Result<Step, ApiError> {
        let (last, refused) = match self.stage {
            Stage::Corrected => (forget_corrected(tx, import_id, self.before).await?, Vec::new()),
            Stage::Refunds => take_back_refunds(tx, import_id, self.before).await?,
            Stage::Orders => take_back(tx, import_id, self.before).await?,
        };
        if let Some(before) = last {
            self.before = before;
            return Ok(Step { done: false, refused });
        }
        let next = match self.stage {
            Stage::Corrected => Some(Stage::Refunds),
            Stage::Refunds => Some(Stage::Orders),
            Stage::Orders => None,
        };
        let done = next.is_none();
        *self = Self { stage: next.unwrap_or(Stage::Orders), before: i64::MAX };
        Ok(Step { done, refused })
    }
}

/// Whoever took the place of a document of the import took that of the one before it. Orders and refunds are numbered
/// together. Answers the last one that was looked at.
async fn forget_corrected(tx: &mut PgTransaction<'_>, import_id: i64, before: i64) -> Result<Option<i64>, ApiError> {
    let corrected: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM (SELECT id FROM orders WHERE import_id = $1 AND id < $2 AND deleted \
         UNION ALL SELECT id FROM refunds WHERE import_id = $1 AND id < $2 AND deleted) AS corrected ORDER BY id DESC LIMIT $3",
    )
    .bind(import_id)
    .bind(before)
    .bind(PART)
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE orders o SET replaces = corrected.replaces FROM orders corrected \
         WHERE corrected.id = ANY($1) AND o.replaces = corrected.id",
        &corrected
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("UPDATE orders SET replaces = NULL WHERE id = ANY($1) AND replaces IS NOT NULL", &corrected)
        .execute(&mut **tx)
        .await?;
    sqlx::query!(
        "UPDATE refunds r SET replaces = corrected.replaces FROM refunds corrected \
         WHERE corrected.id = ANY($1) AND r.replaces = corrected.id",
        &corrected
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("UPDATE refunds SET replaces = NULL WHERE id = ANY($1) AND replaces IS NOT NULL", &corrected)
        .execute(&mut **tx)
        .await?;
    Ok(corrected.last().copied())
}

/// Takes orders back. Answers the last of them, and which stay.
async fn take_back(
    tx: &mut PgTransaction<'_>,
    import_id: i64,
    before: i64,
) -> Result<(Option<i64>, Vec<String>), ApiError> {
    let mut orders: Vec<Order> = sqlx::query_as(
        "SELECT id, reference, replaces FROM orders WHERE NOT deleted AND id IN ( \
           SELECT id FROM orders WHERE import_id = $1 AND id < $2 AND NOT deleted ORDER BY id DESC LIMIT $3) \
         ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(import_id)
    .bind(before)
    .bind(PART)
    .fetch_all(&mut **tx)
    .await?;
    let last = orders.first().map(|order| order.id.0);
    let stay = refunded(tx, &orders).await?;
    orders.retain(|order| !stay.contains_key(&order.id));
    let ids: Vec<OrderId> = orders.iter().map(|order| order.id).collect();
    sqlx::query!("UPDATE orders SET deleted = true, replaces = NULL WHERE id = ANY($1)", &ids as _)
        .execute(&mut **tx)
        .await?;
    let (corrected, earlier): (Vec<OrderId>, Vec<OrderId>) =
        orders.iter().filter_map(|order| Some((order.id, order.replaces?))).unzip();
    if !earlier.is_empty() {
        sqlx::query!("UPDATE orders SET deleted = false WHERE id = ANY($1)", &earlier as _).execute(&mut **tx).await?;
        sqlx::query!(
            "UPDATE refunds SET order_id = moved.earlier FROM UNNEST($1::bigint[], $2::bigint[]) AS moved (corrected, earlier) \
             WHERE order_id = moved.corrected AND NOT deleted",
            corrected as _,
            earlier as _
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok((last, stay.into_values().collect()))
}

/// The orders that stay because of their refunds, with the reason: these pay back what was not paid before.
async fn refunded(tx: &mut PgTransaction<'_>, orders: &[Order]) -> Result<BTreeMap<OrderId, String>, ApiError> {
    let refunded: Vec<(OrderId, String, bool)> = sqlx::query_as(
        "SELECT d.id, min(r.reference), b.id IS NOT NULL FROM orders d LEFT JOIN orders b ON b.id = d.replaces \
         JOIN (SELECT r.order_id, l.order_line_no, min(r.reference) AS reference, -sum(l.quantity) AS pieces, \
                 -sum(l.net_cents) AS cents, min(r.occurred_at) AS first_at \
               FROM refunds r JOIN refund_lines l ON l.refund_id = r.id \
               WHERE r.order_id = ANY($1) AND r.status <> 'rejected' AND NOT r.deleted GROUP BY 1, 2) AS r ON r.order_id = d.id \
         LEFT JOIN order_lines p ON p.order_id = d.id AND p.line_no = r.order_line_no \
         LEFT JOIN order_lines was ON was.order_id = b.id AND was.line_no = r.order_line_no \
         WHERE d.id = ANY($1) AND (b.payment_status IS NULL OR b.payment_status NOT IN ('paid', 'refunded') \
           OR r.first_at < b.occurred_at OR was.product_id IS DISTINCT FROM p.product_id OR was.quantity < r.pieces \
           OR was.net_cents < r.cents) GROUP BY 1, 3",
    )
    .bind(orders.iter().map(|order| order.id).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    let names: HashMap<OrderId, &str> = orders.iter().map(|it| (it.id, it.reference.as_str())).collect();
    let reason = |(id, refund, corrected): (OrderId, String, bool)| {
        let why = if corrected { "would no longer fit what it was before" } else { "refunds it" };
        (id, format!("{} stays: {refund} {why}", names.get(&id).copied().unwrap_or_default()))
    };
    Ok(refunded.into_iter().map(reason).collect())
}

/// Withdraw an import of orders or of refunds.
///
/// What it wrote is deleted, and what it had corrected is again what it was before, as if its file had never come. A document
/// stays, and is named among the refusals, where others depend on what the file made of it. Safe to repeat.
#[utoipa::path(post, path = "/imports/{id}/withdrawal", tag = "imports", params(("id" = i64, Path)),
    responses((status = 202, description = "Begun, or done before; `GET /imports/{id}` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`, `not-withdrawable`")))]
pub(super) async fn withdraw_import(State(app): State<App>, Path(id): Path<i64>) -> Result<Response, ApiError> {
    app.imports.withdraw(id, Documents { stage: Stage::Corrected, before: i64::MAX }).await
}
