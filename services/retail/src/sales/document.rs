//! Documents of the till as they are stored and shown.

use chrono::{DateTime, NaiveDate, Utc};
use kit::error::ApiError;
use kit::id::{ProductId, StoreId};
use kit::stock::Refusal;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool};
use utoipa::ToSchema;

use crate::ids::{RegisterId, SaleId};

/// Which way goods and money go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Goods leave the store.
    Sale,
    /// Goods of an earlier sale come back: a document of its own, with negative quantities.
    Return,
}

impl Kind {
    /// The name on the wire and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Return => "return",
        }
    }
}

/// Where a document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum Status {
    /// Stored, but Inventory has not said yes or no.
    Pending,
    /// Inventory moved its stock.
    Completed,
    /// Inventory refused it, or never answered in time; its stock comes to nothing.
    Rejected,
    /// Undone at the till; its stock is given back.
    Voided,
}

/// A sale or a return, without its lines.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Sale {
    pub id: SaleId,
    /// The key of this document's movements at Inventory.
    pub reference: String,
    pub kind: Kind,
    pub status: Status,
    pub receipt_number: String,
    pub store_id: StoreId,
    pub register_id: RegisterId,
    /// On a return: the sale it gives back.
    pub original_sale_id: Option<SaleId>,
    pub occurred_at: DateTime<Utc>,
    /// The store's IANA zone when it happened.
    pub time_zone: String,
    /// Local date where it happened.
    pub business_day: NaiveDate,
    /// Minor units; negative on returns.
    pub total_cents: i64,
    /// Sent later by a till that was offline, at the prices that were charged.
    pub offline: bool,
    /// History that came through an import and moved no stock.
    pub imported: bool,
    /// Whether every message to Inventory is delivered: false while pending, and while stock of a voided or
    /// rejected document is still to be given back.
    pub stock_settled: bool,
    /// Why a rejected document was rejected.
    #[schema(value_type = Option<Refusal>)]
    pub refusal: Option<Json<Refusal>>,
    pub created_at: DateTime<Utc>,
    pub voided_at: Option<DateTime<Utc>>,
}

/// A line, frozen as it was sold.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct SaleLine {
    pub line_no: i32,
    pub product_id: ProductId,
    pub sku: String,
    pub product_name: String,
    pub category: String,
    /// Pieces; negative on returns.
    pub quantity: i64,
    pub unit_price_cents: i64,
    /// The price of the list, where another was charged.
    pub list_price_cents: Option<i64>,
    pub unit_cost_cents: i64,
    pub discount_cents: i64,
    /// `quantity * unit_price_cents - discount_cents`.
    pub net_cents: i64,
    /// On a return: the line of the original sale.
    pub original_line_no: Option<i32>,
}

/// A sale or a return with its lines.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct SaleWithLines {
    #[serde(flatten)]
    pub sale: Sale,
    pub lines: Vec<SaleLine>,
}

/// A checked query of [`Sale`]s: the rest of the statement, then its arguments.
macro_rules! query_sales {
    ($rest:literal, $($arguments:tt)*) => {
        sqlx::query_as!(
            Sale,
            r#"SELECT s.id, s.reference, s.kind AS "kind: _", s.status AS "status: _", s.receipt_number, s.store_id,
             s.register_id, s.original_sale_id AS "original_sale_id: _", s.occurred_at, s.time_zone,
             s.local_time::date AS "business_day!", s.total_cents, s.offline, s.imported,
             NOT EXISTS (SELECT FROM stock_tasks t WHERE t.document_id = s.id) AS "stock_settled!",
             s.refusal AS "refusal: _", s.created_at, s.voided_at FROM sales s "# + $rest,
            $($arguments)*
        )
    };
}
pub(crate) use query_sales;

/// The document with this id.
///
/// # Errors
/// 404 where there is none.
pub(super) async fn find(db: &PgPool, id: SaleId) -> Result<Sale, ApiError> {
    query_sales!("WHERE s.id = $1 AND NOT s.deleted", id.0)
        .fetch_optional(db)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("sale {id}")))
}

/// The document with this id and its lines.
///
/// # Errors
/// 404 where there is none.
pub(super) async fn find_with_lines(db: &PgPool, id: SaleId) -> Result<SaleWithLines, ApiError> {
    let sale = find(db, id).await?;
    let lines = lines(db, id).await?;
    Ok(SaleWithLines { sale, lines })
}

/// The lines of a document, in order.
pub(super) async fn lines(db: impl PgExecutor<'_>, sale_id: SaleId) -> Result<Vec<SaleLine>, sqlx::Error> {
    sqlx::query_as!(
        SaleLine,
        r#"SELECT line_no, product_id, sku, product_name, category, quantity, unit_price_cents, list_price_cents,
           unit_cost_cents, discount_cents, net_cents AS "net_cents!", original_line_no
           FROM sale_lines WHERE sale_id = $1 ORDER BY line_no"#,
        sale_id.0
    )
    .fetch_all(db)
    .await
}
