//! What is in a cart. Putting a product in asks Inventory for its price, which the item keeps.

use axum::extract::State;
use axum::http::StatusCode;
use kit::amount::Pieces;
use kit::error::ApiError;
use kit::extract::{Json, Path};
use kit::id::ProductId;
use serde::Deserialize;
use sqlx::{PgConnection, PgTransaction};
use utoipa::ToSchema;

use super::{CartStatus, CartWithItems, find};
use crate::App;
use crate::ids::{CartId, OrderId};

/// Products in a cart: as many as Inventory validates in one call.
const MAX_ITEMS: i64 = 500;

/// A product to put into a cart.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewItem {
    product_id: ProductId,
    quantity: Pieces,
}

/// How many of a product there shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemChange {
    quantity: Pieces,
}

/// Put a product into a cart.
///
/// The cart then holds that many of it, whatever it held before, at the price that Inventory names now; so it is
/// safe to repeat.
#[utoipa::path(post, path = "/carts/{id}/items", tag = "carts", params(("id" = CartId, Path)), request_body = NewItem,
    responses((status = 201, description = "The cart", body = CartWithItems),
        (status = 409, description = "`cart-checked-out`, `cart-full`, `product-inactive`")))]
pub(super) async fn put_item(
    State(app): State<App>,
    Path(id): Path<CartId>,
    Json(item): Json<NewItem>,
) -> Result<(StatusCode, Json<CartWithItems>), ApiError> {
    find(&app.db, id).await?;
    let validated = app.outbox.validate(&[item.product_id], None).await?;
    let Some(product) = validated.items.into_iter().find(|product| product.product_id == item.product_id) else {
        return Err(ApiError::invalid("product_id", format!("Inventory knows no product {}", item.product_id)));
    };
    if !product.active {
        let detail = format!("{} ({}) is no longer sold", product.name, product.sku);
        return Err(ApiError::conflict("product-inactive", detail).with("product_id", product.product_id));
    }
    let mut tx = kit::db::begin(&app.db).await?;
    lock_open(&mut tx, id).await?;
    sqlx::query!(
        "INSERT INTO cart_items (cart_id, product_id, sku, product_name, quantity, unit_price_cents, current_unit_price_cents)
         VALUES ($1, $2, $3, $4, $5, $6, $6)
         ON CONFLICT (cart_id, product_id) DO UPDATE SET sku = excluded.sku, product_name = excluded.product_name,
           quantity = excluded.quantity, unit_price_cents = excluded.unit_price_cents,
           current_unit_price_cents = excluded.current_unit_price_cents",
        id.0,
        product.product_id.0,
        product.sku,
        product.name,
        item.quantity.get(),
        product.unit_price_cents.get()
    )
    .execute(&mut *tx)
    .await?;
    if count_up(&mut tx, id).await? > MAX_ITEMS {
        return Err(ApiError::conflict(
            "cart-full",
            format!("a cart holds at most {MAX_ITEMS} products; place two orders"),
        ));
    }
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(find(&app.db, id).await?)))
}

/// Change how many of a product are in a cart.
#[utoipa::path(patch, path = "/carts/{id}/items/{product_id}", tag = "carts",
    params(("id" = CartId, Path), ("product_id" = ProductId, Path)), request_body = ItemChange,
    responses((status = 200, description = "The cart", body = CartWithItems), (status = 409, description = "`cart-checked-out`")))]
pub(super) async fn change_item(
    State(app): State<App>,
    Path((id, product_id)): Path<(CartId, ProductId)>,
    Json(change): Json<ItemChange>,
) -> Result<Json<CartWithItems>, ApiError> {
    let mut tx = kit::db::begin(&app.db).await?;
    lock_open(&mut tx, id).await?;
    let changed = sqlx::query!(
        "UPDATE cart_items SET quantity = $3 WHERE cart_id = $1 AND product_id = $2",
        id.0,
        product_id.0,
        change.quantity.get()
    )
    .execute(&mut *tx)
    .await?;
    if changed.rows_affected() == 0 {
        return Err(not_in_cart(id, product_id));
    }
    count_up(&mut tx, id).await?;
    tx.commit().await?;
    find(&app.db, id).await.map(Json)
}

/// Take a product out of a cart.
#[utoipa::path(delete, path = "/carts/{id}/items/{product_id}", tag = "carts",
    params(("id" = CartId, Path), ("product_id" = ProductId, Path)),
    responses((status = 200, description = "The cart", body = CartWithItems), (status = 409, description = "`cart-checked-out`")))]
pub(super) async fn remove_item(
    State(app): State<App>,
    Path((id, product_id)): Path<(CartId, ProductId)>,
) -> Result<Json<CartWithItems>, ApiError> {
    let mut tx = kit::db::begin(&app.db).await?;
    lock_open(&mut tx, id).await?;
    let removed = sqlx::query!("DELETE FROM cart_items WHERE cart_id = $1 AND product_id = $2", id.0, product_id.0)
        .execute(&mut *tx)
        .await?;
    if removed.rows_affected() == 0 {
        return Err(not_in_cart(id, product_id));
    }
    count_up(&mut tx, id).await?;
    tx.commit().await?;
    find(&app.db, id).await.map(Json)
}

/// Takes the cart's row lock, under which its items change and it is checked out.
///
/// # Errors
/// 404 where there is none, 409 where it became an order already.
pub(super) async fn lock_open(tx: &mut PgTransaction<'_>, id: CartId) -> Result<(), ApiError> {
    let cart: Option<(CartStatus, Option<OrderId>)> =
        sqlx::query_as("SELECT status, order_id FROM carts WHERE id = $1 AND NOT deleted FOR NO KEY UPDATE")
            .bind(id)
            .fetch_optional(&mut **tx)
            .await?;
    match cart {
        None => Err(ApiError::not_found(format!("cart {id}"))),
        Some((CartStatus::CheckedOut, order_id)) => {
            Err(ApiError::conflict("cart-checked-out", format!("cart {id} became an order already"))
                .with("order_id", order_id.map(|id| id.0)))
        }
        Some((CartStatus::Open | CartStatus::Abandoned, _)) => Ok(()),
    }
}

/// Brings count and total of the header up to date and answers how many products there are. An abandoned cart that
/// is touched is open again.
async fn count_up(db: &mut PgConnection, id: CartId) -> Result<i64, ApiError> {
    let products = sqlx::query_scalar!(
        "UPDATE carts SET status = 'open', updated_at = now(), item_count = i.pieces, total_cents = i.total
         FROM (SELECT coalesce(sum(quantity), 0)::bigint AS pieces, count(*) AS products,
                 coalesce(sum(quantity::numeric * unit_price_cents), 0)::bigint AS total
               FROM cart_items WHERE cart_id = $1) AS i
         WHERE id = $1 RETURNING i.products AS \"products!\"",
        id.0
    )
    .fetch_one(db)
    .await?;
    Ok(products)
}

fn not_in_cart(id: CartId, product_id: ProductId) -> ApiError {
    ApiError::not_found(format!("product {product_id} in cart {id}"))
}
