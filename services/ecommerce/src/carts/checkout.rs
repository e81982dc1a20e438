//! `POST /carts/{id}/checkout`: validates at Inventory, freezes what is ordered, stores it as pending, takes the stock.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use kit::amount::{Pieces, Price};
use kit::error::ApiError;
use kit::extract::{Json, Path};
use kit::id::{LocationId, ProductId};
use kit::idempotency::{IdempotencyKey, KeyedRequest};
use kit::stock::Product;
use kit::stock::Step;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgTransaction;
use utoipa::ToSchema;
use uuid::Uuid;

use super::items::lock_open;
use super::{CartItem, CartWithItems, find, refuse_unless_customer};
use crate::App;
use crate::ids::{CartId, CustomerId, OrderId};
use crate::metric;
use crate::orders::answer;
use crate::orders::document::OrderWithLines;

/// How a cart is to become an order; may be left out.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkout {
    /// Who buys; default: the cart's customer.
    customer_id: Option<CustomerId>,
    /// Accepts the prices that the cart shows as current. Should they have changed yet again, it is refused again.
    #[serde(default)]
    accept_price_changes: bool,
}

/// What is ordered, frozen.
struct Line<'a> {
    item: &'a CartItem,
    product: &'a Product,
}

/// Check a cart out.
///
/// The order is stored before Inventory is asked for the stock, so a missing answer (503) leaves it pending: it is settled as
/// soon as Inventory answers, and a repeat with the same `Idempotency-Key` tells what became of it. A refusal opens
/// the cart again.
#[utoipa::path(post, path = "/carts/{id}/checkout", tag = "carts", params(("id" = CartId, Path), IdempotencyKey),
    request_body(content = Option<Checkout>),
    responses((status = 201, description = "Ordered, stock taken", body = OrderWithLines),
        (status = 202, description = "Repeated, and still pending", body = OrderWithLines),
        (status = 409, description = "`insufficient-stock`, `price-changed`, `product-inactive`, `cart-empty`, `cart-checked-out`, `cart-changed`")))]
pub(super) async fn checkout_cart(
    State(app): State<App>,
    Path(id): Path<CartId>,
    key: Option<IdempotencyKey>,
    request: Option<Json<Checkout>>,
) -> Result<Response, ApiError> {
    let request = request.map(|Json(request)| request).unwrap_or_default();
    let keyed = KeyedRequest::new(key, &(id, &request));
    if let Some(order_id) = answer::known(&app, &keyed).await? {
        return answer::present(&app, order_id).await;
    }
    match place(&app, id, &request, &keyed).await {
        Ok(Some(order_id)) => answer::deliver(&app, order_id).await,
        // A twin of this request, with the same key, may have been quicker at any point.
        lost => match (answer::known(&app, &keyed).await?, lost) {
            (Some(order_id), _) => answer::present(&app, order_id).await,
            (None, Err(refused)) => Err(refused),
            (None, Ok(_)) => Err(ApiError::internal("a key was taken and then belonged to no order")),
        },
    }
}

/// Stores the order as pending and answers its id; nothing where the key was taken meanwhile.
async fn place(app: &App, id: CartId, request: &Checkout, keyed: &KeyedRequest) -> Result<Option<OrderId>, ApiError> {
    let cart = find(&app.db, id).await?;
    if let Some(order_id) = cart.cart.order_id {
        let detail = format!("cart {id} became order {order_id} already");
        return Err(ApiError::conflict("cart-checked-out", detail).with("order_id", order_id));
    }
    if cart.items.is_empty() {
        return Err(ApiError::conflict("cart-empty", format!("there is nothing in cart {id}")));
    }
    let Some(customer_id) = request.customer_id.or(cart.cart.customer_id) else {
        return Err(ApiError::invalid("customer_id", "the cart is nobody's yet; say who buys"));
    };
    refuse_unless_customer(&app.db, customer_id).await?;
    let product_ids: Vec<ProductId> = cart.items.iter().map(|item| item.product_id).collect();
    let validated = app.outbox.validate(&product_ids, None).await?;
    let Some(location_id) = validated.location_id else {
        return Err(ApiError::conflict(
            "no-stock-location",
            "Inventory has no active warehouse that online orders ship from",
        ));
    };
    let products: HashMap<ProductId, Product> = validated.items.into_iter().map(|it| (it.product_id, it)).collect();
    let lines = cart.items.iter().map(|item| line(item, &products)).collect::<Result<Vec<_>, _>>()?;
    refuse_changed_prices(app, id, &lines, request.accept_price_changes).await?;

    let mut tx = kit::db::begin(&app.db).await?;
    lock_open(&mut tx, id).await?;
    refuse_if_touched(&mut tx, &cart).await?;
    let Some(order_id) = insert_pending(&mut tx, app, customer_id, location_id, &lines, keyed).await? else {
        return Ok(None);
    };
    sqlx::query!(
        "UPDATE carts SET status = 'checked_out', order_id = $2, customer_id = $3, updated_at = now() WHERE id = $1",
        id.0,
        order_id.0,
        customer_id.0
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    metric::order();
    Ok(Some(order_id))
}

fn line<'a>(item: &'a CartItem, products: &'a HashMap<ProductId, Product>) -> Result<Line<'a>, ApiError> {
    match products.get(&item.product_id) {
        Some(product) if product.active => Ok(Line { item, product }),
        _ => {
            let detail = format!("{} ({}) is no longer sold; take it out of the cart", item.product_name, item.sku);
            Err(ApiError::conflict("product-inactive", detail).with("product_id", item.product_id))
        }
    }
}

/// Shows changed prices in the cart and in the refusal. Accepting them means those that the cart showed, so a price
/// that moved once more is refused once more.
async fn refuse_changed_prices(app: &App, id: CartId, lines: &[Line<'_>], accepted: bool) -> Result<(), ApiError> {
    let agreed =
        |line: &Line<'_>| if accepted { line.item.current_unit_price_cents } else { line.item.unit_price_cents };
    let changed: Vec<&Line<'_>> =
        lines.iter().filter(|line| line.product.unit_price_cents.get() != agreed(line)).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let (products, prices): (Vec<ProductId>, Vec<Price>) =
        changed.iter().map(|line| (line.product.product_id, line.product.unit_price_cents)).unzip();
    sqlx::query!(
        "UPDATE cart_items i SET current_unit_price_cents = n.price
         FROM UNNEST($2::bigint[], $3::bigint[]) AS n (product_id, price) WHERE i.cart_id = $1 AND i.product_id = n.product_id",
        id.0,
        products as _,
        prices as _
    )
    .execute(&app.db)
    .await?;
    let list: Vec<serde_json::Value> = changed
        .iter()
        .map(|line| {
            json!({"product_id": line.product.product_id, "sku": line.product.sku,
                "seen_cents": agreed(line), "current_cents": line.product.unit_price_cents})
        })
        .collect();
    let detail = "prices have changed since the cart was filled; show them and check out with accept_price_changes";
    Err(ApiError::conflict("price-changed", detail).with("changed", list))
}

/// The order must be what was validated: between reading the cart and locking it somebody may have filled it further.
async fn refuse_if_touched(tx: &mut PgTransaction<'_>, cart: &CartWithItems) -> Result<(), ApiError> {
    let now: Vec<(ProductId, Pieces, i64)> =
        sqlx::query_as("SELECT product_id, quantity, unit_price_cents FROM cart_items WHERE cart_id = $1 ORDER BY added_at, product_id")
            .bind(cart.cart.id)
            .fetch_all(&mut **tx)
            .await?;
    let seen = cart.items.iter().map(|item| (item.product_id, item.quantity, item.unit_price_cents));
    if now.into_iter().eq(seen) {
        return Ok(());
    }
    Err(ApiError::conflict("cart-changed", "the cart was changed during the checkout; look at it and try again"))
}

async fn insert_pending(
    tx: &mut PgTransaction<'_>,
    app: &App,
    customer_id: CustomerId,
    location_id: LocationId,
    lines: &[Line<'_>],
    keyed: &KeyedRequest,
) -> Result<Option<OrderId>, ApiError> {
    let total: i128 = lines.iter().map(|it| i128::from(it.item.quantity.times(it.product.unit_price_cents))).sum();
    let total =
        i64::try_from(total).map_err(|_| ApiError::conflict("total-too-large", "the total is beyond 64 bits"))?;
    let now = Utc::now();
    let id: Option<OrderId> = sqlx::query_scalar!(
        r#"INSERT INTO orders (reference, customer_id, status, payment_status, location_id, occurred_at, time_zone, local_time,
           total_cents, idempotency_key, idempotency_digest) VALUES ($1, $2, 'pending', 'pending', $3, $4, $5, $9, $6, $7, $8)
           ON CONFLICT (idempotency_key) DO NOTHING RETURNING id AS "id: OrderId""#,
        format!("order-{}", Uuid::new_v4()),
        customer_id.0,
        location_id.0,
        now,
        app.time_zone.name(),
        total,
        keyed.key(),
        keyed.digest(),
        app.time_zone.local(now)
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(id) = id else { return Ok(None) };
    fn column<'a, T>(lines: &'a [Line<'a>], value: impl Fn(&'a Line<'a>) -> T) -> Vec<T> {
        lines.iter().map(value).collect()
    }
    sqlx::query!(
        "INSERT INTO order_lines (order_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents,
           unit_cost_cents)
         SELECT $1, line_no::int, product_id, sku, product_name, category, quantity, price, cost
         FROM UNNEST($2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[]) WITH ORDINALITY
         AS l (product_id, sku, product_name, category, quantity, price, cost, line_no)",
        id.0,
        column(lines, |it| it.product.product_id) as _,
        column(lines, |it| it.product.sku.as_str()) as _,
        column(lines, |it| it.product.name.as_str()) as _,
        column(lines, |it| it.product.category.as_str()) as _,
        column(lines, |it| it.item.quantity) as _,
        column(lines, |it| it.product.unit_price_cents) as _,
        column(lines, |it| it.product.unit_cost_cents) as _
    )
    .execute(&mut **tx)
    .await?;
    app.outbox.enqueue(tx, id.into(), Step::Post).await?;
    Ok(Some(id))
}
