//! Refunds as they are stored and shown.

use chrono::{DateTime, NaiveDate, Utc};
use kit::error::ApiError;
use kit::id::ProductId;
use kit::stock::Refusal;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::types::Json;
use utoipa::ToSchema;

use crate::ids::{OrderId, RefundId};

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum RefundStatus {
    /// Its goods come back, and Inventory has not answered yet.
    Pending,
    /// Paid back.
    Completed,
    /// Inventory refused the goods; nothing is paid back.
    Rejected,
}

/// A refund, without its lines.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Refund {
    pub id: RefundId,
    /// The key of this refund's movements at Inventory.
    pub reference: String,
    pub order_id: OrderId,
    pub status: RefundStatus,
    pub occurred_at: DateTime<Utc>,
    /// IANA zone that decides its business day.
    pub time_zone: String,
    /// Local date in that zone.
    pub business_day: NaiveDate,
    /// Minor units, negative.
    pub total_cents: i64,
    /// History that came through an import and moved no stock.
    pub imported: bool,
    /// Whether every message to Inventory is delivered.
    pub stock_settled: bool,
    /// Why Inventory's answer, or a missing answer, rejected it.
    #[schema(value_type = Option<Refusal>)]
    pub refusal: Option<Json<Refusal>>,
    pub created_at: DateTime<Utc>,
}

/// What goes back for a line of the order.
#[derive(Debug, Clone, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct RefundLine {
    pub line_no: i32,
    pub order_line_no: i32,
    pub product_id: ProductId,
    pub sku: String,
    pub product_name: String,
    pub category: String,
    /// Pieces that come back, negative; zero where only money goes back.
    pub quantity: i64,
    pub unit_price_cents: i64,
    pub unit_cost_cents: i64,
    /// What these pieces carried of the order line's discount, negative.
    pub discount_cents: i64,
    /// What is paid back, negative.
    pub net_cents: i64,
}

/// A refund with its lines.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct RefundWithLines {
    #[serde(flatten)]
    pub refund: Refund,
    pub lines: Vec<RefundLine>,
}

/// A checked query of [`Refund`]s: the rest of the statement, then its arguments.
macro_rules! query_refunds {
    ($rest:literal, $($arguments:tt)*) => {
        sqlx::query_as!(
            Refund,
            r#"SELECT r.id, r.reference, r.order_id, r.status AS "status: _", r.occurred_at, r.time_zone,
             r.local_time::date AS "business_day!", r.total_cents, r.imported,
             NOT EXISTS (SELECT FROM stock_tasks t WHERE t.document_id = r.id) AS "stock_settled!",
             r.refusal AS "refusal: _", r.created_at FROM refunds r "# + $rest,
            $($arguments)*
        )
    };
}
pub(crate) use query_refunds;

/// The refund with this id and its lines.
///
/// # Errors
/// 404 where there is none.
pub(crate) async fn find_with_lines(db: &PgPool, id: RefundId) -> Result<RefundWithLines, ApiError> {
    let refund = query_refunds!("WHERE r.id = $1 AND NOT r.deleted", id.0)
        .fetch_optional(db)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("refund {id}")))?;
    let lines = sqlx::query_as(
        "SELECT line_no, order_line_no, product_id, sku, product_name, category, quantity, unit_price_cents, \
         unit_cost_cents, discount_cents, net_cents FROM refunded_lines WHERE refund_id = $1 ORDER BY line_no",
    );
    Ok(RefundWithLines { refund, lines: lines.bind(id).fetch_all(db).await? })
}
