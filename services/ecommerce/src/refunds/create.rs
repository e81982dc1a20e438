//! `POST /orders/{id}/refunds`: money of an order goes back, with goods or without.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use kit::amount::Pieces;
use kit::error::ApiError;
use kit::extract::{Json, Path};
use kit::id::{LocationId, ProductId};
use kit::idempotency::{IdempotencyKey, KeyedRequest};
use serde::{Deserialize, Serialize};
use sqlx::PgTransaction;
use utoipa::ToSchema;

use super::answer;
use super::document::RefundWithLines;
use super::paid::{Beyond, Part, Wanted, paid};
use super::write::{Draft, insert};
use crate::App;
use crate::ids::{OrderId, RefundId};
use crate::orders::document::{OrderStatus, PaymentStatus};

/// Lines of one refund.
const MAX_LINES: usize = 500;

/// What goes back.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundRequest {
    /// When; default now. Not before the order.
    occurred_at: Option<DateTime<Utc>>,
    #[schema(min_items = 1, max_items = 500)]
    lines: Vec<RefundLineRequest>,
}

/// Pieces, money, or both, of one line of the order.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundLineRequest {
    /// The line of the order.
    line_no: i32,
    /// Pieces that come back to the warehouse; none where only money goes back.
    quantity: Option<Pieces>,
    /// Paid back, in minor units; default: what the pieces cost, as far as it was not paid back before. Needed without
    /// `quantity`.
    #[schema(minimum = 0)]
    amount_cents: Option<i64>,
}

struct Locked {
    status: OrderStatus,
    payment_status: PaymentStatus,
    occurred_at: DateTime<Utc>,
}

/// Refund an order, whole or in part.
///
/// Over all refunds no more goes back than was ordered and paid, however many are asked for at once. Goods come back to the
/// warehouse that gave them; without goods no stock moves. The refund counts on its own day, and only while its order does.
/// When all is paid back, the order's payment is `refunded`.
#[utoipa::path(post, path = "/orders/{id}/refunds", tag = "refunds",
    params(("id" = OrderId, Path), IdempotencyKey), request_body = RefundRequest,
    responses((status = 201, description = "Paid back, its goods given to Inventory", body = RefundWithLines),
        (status = 202, description = "Repeated, and still pending", body = RefundWithLines),
        (status = 409, description = "`not-paid`, `more-than-paid`, `more-than-sold`, `order-pending`, `order-cancelled`, `no-stock-location`, or Inventory's refusal")))]
pub(super) async fn create_refund(
    State(app): State<App>,
    Path(id): Path<OrderId>,
    key: Option<IdempotencyKey>,
    Json(request): Json<RefundRequest>,
) -> Result<Response, ApiError> {
    let keyed = KeyedRequest::new(key, &(id, &request));
    if let Some(refund_id) = answer::known(&app, &keyed).await? {
        return answer::present(&app, refund_id).await;
    }
    check(&request)?;
    let location_id = match request.lines.iter().any(|line| line.quantity.is_some()) {
        true => Some(location(&app, id).await?),
        false => None,
    };
    match refund(&app, id, &request, location_id, &keyed).await {
        Ok(Some(refund_id)) => answer::deliver(&app, refund_id).await,
        // A twin of this request, with the same key, may have been quicker.
        lost => match (answer::known(&app, &keyed).await?, lost) {
            (Some(refund_id), _) => answer::present(&app, refund_id).await,
            (None, Err(refused)) => Err(refused),
            (None, Ok(_)) => Err(ApiError::internal("a key was taken and then belonged to no refund")),
        },
    }
}

fn check(request: &RefundRequest) -> Result<(), ApiError> {
    if !(1..=MAX_LINES).contains(&request.lines.len()) {
        return Err(ApiError::invalid("lines", format!("give 1 to {MAX_LINES} lines")));
    }
    for (at, line) in request.lines.iter().enumerate() {
        let least = i64::from(line.quantity.is_none());
        if line.amount_cents.map_or(least > 0, |cents| cents < least) {
            let detail = format!("it is at least {least}, and needed where no quantity comes back");
            return Err(ApiError::invalid(format!("lines[{at}].amount_cents"), detail));
        }
    }
    if let Some(at) = request.occurred_at {
        kit::moment::check(at).map_err(|reason| ApiError::invalid("occurred_at", format!("it {reason}")))?;
    }
    Ok(())
}

/// Where goods come back to: the warehouse that gave them; for history, the one that online orders ship from.
async fn location(app: &App, id: OrderId) -> Result<LocationId, ApiError> {
    let (given, products): (Option<LocationId>, Vec<ProductId>) = sqlx::query_as(
        "SELECT o.location_id, ARRAY(SELECT DISTINCT l.product_id FROM order_lines l WHERE l.order_id = o.id) \
         FROM orders o WHERE o.id = $1 AND NOT o.deleted",
    )
    .bind(id)
    .fetch_optional(&app.db)
    .await?
    .ok_or_else(|| ApiError::not_found(format!("order {id}")))?;
    if let Some(location_id) = given {
        return Ok(location_id);
    }
    app.outbox.validate(&products, None).await?.location_id.ok_or_else(|| {
        ApiError::conflict("no-stock-location", "Inventory has no active warehouse that the goods could come back to")
    })
}

/// Stores the refund and answers its id; nothing where the key was taken meanwhile.
async fn refund(
    app: &App,
    id: OrderId,
    request: &RefundRequest,
    location_id: Option<LocationId>,
    keyed: &KeyedRequest,
) -> Result<Option<RefundId>, ApiError> {
    let mut tx = kit::db::begin(&app.db).await?;
    // Every refund, and every step, of this order waits here, so what is counted below stays true.
    let order: Locked = sqlx::query_as!(
        Locked,
        r#"SELECT status AS "status: _", payment_status AS "payment_status: _", occurred_at
           FROM orders WHERE id = $1 AND NOT deleted FOR NO KEY UPDATE"#,
        id.0
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or_else(|| ApiError::not_found(format!("order {id}")))?;
    refuse_unless_refundable(id, &order, location_id.is_some())?;
    let occurred_at = request.occurred_at.unwrap_or_else(|| Utc::now().max(order.occurred_at));
    if occurred_at < order.occurred_at {
        return Err(ApiError::invalid("occurred_at", format!("the order itself was at {}", order.occurred_at)));
    }
    let parts = take(&mut tx, id, &request.lines).await?;
    let refund_id = insert(app, &mut tx, &Draft { order_id: id, occurred_at, location_id, parts }, Some(keyed)).await?;
    tx.commit().await?;
    Ok(refund_id)
}

fn refuse_unless_refundable(id: OrderId, order: &Locked, goods: bool) -> Result<(), ApiError> {
    if !matches!(order.payment_status, PaymentStatus::Paid | PaymentStatus::Refunded) {
        let detail = format!("payment of order {id} is {}: nothing was paid", order.payment_status.as_str());
        return Err(ApiError::conflict("not-paid", detail));
    }
    match order.status {
        OrderStatus::Pending if goods => {
            let detail = format!("order {id} is pending: no goods have left; try again when it is settled");
            Err(ApiError::conflict("order-pending", detail))
        }
        OrderStatus::Cancelled if goods => {
            let detail = format!("order {id} is cancelled: its goods came back with that; refund the money alone");
            Err(ApiError::conflict("order-cancelled", detail))
        }
        _ => Ok(()),
    }
}

/// Under the order's lock: takes from what is left of its lines.
async fn take(tx: &mut PgTransaction<'_>, id: OrderId, lines: &[RefundLineRequest]) -> Result<Vec<Part>, ApiError> {
    let mut left = paid(tx, &[id]).await?.remove(&id).unwrap_or_default();
    let mut parts = Vec::with_capacity(lines.len());
    for (at, line) in lines.iter().enumerate() {
        let Some(paid) = left.iter_mut().find(|paid| paid.line_no == line.line_no) else {
            let detail = format!("order {id} has no line {}", line.line_no);
            return Err(ApiError::invalid(format!("lines[{at}].line_no"), detail));
        };
        let wanted = Wanted { pieces: line.quantity.map_or(0, Pieces::get), cents: line.amount_cents };
        parts.push(paid.take(wanted).map_err(|beyond| refused(id, line.line_no, beyond))?);
    }
    Ok(parts)
}

fn refused(id: OrderId, line_no: i32, beyond: Beyond) -> ApiError {
    let (code, asked, left, of) = match beyond {
        Beyond::Pieces { asked, left } => ("more-than-sold", asked, left, "pieces"),
        Beyond::Cents { asked, left } => ("more-than-paid", asked, left, "cents"),
    };
    let detail = format!("{asked} {of} of line {line_no} are to go back, but only {left} of order {id} are left");
    ApiError::conflict(code, detail).with("line_no", line_no).with("left", left)
}
