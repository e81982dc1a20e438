//! The status machines of an order and of its payment: one legal step at a time.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use kit::error::ApiError;
use kit::extract::{Json, Path};
use kit::stock::{Outcome, Step};
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgTransaction;
use utoipa::ToSchema;

use super::document::{OrderStatus, OrderWithLines, PaymentStatus, find_with_lines};
use crate::App;
use crate::ids::{OrderId, RefundId};
use crate::metric;
use crate::refunds::paid::{PaidLine, Part, paid};
use crate::refunds::write::{Draft, insert};

/// The next status of an order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderStep {
    status: OrderStatus,
}

/// The next status of a payment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaymentStep {
    #[serde(alias = "status")]
    payment_status: PaymentStatus,
}

#[derive(Debug, Clone, Copy)]
struct Locked {
    status: OrderStatus,
    payment_status: PaymentStatus,
    imported: bool,
    occurred_at: DateTime<Utc>,
}

/// Steps that lead on from here. Only Inventory's yes confirms a live order; an imported one, which takes no
/// stock, is confirmed by hand.
fn legal_steps(order: Locked) -> &'static [OrderStatus] {
    use OrderStatus::{Cancelled, Confirmed, Delivered, Pending, Processing, Shipped};
    match order.status {
        Pending if order.imported => &[Confirmed, Cancelled],
        Pending => &[Cancelled],
        Confirmed => &[Processing, Cancelled],
        Processing => &[Shipped, Cancelled],
        Shipped => &[Delivered],
        Delivered | Cancelled => &[],
    }
}

/// Steps that lead on from here; a cancelled order is not paid any more.
fn legal_payments(order: Locked) -> &'static [PaymentStatus] {
    use PaymentStatus::{Failed, Paid, Pending, Refunded};
    match order.payment_status {
        Pending if order.status == OrderStatus::Cancelled => &[Failed],
        Pending => &[Paid, Failed],
        Paid => &[Refunded],
        Refunded | Failed => &[],
    }
}

/// Move an order on.
///
/// Asking for the status it has already changes nothing. Cancelling gives its stock back once; 202 says that
/// Inventory has not confirmed that yet: it follows by itself.
#[utoipa::path(post, path = "/orders/{id}/status", tag = "orders", params(("id" = OrderId, Path)), request_body = OrderStep,
    responses((status = 200, description = "The order", body = OrderWithLines),
        (status = 202, description = "Cancelled, stock being given back", body = OrderWithLines),
        (status = 409, description = "`illegal-step`, with the legal ones; `order-has-refunds`")))]
pub(super) async fn step_order(
    State(app): State<App>,
    Path(id): Path<OrderId>,
    Json(asked): Json<OrderStep>,
) -> Result<(StatusCode, Json<OrderWithLines>), ApiError> {
    let mut tx = kit::db::begin(&app.db).await?;
    let order = lock(&mut tx, id).await?;
    let moves = order.status != asked.status;
    if moves {
        let legal = legal_steps(order);
        if !legal.contains(&asked.status) {
            let names: Vec<&str> = legal.iter().map(|step| step.as_str()).collect();
            return Err(illegal("order", id, order.status.as_str(), asked.status.as_str(), &names));
        }
        sqlx::query!(
            "UPDATE orders SET status = $2, \
             confirmed_at = CASE WHEN $2 = 'confirmed' THEN now() ELSE confirmed_at END, \
             shipped_at = CASE WHEN $2 = 'shipped' THEN now() ELSE shipped_at END, \
             delivered_at = CASE WHEN $2 = 'delivered' THEN now() ELSE delivered_at END, \
             cancelled_at = CASE WHEN $2 = 'cancelled' THEN now() ELSE cancelled_at END WHERE id = $1",
            id.0,
            asked.status as _
        )
        .execute(&mut *tx)
        .await?;
        if asked.status == OrderStatus::Cancelled {
            refuse_returned(&mut tx, id).await?;
            if !order.imported {
                app.outbox.enqueue(&mut tx, id.into(), Step::Reverse).await?;
            }
        }
    }
    tx.commit().await?;
    if moves {
        metric::step(asked.status.as_str());
    }
    // Also for a repeat: it may be what finishes an earlier cancellation.
    let outcome =
        if asked.status == OrderStatus::Cancelled { app.outbox.deliver(id.into()).await? } else { Outcome::Delivered };
    let status = match outcome {
        Outcome::Delivered => StatusCode::OK,
        Outcome::NoAnswer => StatusCode::ACCEPTED,
    };
    Ok((status, Json(find_with_lines(&app.db, id).await?)))
}

/// Move an order's payment on.
///
/// Asking for the status it has already changes nothing. `refunded` pays back what is left of what was paid, as a refund
/// of this moment without goods: those come back with a refund of their own, or when the order is cancelled. An order that
/// an earlier version has refunded without one gets its refund when `refunded` is asked for again.
#[utoipa::path(post, path = "/orders/{id}/payment", tag = "orders", params(("id" = OrderId, Path)), request_body = PaymentStep,
    responses((status = 200, description = "The order", body = OrderWithLines), (status = 409, description = "`illegal-step`, with the legal ones; `refund-pending`")))]
pub(super) async fn step_payment(
    State(app): State<App>,
    Path(id): Path<OrderId>,
    Json(asked): Json<PaymentStep>,
) -> Result<Json<OrderWithLines>, ApiError> {
    let mut tx = kit::db::begin(&app.db).await?;
    let order = lock(&mut tx, id).await?;
    let (from, to) = (order.payment_status, asked.payment_status);
    let legal = legal_payments(order);
    if from != to && !legal.contains(&to) {
        let names: Vec<&str> = legal.iter().map(|step| step.as_str()).collect();
        return Err(illegal("payment of order", id, from.as_str(), to.as_str(), &names));
    }
    // Also for a repeat: the version before has refunded orders without a refund. Of history, no such day is known.
    if to == PaymentStatus::Refunded && !(from == to && order.imported) {
        refund_rest(&app, &mut tx, id, order.occurred_at).await?;
    }
    // The refund of all that was left has done so itself.
    sqlx::query!("UPDATE orders SET payment_status = $2 WHERE id = $1 AND payment_status <> $2", id.0, to as _)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    find_with_lines(&app.db, id).await.map(Json)
}

/// An order of which goods came back is no longer cancelled: that would give them back twice.
async fn refuse_returned(tx: &mut PgTransaction<'_>, id: OrderId) -> Result<(), ApiError> {
    let refunds: Vec<RefundId> = sqlx::query_scalar!(
        r#"SELECT r.id AS "id: RefundId" FROM refunds r WHERE r.order_id = $1 AND r.status <> 'rejected' AND NOT r.deleted
             AND EXISTS (SELECT FROM refund_lines l WHERE l.refund_id = r.id AND l.quantity < 0) ORDER BY r.id"#,
        id.0
    )
    .fetch_all(&mut **tx)
    .await?;
    if refunds.is_empty() {
        return Ok(());
    }
    let detail = format!("goods of order {id} came back already, so it can no longer be cancelled; refund the rest");
    Err(ApiError::conflict("order-has-refunds", detail)
        .with("refund_ids", refunds.into_iter().map(|id| id.0).collect::<Vec<_>>()))
}

/// Under the order's lock: pays back what is left of what was paid.
async fn refund_rest(
    app: &App,
    tx: &mut PgTransaction<'_>,
    id: OrderId,
    placed: DateTime<Utc>,
) -> Result<(), ApiError> {
    let pending: Option<RefundId> = sqlx::query_scalar!(
        r#"SELECT min(id) AS "id: RefundId" FROM refunds WHERE order_id = $1 AND status = 'pending' AND total_cents < 0
             AND NOT deleted"#,
        id.0
    )
    .fetch_one(&mut **tx)
    .await?;
    if let Some(refund_id) = pending {
        let detail = format!("refund {refund_id} waits for Inventory's answer; try again when it is settled");
        return Err(ApiError::conflict("refund-pending", detail).with("refund_id", refund_id));
    }
    let mut left = paid(tx, &[id]).await?.remove(&id).unwrap_or_default();
    let parts: Vec<Part> = left.iter_mut().filter_map(PaidLine::rest).collect();
    if parts.is_empty() {
        return Ok(());
    }
    let draft = Draft { order_id: id, occurred_at: Utc::now().max(placed), location_id: None, parts };
    insert(app, tx, &draft, None).await.map(drop)
}

async fn lock(tx: &mut PgTransaction<'_>, id: OrderId) -> Result<Locked, ApiError> {
    sqlx::query_as!(
        Locked,
        r#"SELECT status AS "status: _", payment_status AS "payment_status: _", imported, occurred_at
           FROM orders WHERE id = $1 AND NOT deleted FOR NO KEY UPDATE"#,
        id.0
    )
    .fetch_optional(&mut **tx)
    .await?
    .ok_or_else(|| ApiError::not_found(format!("order {id}")))
}

fn illegal(what: &str, id: OrderId, from: &str, to: &str, legal: &[&str]) -> ApiError {
    let ways = if legal.is_empty() {
        "it stays so".to_owned()
    } else {
        format!("from there it can become {}", legal.join(" or "))
    };
    let detail = format!("{what} {id} is {from}, so it cannot become {to}; {ways}");
    ApiError::conflict("illegal-step", detail)
        .with("from", from)
        .with("to", to)
        .with("legal", Value::from(legal.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUSES: [OrderStatus; 6] = [
        OrderStatus::Pending,
        OrderStatus::Confirmed,
        OrderStatus::Processing,
        OrderStatus::Shipped,
        OrderStatus::Delivered,
        OrderStatus::Cancelled,
    ];

    fn at(status: OrderStatus, payment_status: PaymentStatus, imported: bool) -> Locked {
        Locked { status, payment_status, imported, occurred_at: DateTime::UNIX_EPOCH }
    }

    #[test]
    fn only_inventory_confirms_a_live_order() {
        let live = at(OrderStatus::Pending, PaymentStatus::Pending, false);
        assert_eq!(legal_steps(live), [OrderStatus::Cancelled]);
        assert!(legal_steps(Locked { imported: true, ..live }).contains(&OrderStatus::Confirmed));
    }

    #[test]
    fn what_has_left_the_house_is_not_cancelled() {
        let cancellable: Vec<&str> = STATUSES
            .into_iter()
            .filter(|status| legal_steps(at(*status, PaymentStatus::Paid, false)).contains(&OrderStatus::Cancelled))
            .map(OrderStatus::as_str)
            .collect();
        assert_eq!(cancellable, ["pending", "confirmed", "processing"]);
    }

    #[test]
    fn a_cancelled_order_takes_no_money_but_gives_it_back() {
        let cancelled = |payment| at(OrderStatus::Cancelled, payment, false);
        assert_eq!(legal_payments(cancelled(PaymentStatus::Pending)), [PaymentStatus::Failed]);
        assert_eq!(legal_payments(cancelled(PaymentStatus::Paid)), [PaymentStatus::Refunded]);
    }

    #[test]
    fn an_illegal_step_names_the_legal_ones() {
        let problem = illegal("order", OrderId(7), "confirmed", "delivered", &["processing", "cancelled"]).problem();
        assert_eq!(
            problem.detail,
            "order 7 is confirmed, so it cannot become delivered; from there it can become processing or cancelled"
        );
        assert_eq!(problem.extensions["legal"], serde_json::json!(["processing", "cancelled"]));
    }
}
