//! How an order and its stock come to agree, though they live in two databases.
//!
//! What is owed to Inventory stands in `stock_tasks`: the row is written in the transaction that decides
//! something, and removed in the one that records Inventory's answer. A crash between the two leaves
//! the row, and recovery takes the same path again; both calls may be repeated without effect.
//!
//! | decided here | owed | Inventory's answer | then |
//! |---|---|---|---|
//! | checkout stores the order `pending` | `post` | applied | `confirmed` |
//! | | | refused, and its refusal is final | `cancelled`, its cart open again |
//! | | | refused, but not kept there | the same, and owes `reverse` |
//! | | | none | stays `pending`, recovery asks again |
//! | an order pending too long is given up: `cancelled`, its cart open again | `reverse` | reversed | owes nothing |
//! | a person cancels: `cancelled` | `reverse` | reversed | owes nothing |
//!
//! Invariants:
//! - Inventory's answer, and giving up, say `WHERE status = 'pending'`; who comes second changes nothing and
//!   reads again. So a yes that arrives after a cancellation confirms nothing, and the reversal that is owed
//!   takes that stock back.
//! - A reversal closes its reference at Inventory for ever, also one never seen there, so a `post`
//!   delayed on its way cannot take stock for a cancelled order.
//! - An order owes one thing at a time, and from `reverse` there is no way back to `post`.

use std::time::Duration;

use kit::error::ApiError;
use kit::stock::{self, Answer, Movement, Reason, Refusal};
use sqlx::PgTransaction;

use crate::App;

/// What one attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing is owed any more.
    Settled,
    /// Inventory did not answer; the debt stays for recovery.
    Silent,
}

#[derive(sqlx::FromRow)]
struct Debt {
    step: String,
    reference: String,
    location_id: Option<i64>,
    occurred_at: chrono::DateTime<chrono::Utc>,
    time_zone: String,
}

/// Pays what the order owes to Inventory, if anything.
///
/// # Errors
/// The database's only; Inventory's silence is an [`Outcome`].
pub(crate) async fn settle(app: &App, order_id: i64) -> Result<Outcome, ApiError> {
    let debt: Option<Debt> = sqlx::query_as(
        "SELECT t.step, o.reference, o.location_id, o.occurred_at, o.time_zone \
         FROM stock_tasks t JOIN orders o ON o.id = t.order_id WHERE t.order_id = $1",
    )
    .bind(order_id)
    .fetch_optional(&app.db)
    .await?;
    let Some(debt) = debt else { return Ok(Outcome::Settled) };
    if debt.step == "post" {
        match post(app, order_id, &debt).await? {
            Ok(Answer::Applied) => confirm(app, order_id).await?,
            Ok(Answer::Refused(refusal)) => refuse(app, order_id, &refusal).await?,
            Err(silence) => return note_silence(app, order_id, &silence).await,
        }
        // A refusal that Inventory does not keep, or an order cancelled meanwhile, leaves a reversal owed.
        return if owes_reversal(app, order_id).await? {
            reverse(app, order_id, &debt.reference).await
        } else {
            Ok(Outcome::Settled)
        };
    }
    reverse(app, order_id, &debt.reference).await
}

/// Writes down that the order's stock is to be given back, in the transaction that cancels it. A `post` that is
/// still owed becomes the reversal.
pub(super) async fn owe_reversal(
    tx: &mut PgTransaction<'_>,
    order_id: i64,
    grace: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO stock_tasks (order_id, step, due_at) VALUES ($1, 'reverse', now() + make_interval(secs => $2)) \
         ON CONFLICT (order_id) DO UPDATE SET step = 'reverse'",
    )
    .bind(order_id)
    .bind(grace.as_secs_f64())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Gives up an order that Inventory has left without an answer: cancelled here and now, its reversal owed.
/// Answers false where there was nothing to give up: it was settled or cancelled meanwhile.
///
/// # Errors
/// The database's.
pub(super) async fn give_up(app: &App, order_id: i64) -> Result<bool, ApiError> {
    cancel_unless_decided(app, order_id, &Refusal::unanswered()).await
}

async fn post(app: &App, order_id: i64, debt: &Debt) -> Result<Result<Answer, stock::Silence>, ApiError> {
    let lines: Vec<stock::Line> = sqlx::query_as::<_, (i64, i64)>(
        "SELECT product_id, (-sum(quantity))::bigint FROM order_lines WHERE order_id = $1 GROUP BY product_id ORDER BY product_id",
    )
    .bind(order_id)
    .fetch_all(&app.db)
    .await?
    .into_iter()
    .map(|(product_id, quantity)| stock::Line { product_id, quantity })
    .collect();
    let location_id = debt.location_id.ok_or_else(|| ApiError::internal("an order that owes stock has no location"))?;
    let movement = Movement {
        reference: &debt.reference,
        reason: Reason::Sale,
        location_id,
        occurred_at: debt.occurred_at,
        time_zone: &debt.time_zone,
        lines: &lines,
    };
    Ok(stock::post(&app.gateway, &movement).await)
}

async fn confirm(app: &App, order_id: i64) -> Result<(), ApiError> {
    sqlx::query(
        "WITH done AS (UPDATE orders SET status = 'confirmed', confirmed_at = now() \
           WHERE id = $1 AND status = 'pending' RETURNING id) \
         DELETE FROM stock_tasks USING done WHERE order_id = done.id",
    )
    .bind(order_id)
    .execute(&app.db)
    .await?;
    Ok(())
}

async fn refuse(app: &App, order_id: i64, refusal: &Refusal) -> Result<(), ApiError> {
    cancel_unless_decided(app, order_id, refusal).await.map(drop)
}

/// `pending` → `cancelled` with its reason; the cart is the customer's again, to change and try once more.
async fn cancel_unless_decided(app: &App, order_id: i64, refusal: &Refusal) -> Result<bool, ApiError> {
    let mut tx = app.db.begin().await?;
    let cancelled = sqlx::query(
        "UPDATE orders SET status = 'cancelled', cancelled_at = now(), refusal = $2 WHERE id = $1 AND status = 'pending'",
    )
    .bind(order_id)
    .bind(sqlx::types::Json(refusal))
    .execute(&mut *tx)
    .await?;
    if cancelled.rows_affected() == 0 {
        return Ok(false);
    }
    let owed = if refusal.is_kept() {
        "DELETE FROM stock_tasks WHERE order_id = $1"
    } else {
        "UPDATE stock_tasks SET step = 'reverse' WHERE order_id = $1"
    };
    sqlx::query(owed).bind(order_id).execute(&mut *tx).await?;
    sqlx::query("UPDATE carts SET status = 'open', order_id = NULL, updated_at = now() WHERE order_id = $1")
        .bind(order_id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}

async fn owes_reversal(app: &App, order_id: i64) -> Result<bool, ApiError> {
    let owes = sqlx::query_scalar("SELECT EXISTS (SELECT FROM stock_tasks WHERE order_id = $1 AND step = 'reverse')")
        .bind(order_id)
        .fetch_one(&app.db)
        .await?;
    Ok(owes)
}

async fn reverse(app: &App, order_id: i64, reference: &str) -> Result<Outcome, ApiError> {
    match stock::reverse(&app.gateway, reference).await {
        Ok(()) => {
            sqlx::query("DELETE FROM stock_tasks WHERE order_id = $1 AND step = 'reverse'")
                .bind(order_id)
                .execute(&app.db)
                .await?;
            Ok(Outcome::Settled)
        }
        Err(silence) => note_silence(app, order_id, &silence).await,
    }
}

/// Keeps the reason where `GET /orders/stuck` shows it, and lets recovery try soon.
async fn note_silence(app: &App, order_id: i64, silence: &stock::Silence) -> Result<Outcome, ApiError> {
    tracing::warn!(order_id, error = kit::telemetry::chain(silence), "inventory did not answer; recovery goes on");
    sqlx::query(
        "UPDATE stock_tasks SET last_error = $2, \
         due_at = CASE WHEN attempts = 0 THEN least(due_at, now() + interval '1 second') ELSE due_at END \
         WHERE order_id = $1",
    )
    .bind(order_id)
    .bind(silence.to_string())
    .execute(&app.db)
    .await?;
    Ok(Outcome::Silent)
}
