//! The calls to Inventory: the caller's side of the protocol that keeps two databases in agreement.
//!
//! A movement is posted under the document's reference, which is its key: the first answer is final, and a
//! repeat gets it again. A reversal undoes a reference and closes it for ever, also one that Inventory has
//! never seen. So both may be sent again whenever no answer came: [`NoAnswer`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::amount::Price;
use crate::client::{GatewayClient, GatewayError};
use crate::error::ApiError;
use crate::id::{LocationId, ProductId, StoreId};

/// Inventory gave no usable answer: what was asked may or may not have been done; ask again.
#[derive(Debug, thiserror::Error)]
#[error("Inventory gave no usable answer")]
pub struct NoAnswer(#[source] pub GatewayError);

/// What Inventory knows of some products, at one location.
#[derive(Debug, Clone, Deserialize)]
pub struct Validated {
    /// The store's location, or the first active warehouse; absent where there is none.
    pub location_id: Option<LocationId>,
    pub items: Vec<Product>,
    /// Requested ids that no product has.
    pub unknown: Vec<ProductId>,
}

/// A product as it is now.
#[derive(Debug, Clone, Deserialize)]
pub struct Product {
    pub product_id: ProductId,
    pub sku: String,
    pub name: String,
    /// The category's name.
    pub category: String,
    pub unit_price_cents: Price,
    pub unit_cost_cents: Price,
    pub active: bool,
    /// Pieces at the location.
    pub on_hand: i64,
}

/// Why stock moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Sale,
    Return,
}

/// All lines of one document; Inventory applies all or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Movement {
    /// The document's name across services, and the key of the request.
    pub reference: String,
    pub reason: Reason,
    pub location_id: LocationId,
    pub occurred_at: DateTime<Utc>,
    /// IANA zone where it happened.
    pub time_zone: String,
    /// One line per product: Inventory counts pieces, not lines of a receipt.
    pub lines: Vec<Line>,
    /// Whether what is not there is booked as an adjustment: the goods have left already.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_shortfall: bool,
}

/// One product of a movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Line {
    pub product_id: ProductId,
    /// Signed pieces: below zero leaves the location.
    pub quantity: i64,
}

/// Inventory's word on a movement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The stock has moved, now or when it was asked before.
    Applied,
    /// It has not, and under this reference it never will.
    Refused(Refusal),
}

/// Why a document came to nothing, in the form that is stored with it and answered to its client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    pub code: RefusalCode,
    /// What a person should know, such as which product is short and how many are left.
    pub detail: String,
    /// Members of the problem, such as `short`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub extensions: Map<String, Value>,
}

/// The kinds of [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// Less is on hand than was asked for; kept by Inventory.
    InsufficientStock,
    /// The reference was reversed before; kept by Inventory.
    ReferenceClosed,
    /// Inventory finds the movement itself wrong (a product or location it does not know), and keeps nothing.
    StockRefused,
    /// No answer came in the time a document may stay pending.
    StockUnanswered,
}

impl RefusalCode {
    fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientStock => "insufficient-stock",
            Self::ReferenceClosed => "reference-closed",
            Self::StockRefused => "stock-refused",
            Self::StockUnanswered => "stock-unanswered",
        }
    }
}

impl Refusal {
    /// The refusal of a document that was given up.
    pub fn unanswered() -> Self {
        Self {
            code: RefusalCode::StockUnanswered,
            detail: "Inventory did not answer in time, so this was given up; what it may have taken is given back"
                .to_owned(),
            extensions: Map::new(),
        }
    }

    /// Whether Inventory keeps this refusal under the reference for ever. Where not, a late copy of the request
    /// could still move stock, so the reference has to be closed by a reversal.
    pub fn is_kept(&self) -> bool {
        matches!(self.code, RefusalCode::InsufficientStock | RefusalCode::ReferenceClosed)
    }

    /// The 409 that the client of the document gets, now and at every repeat.
    pub fn into_error(self) -> ApiError {
        ApiError::Conflict { code: self.code.as_str(), detail: self.detail, extensions: self.extensions }
    }

    fn from_problem(problem: &crate::problem::Problem) -> Self {
        let code = match problem.code() {
            "insufficient-stock" => RefusalCode::InsufficientStock,
            "reference-closed" => RefusalCode::ReferenceClosed,
            _ => RefusalCode::StockRefused,
        };
        let short = problem.extensions.get("short").map(|short| ("short".to_owned(), short.clone()));
        Self { code, detail: problem.detail.clone(), extensions: short.into_iter().collect() }
    }
}

/// Asks for up to 500 products in one call, at the store's location or, without a store, the warehouse's.
///
/// # Errors
/// [`NoAnswer`]; nothing was changed.
pub(super) async fn validate(
    gateway: &GatewayClient,
    product_ids: &[ProductId],
    store_id: Option<StoreId>,
) -> Result<Validated, NoAnswer> {
    let mut body = json!({"product_ids": product_ids});
    if let Some(store_id) = store_id {
        body["store_id"] = store_id.0.into();
    }
    gateway.post("/inventory/api/v1/products/validate", &body).await.map_err(NoAnswer)
}

/// Asks for up to 500 products by SKU, in one call.
///
/// # Errors
/// [`NoAnswer`]; nothing was changed.
pub(super) async fn look_up(gateway: &GatewayClient, skus: &[&str]) -> Result<Validated, NoAnswer> {
    gateway.post("/inventory/api/v1/products/validate", &json!({"skus": skus})).await.map_err(NoAnswer)
}

/// Posts a movement.
///
/// # Errors
/// [`NoAnswer`]; the stock may or may not have moved.
pub(super) async fn post(gateway: &GatewayClient, movement: &Movement) -> Result<Answer, NoAnswer> {
    match gateway.post::<_, Value>("/inventory/api/v1/stock-movements", movement).await {
        Ok(_) => Ok(Answer::Applied),
        Err(error) => match error.refusal().filter(|problem| matches!(problem.status, 409 | 422)) {
            Some(problem) => Ok(Answer::Refused(Refusal::from_problem(problem))),
            None => Err(NoAnswer(error)),
        },
    }
}

/// Undoes whatever was applied under the reference and closes it.
///
/// # Errors
/// [`NoAnswer`]; it may or may not be done.
pub(super) async fn reverse(gateway: &GatewayClient, reference: &str) -> Result<(), NoAnswer> {
    let path = format!("/inventory/api/v1/stock-movements/{reference}/reversal");
    gateway.post::<_, Value>(&path, &json!({})).await.map(drop).map_err(NoAnswer)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;
    use crate::problem::Problem;

    #[test]
    fn a_refusal_is_stored_and_answered_as_inventory_put_it() {
        let mut problem =
            Problem::new(StatusCode::CONFLICT, "insufficient-stock", "2 of TEA-1 are left, 3 were asked for");
        problem.extensions.insert("short".to_owned(), json!([{"product_id": 7, "requested": 3, "on_hand": 2}]));
        let refusal = Refusal::from_problem(&problem);
        assert!(refusal.is_kept());
        let stored: Refusal = serde_json::from_value(serde_json::to_value(&refusal).unwrap()).unwrap();
        let answered = stored.into_error().problem();
        assert_eq!(
            (answered.status, answered.code(), &answered.extensions),
            (409, "insufficient-stock", &problem.extensions)
        );
    }

    #[test]
    fn a_refusal_that_inventory_does_not_keep_needs_a_reversal() {
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-field", "no product 9");
        assert!(!Refusal::from_problem(&problem).is_kept());
        assert!(!Refusal::unanswered().is_kept());
    }
}
