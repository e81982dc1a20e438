//! How a document and its stock come to agree, though they live in two databases.
//!
//! What is owed to Inventory stands in `stock_tasks`: the row is written in the transaction that decides
//! something, and removed in the one that records Inventory's answer. A crash between the two leaves
//! the row, and recovery takes the same path again; both calls may be repeated without effect.
//!
//! | decided here | owed | Inventory's answer | then |
//! |---|---|---|---|
//! | sale or return stored `pending` | `post` | applied | `completed` |
//! | | | refused, and its refusal is final | `rejected` |
//! | | | refused, but not kept there | `rejected`, owes `reverse` |
//! | | | none | stays `pending`, recovery asks again |
//! | a sale pending too long is given up: `rejected` | `reverse` | reversed | owes nothing |
//! | a completed sale is voided: `voided` | `reverse` | reversed | owes nothing |
//!
//! Invariants:
//! - A document leaves `pending` once: every change says `WHERE status = 'pending'`, and who comes
//!   second changes nothing and reads again. So a yes that arrives after a sale was given up completes
//!   nothing, and the reversal that is owed takes that stock back.
//! - A reversal closes its reference at Inventory for ever, also one never seen there, so a `post`
//!   delayed on its way cannot take stock for a rejected sale.
//! - A void cannot be refused by Inventory, so it is decided here at once; the stock follows.
//! - A return is never given up: the goods are back in the store, and only Inventory's word is missing.

use kit::error::ApiError;
use kit::stock::{self, Answer, Movement, Reason, Refusal};

use super::document::{Kind, Status};
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
    kind: Kind,
    location_id: Option<i64>,
    occurred_at: chrono::DateTime<chrono::Utc>,
    time_zone: String,
}

/// Pays what the document owes to Inventory, if anything.
///
/// # Errors
/// The database's only; Inventory's silence is an [`Outcome`].
pub(crate) async fn settle(app: &App, sale_id: i64) -> Result<Outcome, ApiError> {
    let debt: Option<Debt> = sqlx::query_as(
        "SELECT t.step, s.reference, s.kind, s.location_id, s.occurred_at, s.time_zone \
         FROM stock_tasks t JOIN sales s ON s.id = t.sale_id WHERE t.sale_id = $1",
    )
    .bind(sale_id)
    .fetch_optional(&app.db)
    .await?;
    let Some(debt) = debt else { return Ok(Outcome::Settled) };
    if debt.step == "post" {
        match post(app, sale_id, &debt).await? {
            Ok(Answer::Applied) => complete(app, sale_id).await?,
            Ok(Answer::Refused(refusal)) => reject(app, sale_id, &refusal).await?,
            Err(silence) => return note_silence(app, sale_id, &silence).await,
        }
        // A refusal that Inventory does not keep, or a sale given up meanwhile, leaves a reversal owed.
        return if owes_reversal(app, sale_id).await? {
            reverse(app, sale_id, &debt.reference).await
        } else {
            Ok(Outcome::Settled)
        };
    }
    reverse(app, sale_id, &debt.reference).await
}

/// Gives up a sale that Inventory has left without an answer: rejected here and now, its reversal owed.
/// Answers false where there was nothing to give up: it was settled meanwhile, or is a return.
///
/// # Errors
/// The database's.
pub(super) async fn give_up(app: &App, sale_id: i64) -> Result<bool, ApiError> {
    let refusal = Refusal::unanswered();
    let changed = sqlx::query(
        "WITH given_up AS (UPDATE sales SET status = 'rejected', refusal = $2, settled_at = now() \
           WHERE id = $1 AND status = 'pending' AND kind = 'sale' RETURNING id) \
         UPDATE stock_tasks SET step = 'reverse' FROM given_up WHERE sale_id = given_up.id",
    )
    .bind(sale_id)
    .bind(sqlx::types::Json(&refusal))
    .execute(&app.db)
    .await?;
    Ok(changed.rows_affected() == 1)
}

async fn post(app: &App, sale_id: i64, debt: &Debt) -> Result<Result<Answer, stock::Silence>, ApiError> {
    // One line per product: Inventory counts pieces, not lines of a receipt. Stock moves against the sale.
    let lines: Vec<stock::Line> = sqlx::query_as::<_, (i64, i64)>(
        "SELECT product_id, (-sum(quantity))::bigint FROM sale_lines WHERE sale_id = $1 GROUP BY product_id ORDER BY product_id",
    )
    .bind(sale_id)
    .fetch_all(&app.db)
    .await?
    .into_iter()
    .map(|(product_id, quantity)| stock::Line { product_id, quantity })
    .collect();
    let location_id =
        debt.location_id.ok_or_else(|| ApiError::internal("a document that owes stock has no location"))?;
    let reason = match debt.kind {
        Kind::Sale => Reason::Sale,
        Kind::Return => Reason::Return,
    };
    let movement = Movement {
        reference: &debt.reference,
        reason,
        location_id,
        occurred_at: debt.occurred_at,
        time_zone: &debt.time_zone,
        lines: &lines,
    };
    Ok(stock::post(&app.gateway, &movement).await)
}

async fn complete(app: &App, sale_id: i64) -> Result<(), ApiError> {
    sqlx::query(
        "WITH done AS (UPDATE sales SET status = 'completed', settled_at = now() \
           WHERE id = $1 AND status = 'pending' RETURNING id) \
         DELETE FROM stock_tasks USING done WHERE sale_id = done.id",
    )
    .bind(sale_id)
    .execute(&app.db)
    .await?;
    Ok(())
}

async fn reject(app: &App, sale_id: i64, refusal: &Refusal) -> Result<(), ApiError> {
    let mut tx = app.db.begin().await?;
    let rejected = sqlx::query(
        "UPDATE sales SET status = $2, refusal = $3, settled_at = now() WHERE id = $1 AND status = 'pending'",
    )
    .bind(sale_id)
    .bind(Status::Rejected)
    .bind(sqlx::types::Json(refusal))
    .execute(&mut *tx)
    .await?;
    if rejected.rows_affected() == 1 {
        let owed = if refusal.is_kept() {
            "DELETE FROM stock_tasks WHERE sale_id = $1"
        } else {
            "UPDATE stock_tasks SET step = 'reverse' WHERE sale_id = $1"
        };
        sqlx::query(owed).bind(sale_id).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn owes_reversal(app: &App, sale_id: i64) -> Result<bool, ApiError> {
    let owes = sqlx::query_scalar("SELECT EXISTS (SELECT FROM stock_tasks WHERE sale_id = $1 AND step = 'reverse')")
        .bind(sale_id)
        .fetch_one(&app.db)
        .await?;
    Ok(owes)
}

async fn reverse(app: &App, sale_id: i64, reference: &str) -> Result<Outcome, ApiError> {
    match stock::reverse(&app.gateway, reference).await {
        Ok(()) => {
            sqlx::query("DELETE FROM stock_tasks WHERE sale_id = $1 AND step = 'reverse'")
                .bind(sale_id)
                .execute(&app.db)
                .await?;
            Ok(Outcome::Settled)
        }
        Err(silence) => note_silence(app, sale_id, &silence).await,
    }
}

/// Keeps the reason where `GET /sales/stuck` shows it, and lets recovery try soon.
async fn note_silence(app: &App, sale_id: i64, silence: &stock::Silence) -> Result<Outcome, ApiError> {
    tracing::warn!(sale_id, error = kit::telemetry::chain(silence), "inventory did not answer; recovery goes on");
    sqlx::query(
        "UPDATE stock_tasks SET last_error = $2, \
         due_at = CASE WHEN attempts = 0 THEN least(due_at, now() + interval '1 second') ELSE due_at END \
         WHERE sale_id = $1",
    )
    .bind(sale_id)
    .bind(silence.to_string())
    .execute(&app.db)
    .await?;
    Ok(Outcome::Silent)
}
