//! `POST /sales`: validates at Inventory, freezes what was sold, stores it as pending, takes the stock.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use kit::error::ApiError;
use kit::extract::Json;
use kit::idempotency::{Digest, IdempotencyKey};
use kit::stock::{self, Product, Validated};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{self, Bound};
use super::document::{Kind, SaleWithLines};
use super::write::{Draft, DraftLine, insert_pending};
use crate::App;

/// Inventory validates this many products in one call.
pub(super) const MAX_LINES: usize = 500;
/// Pieces on one line.
const MAX_QUANTITY: i64 = 1_000_000;
/// How far a till's clock may run ahead of ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// Goods that leave a store.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaleRequest {
    pub store_id: i64,
    /// A register of that store.
    pub register_id: i64,
    /// When it happened; default now, at most 5 minutes ahead of it.
    pub occurred_at: Option<DateTime<Utc>>,
    /// 1 to 500 lines.
    pub lines: Vec<SaleLineRequest>,
}

/// Some pieces of one product; its price and cost are Inventory's.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaleLineRequest {
    pub product_id: i64,
    /// Pieces, 1 to 1,000,000.
    pub quantity: i64,
    /// Minor units taken off the whole line, from 0 to its price.
    #[serde(default)]
    pub discount_cents: i64,
}

/// Sell goods at a register.
///
/// The sale is stored before Inventory is asked, so a silence (503) leaves it pending: it is settled as
/// soon as Inventory answers, and a repeat with the same `Idempotency-Key` tells what became of it.
#[utoipa::path(post, path = "/sales", tag = "sales",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body = SaleRequest,
    responses(
        (status = 201, body = SaleWithLines, description = "Sold, stock taken"),
        (status = 202, body = SaleWithLines, description = "Repeated, and still pending"),
        (status = 409, body = kit::problem::Problem, description = "Refused: too little stock, or an inactive product, store or register")))]
pub(super) async fn create_sale(
    State(app): State<App>,
    key: Option<IdempotencyKey>,
    Json(request): Json<SaleRequest>,
) -> Result<Response, ApiError> {
    let bound = key.map(|key| Bound { key, digest: Digest::of(&request) });
    if let Some(id) = answer::known(&app, bound.as_ref()).await? {
        return answer::present(&app, id).await;
    }
    check_lines(&request.lines)?;
    let occurred_at = check_moment(request.occurred_at)?;
    let place = place(&app, request.register_id).await?;
    if place.store_id != request.store_id {
        let detail = format!("register {} stands in store {}", request.register_id, place.store_id);
        return Err(ApiError::invalid("register_id", detail));
    }
    let product_ids: Vec<i64> = request.lines.iter().map(|line| line.product_id).collect();
    let validated = ask(&app, &place, &product_ids).await?;
    let location_id = location_of(&place, &validated)?;
    let draft = Draft {
        kind: Kind::Sale,
        reference: format!("sale-{}", Uuid::new_v4()),
        location_id,
        original_sale_id: None,
        occurred_at,
        lines: freeze(&request.lines, validated)?,
        place,
    };
    let mut tx = app.db.begin().await?;
    match insert_pending(&mut tx, &draft, bound.as_ref(), app.limits.grace).await? {
        Some(id) => {
            tx.commit().await?;
            answer::settled(&app, id).await
        }
        None => {
            tx.rollback().await?;
            answer::winner(&app, bound.as_ref()).await
        }
    }
}

/// A register that may take documents, and the store around it.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Place {
    pub store_id: i64,
    pub store_code: String,
    pub time_zone: String,
    pub register_id: i64,
    pub register_number: i32,
    store_active: bool,
    register_active: bool,
}

/// The register with its store.
///
/// # Errors
/// 422 for no such register, 409 for an inactive one.
pub(super) async fn place(app: &App, register_id: i64) -> Result<Place, ApiError> {
    let place: Place = sqlx::query_as(
        "SELECT s.id AS store_id, s.code AS store_code, s.time_zone, r.id AS register_id, r.number AS register_number, \
         s.active AS store_active, r.active AS register_active \
         FROM registers r JOIN stores s ON s.id = r.store_id WHERE r.id = $1 AND NOT r.deleted",
    )
    .bind(register_id)
    .fetch_optional(&app.db)
    .await?
    .ok_or_else(|| ApiError::invalid("register_id", format!("there is no register {register_id}")))?;
    if !place.store_active {
        return Err(ApiError::conflict("store-inactive", format!("store {} is closed", place.store_code)));
    }
    if !place.register_active {
        return Err(ApiError::conflict("register-inactive", format!("register {register_id} is out of use")));
    }
    Ok(place)
}

/// Asks Inventory about products at a store; nothing is stored yet, so silence is a plain 503.
pub(super) async fn ask(app: &App, place: &Place, product_ids: &[i64]) -> Result<Validated, ApiError> {
    let mut distinct = product_ids.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    stock::validate(&app.gateway, &distinct, Some(place.store_id)).await.map_err(|silence| ApiError::Unavailable {
        detail: "Inventory does not answer, so nothing was stored; try again with the same Idempotency-Key".to_owned(),
        retry_after: kit::error::RETRY_AFTER,
        extensions: serde_json::Map::new(),
        source: Some(Box::new(silence)),
    })
}

/// Where the store's stock lies.
pub(super) fn location_of(place: &Place, validated: &Validated) -> Result<i64, ApiError> {
    validated.location_id.ok_or_else(|| {
        let detail =
            format!("Inventory has no stock location for store {}; create one with its store_id", place.store_code);
        ApiError::conflict("no-stock-location", detail)
    })
}

/// The moment of a document, default now.
pub(super) fn check_moment(occurred_at: Option<DateTime<Utc>>) -> Result<DateTime<Utc>, ApiError> {
    let now = Utc::now();
    match occurred_at {
        None => Ok(now),
        Some(at) if at > now + CLOCK_SKEW => {
            Err(ApiError::invalid("occurred_at", "it is in the future; is the till's clock right?"))
        }
        Some(at) if at < DateTime::UNIX_EPOCH => Err(ApiError::invalid("occurred_at", "it is before 1970")),
        Some(at) => Ok(at),
    }
}

/// Bounds the number of lines.
pub(super) fn check_count(lines: usize) -> Result<(), ApiError> {
    if (1..=MAX_LINES).contains(&lines) {
        Ok(())
    } else {
        Err(ApiError::invalid("lines", format!("give 1 to {MAX_LINES} lines")))
    }
}

/// Bounds the pieces of a line.
pub(super) fn check_quantity(index: usize, quantity: i64) -> Result<(), ApiError> {
    if (1..=MAX_QUANTITY).contains(&quantity) {
        return Ok(());
    }
    Err(ApiError::invalid(format!("lines[{index}].quantity"), format!("quantity must be from 1 to {MAX_QUANTITY}")))
}

fn check_lines(lines: &[SaleLineRequest]) -> Result<(), ApiError> {
    check_count(lines.len())?;
    for (index, line) in lines.iter().enumerate() {
        check_quantity(index, line.quantity)?;
        if line.discount_cents < 0 {
            return Err(ApiError::invalid(format!("lines[{index}].discount_cents"), "a discount is not negative"));
        }
    }
    Ok(())
}

/// Copies what Inventory says now onto the lines, where it stays.
fn freeze(lines: &[SaleLineRequest], validated: Validated) -> Result<Vec<DraftLine>, ApiError> {
    let products: HashMap<i64, Product> = validated.items.into_iter().map(|it| (it.product_id, it)).collect();
    lines.iter().enumerate().map(|(index, line)| freeze_line(index, line, products.get(&line.product_id))).collect()
}

fn freeze_line(index: usize, line: &SaleLineRequest, product: Option<&Product>) -> Result<DraftLine, ApiError> {
    let Some(product) = product else {
        let detail = format!("Inventory knows no product {}", line.product_id);
        return Err(ApiError::invalid(format!("lines[{index}].product_id"), detail));
    };
    if !product.active {
        let detail = format!("{} ({}) is no longer sold", product.name, product.sku);
        return Err(ApiError::conflict("product-inactive", detail).with("product_id", product.product_id));
    }
    let Some(price) = product.unit_price_cents.checked_mul(line.quantity) else {
        return Err(ApiError::invalid(format!("lines[{index}].quantity"), "the line's price is beyond 64 bits"));
    };
    if line.discount_cents > price {
        let detail = format!("the discount is above the line's price of {price} cents");
        return Err(ApiError::invalid(format!("lines[{index}].discount_cents"), detail));
    }
    Ok(DraftLine {
        product_id: product.product_id,
        sku: product.sku.clone(),
        product_name: product.name.clone(),
        category: product.category.clone(),
        quantity: line.quantity,
        unit_price_cents: product.unit_price_cents,
        unit_cost_cents: product.unit_cost_cents,
        discount_cents: line.discount_cents,
        original_line_no: None,
    })
}
