//! Orders as they are stored and shown.

use chrono::{DateTime, NaiveDate, Utc};
use kit::error::ApiError;
use kit::id::ProductId;
use kit::stock::Refusal;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool};
use utoipa::ToSchema;

use crate::ids::{CustomerId, OrderId};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum OrderStatus {
    /// Placed, but Inventory has not given the stock yet.
    Pending,
    /// Its stock is taken.
    Confirmed,
    /// Being picked and packed.
    Processing,
    /// On its way.
    Shipped,
    /// Arrived.
    Delivered,
    /// Refused by Inventory, given up, or called off; its stock comes to nothing.
    Cancelled,
}

/// Where its payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum PaymentStatus {
    Pending,
    Paid,
    Refunded,
    Failed,
}

impl OrderStatus {
    /// The name on the wire and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Processing => "processing",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }
}

impl PaymentStatus {
    /// The name on the wire and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Refunded => "refunded",
            Self::Failed => "failed",
        }
    }
}

/// An order, without its lines.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Order {
    pub id: OrderId,
    /// The key of this order's movements at Inventory.
    pub reference: String,
    pub customer_id: CustomerId,
    pub status: OrderStatus,
    pub payment_status: PaymentStatus,
    pub occurred_at: DateTime<Utc>,
    /// The company's IANA zone when it was placed.
    pub time_zone: String,
    /// Local date in that zone.
    pub business_day: NaiveDate,
    pub confirmed_at: Option<DateTime<Utc>>,
    pub shipped_at: Option<DateTime<Utc>>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub cancelled_at: Option<DateTime<Utc>>,
    /// Minor units.
    pub total_cents: i64,
    /// Paid back so far, in minor units.
    pub refunded_cents: i64,
    /// History that came through an import and took no stock.
    pub imported: bool,
    /// Whether every message to Inventory is delivered: false while pending, and while stock of a cancelled order is
    /// still to be given back.
    pub stock_settled: bool,
    /// Why Inventory's answer, or a missing answer, cancelled the order.
    #[schema(value_type = Option<Refusal>)]
    pub refusal: Option<Json<Refusal>>,
    pub created_at: DateTime<Utc>,
}

/// A line, frozen as it was ordered.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct OrderLine {
    pub line_no: i32,
    pub product_id: ProductId,
    pub sku: String,
    pub product_name: String,
    pub category: String,
    pub quantity: i64,
    pub unit_price_cents: i64,
    pub unit_cost_cents: i64,
    pub discount_cents: i64,
    /// `quantity * unit_price_cents - discount_cents`.
    pub net_cents: i64,
}

/// An order with its lines.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct OrderWithLines {
    #[serde(flatten)]
    pub order: Order,
    pub lines: Vec<OrderLine>,
}

/// A checked query of [`Order`]s: the rest of the statement, then its arguments.
macro_rules! query_orders {
    ($rest:literal, $($arguments:tt)*) => {
        sqlx::query_as!(
            Order,
            r#"SELECT o.id, o.reference, o.customer_id, o.status AS "status: _", o.payment_status AS "payment_status: _",
             o.occurred_at, o.time_zone, o.local_time::date AS "business_day!", o.confirmed_at, o.shipped_at, o.delivered_at,
             o.cancelled_at, o.total_cents, o.imported,
             (SELECT coalesce(-sum(r.total_cents), 0)::bigint FROM refunds r WHERE r.order_id = o.id
               AND r.status = 'completed' AND NOT r.deleted) AS "refunded_cents!",
             NOT EXISTS (SELECT FROM stock_tasks t WHERE t.document_id = o.id) AS "stock_settled!",
             o.refusal AS "refusal: _", o.created_at FROM orders o "# + $rest,
            $($arguments)*
        )
    };
}
pub(crate) use query_orders;

/// The order with this id and its lines.
///
/// # Errors
/// 404 where there is none.
pub(crate) async fn find_with_lines(db: &PgPool, id: OrderId) -> Result<OrderWithLines, ApiError> {
    let order = query_orders!("WHERE o.id = $1 AND NOT o.deleted", id.0)
        .fetch_optional(db)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("order {id}")))?;
    Ok(OrderWithLines { order, lines: lines(db, id).await? })
}

async fn lines(db: impl PgExecutor<'_>, order_id: OrderId) -> Result<Vec<OrderLine>, sqlx::Error> {
    sqlx::query_as!(
        OrderLine,
        r#"SELECT line_no, product_id, sku, product_name, category, quantity, unit_price_cents, unit_cost_cents,
           discount_cents, net_cents AS "net_cents!" FROM order_lines WHERE order_id = $1 ORDER BY line_no"#,
        order_id.0
    )
    .fetch_all(db)
    .await
}
