//! `POST /sales`: validates at Inventory, freezes what was sold, stores it as pending, takes the stock.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use kit::amount::{Discount, Pieces, Price};
use kit::error::ApiError;
use kit::extract::Json;
use kit::id::{ProductId, StoreId};
use kit::idempotency::{IdempotencyKey, KeyedRequest};
use kit::stock::{Product, Validated};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer;
use super::document::{Kind, SaleWithLines};
use super::place::{ask, location_of, place};
use super::write::{Draft, DraftLine, insert_pending};
use crate::App;
use crate::ids::RegisterId;
use crate::metric;

/// Inventory validates this many products in one call.
const MAX_LINES: usize = 500;
/// How far a till's clock may run ahead of ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);
/// What is sent within this time happens now: the till asks before the goods leave.
const JUST_NOW: TimeDelta = TimeDelta::minutes(1);

/// Goods that leave a store.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaleRequest {
    pub store_id: StoreId,
    /// A register of that store.
    pub register_id: RegisterId,
    /// When it happened; default now, at most 5 minutes ahead of it. A till that was offline tells the moment, more than a
    /// minute and not more than 30 days back (a setting), and on every line the price that was charged: then neither a product discontinued since
    /// nor stock is a reason to refuse, and what was not there is booked at Inventory as an adjustment.
    pub occurred_at: Option<DateTime<Utc>>,
    #[schema(min_items = 1, max_items = 500)]
    pub lines: Vec<SaleLineRequest>,
}

/// Some pieces of one product; its cost is Inventory's, and so is its price unless the till charged another.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaleLineRequest {
    pub product_id: ProductId,
    pub quantity: Pieces,
    /// Minor units that were charged for one piece; the list price is stored beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price_cents: Option<Price>,
    /// Minor units taken off the whole line, up to its price.
    #[serde(default)]
    pub discount_cents: Discount,
}

/// Sell goods at a register.
///
/// The sale is stored before Inventory is asked, so a missing answer (503) leaves it pending: it is settled as
/// soon as Inventory answers, and a repeat with the same `Idempotency-Key` tells what became of it.
#[utoipa::path(post, path = "/sales", tag = "sales",
    params(IdempotencyKey), request_body = SaleRequest,
    responses((status = 201, description = "Sold, stock taken", body = SaleWithLines),
        (status = 202, description = "Repeated, and still pending", body = SaleWithLines),
        (status = 409, description = "`insufficient-stock` with `short`, `product-inactive`, `store-inactive`, `register-inactive`, `no-stock-location`, `stock-unanswered`")))]
pub(super) async fn create_sale(
    State(app): State<App>,
    key: Option<IdempotencyKey>,
    Json(request): Json<SaleRequest>,
) -> Result<Response, ApiError> {
    let keyed = KeyedRequest::new(key, &request);
    if let Some(id) = answer::known(&app, &keyed).await? {
        return answer::present(&app, id).await;
    }
    check_count(request.lines.len())?;
    let occurred_at = check_moment(request.occurred_at)?;
    let offline = was_offline(&request.lines, Utc::now() - occurred_at, app.offline)?;
    let place = place(&app, request.register_id).await?;
    if place.store_id != request.store_id {
        let detail = format!("register {} stands in store {}", request.register_id, place.store_id);
        return Err(ApiError::invalid("register_id", detail));
    }
    let product_ids: Vec<ProductId> = request.lines.iter().map(|line| line.product_id).collect();
    let validated = ask(&app, &place, &product_ids).await?;
    let location_id = location_of(&place, &validated)?;
    let draft = Draft {
        kind: Kind::Sale,
        reference: format!("sale-{}", Uuid::new_v4()),
        location_id,
        original_sale_id: None,
        occurred_at,
        offline,
        lines: freeze(&request.lines, validated, offline)?,
        place,
    };
    let mut tx = kit::db::begin(&app.db).await?;
    match insert_pending(&app, &mut tx, &draft, &keyed).await? {
        Some(id) => {
            tx.commit().await?;
            metric::document(Kind::Sale);
            answer::deliver(&app, id).await
        }
        None => {
            tx.rollback().await?;
            answer::winner(&app, &keyed).await
        }
    }
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

/// Whether a till sends later what it sold: at its own prices, and at a moment that has passed, of `age`.
fn was_offline(lines: &[SaleLineRequest], age: TimeDelta, reach: TimeDelta) -> Result<bool, ApiError> {
    if age <= JUST_NOW || lines.iter().all(|line| line.unit_price_cents.is_none()) {
        return Ok(false);
    }
    if age > reach {
        let days = reach.num_days();
        let detail = format!("it is more than {days} days back; what is older comes by an import");
        return Err(ApiError::invalid("occurred_at", detail));
    }
    match lines.iter().position(|line| line.unit_price_cents.is_none()) {
        None => Ok(true),
        Some(at) => {
            let detail =
                "other lines say what was charged; today's price may be another, so each line of a past sale says it";
            Err(ApiError::invalid(format!("lines[{at}].unit_price_cents"), detail))
        }
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

/// Copies what Inventory says now onto the lines, where it stays.
fn freeze(lines: &[SaleLineRequest], validated: Validated, offline: bool) -> Result<Vec<DraftLine>, ApiError> {
    let products: HashMap<ProductId, Product> = validated.items.into_iter().map(|it| (it.product_id, it)).collect();
    lines
        .iter()
        .enumerate()
        .map(|(index, line)| freeze_line(index, line, products.get(&line.product_id), offline))
        .collect()
}

fn freeze_line(
    index: usize,
    line: &SaleLineRequest,
    product: Option<&Product>,
    offline: bool,
) -> Result<DraftLine, ApiError> {
    let Some(product) = product else {
        let detail = format!("Inventory knows no product {}", line.product_id);
        return Err(ApiError::invalid(format!("lines[{index}].product_id"), detail));
    };
    if !product.active && !offline {
        let detail = format!("{} ({}) is no longer sold", product.name, product.sku);
        return Err(ApiError::conflict("product-inactive", detail).with("product_id", product.product_id));
    }
    let (quantity, discount) = (line.quantity.get(), line.discount_cents.get());
    let charged = line.unit_price_cents.unwrap_or(product.unit_price_cents);
    let price = line.quantity.times(charged);
    if discount > price {
        let detail = format!("the discount is above the line's price of {price} cents");
        return Err(ApiError::invalid(format!("lines[{index}].discount_cents"), detail));
    }
    Ok(DraftLine {
        product_id: product.product_id,
        sku: product.sku.clone(),
        product_name: product.name.clone(),
        category: product.category.clone(),
        quantity,
        unit_price_cents: charged.get(),
        list_price_cents: Some(product.unit_price_cents.get()).filter(|list| *list != charged.get()),
        unit_cost_cents: product.unit_cost_cents.get(),
        discount_cents: discount,
        original_line_no: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_till_was_offline_where_it_says_what_it_charged_a_minute_ago_or_earlier() {
        let offline_at = |prices: &[Option<i64>], age| {
            let lines = prices
                .iter()
                .map(|price| serde_json::json!({"product_id": 1, "quantity": 1, "unit_price_cents": price}));
            let lines: Vec<SaleLineRequest> = lines.map(|line| serde_json::from_value(line).unwrap()).collect();
            was_offline(&lines, age, TimeDelta::days(30)).map_err(|error| error.problem().field.unwrap_or_default())
        };
        for (age, offline) in
            [(TimeDelta::seconds(59), false), (TimeDelta::minutes(4), true), (TimeDelta::days(30), true)]
        {
            assert_eq!(offline_at(&[Some(900), Some(1)], age), Ok(offline), "{age}");
            assert_eq!(offline_at(&[None, None], age), Ok(false), "{age}");
        }
        let old = TimeDelta::days(31);
        assert_eq!(offline_at(&[Some(900), Some(1)], old), Err("occurred_at".to_owned()));
        assert_eq!(offline_at(&[Some(900), None], old), Err("occurred_at".to_owned()));
        assert_eq!(offline_at(&[Some(900), None], TimeDelta::hours(1)), Err("lines[1].unit_price_cents".to_owned()));
        assert_eq!(offline_at(&[Some(900), None], TimeDelta::zero()), Ok(false));
        assert_eq!(offline_at(&[None], old), Ok(false), "without prices there is nothing that was charged");
    }
}
