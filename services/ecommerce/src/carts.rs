//! Carts: what a customer means to buy, at the prices that were shown.

mod checkout;
pub(crate) mod idle;
mod items;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use kit::amount::Pieces;
use kit::error::{ApiError, OnConstraint};
use kit::extract::{Json, Path, Query};
use kit::id::ProductId;
use kit::idempotency::{self, IdempotencyKey, KeyedRequest};
use kit::page::{Cursor, Limit, Page};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::ids::{CartId, CustomerId, OrderId};

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_carts, create_cart))
        .routes(routes!(get_cart))
        .routes(routes!(items::put_item))
        .routes(routes!(items::change_item, items::remove_item))
        .routes(routes!(checkout::checkout_cart))
}

/// Where a cart stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum CartStatus {
    /// Being filled.
    Open,
    /// Became an order.
    CheckedOut,
    /// Left alone for too long; filling it opens it again.
    Abandoned,
}

/// A cart, without its items.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct Cart {
    id: CartId,
    customer_id: Option<CustomerId>,
    status: CartStatus,
    /// Pieces.
    item_count: i64,
    /// Minor units, at the prices the customer saw.
    total_cents: i64,
    /// The order it became.
    order_id: Option<OrderId>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Some pieces of one product in a cart.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct CartItem {
    product_id: ProductId,
    sku: String,
    product_name: String,
    quantity: Pieces,
    /// The price the customer saw.
    unit_price_cents: i64,
    /// The price Inventory named last; where it differs, checkout asks to accept it.
    current_unit_price_cents: i64,
}

/// A cart with its items.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CartWithItems {
    #[serde(flatten)]
    cart: Cart,
    items: Vec<CartItem>,
}

/// A new cart.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCart {
    /// Whose it is; may be named at checkout instead.
    customer_id: Option<CustomerId>,
}

/// Which carts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CartFilter {
    customer_id: Option<CustomerId>,
    status: Option<CartStatus>,
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    after: Option<Cursor>,
}

/// List carts, oldest first.
#[utoipa::path(get, path = "/carts", tag = "carts", params(CartFilter),
    responses((status = 200, description = "A page of carts", body = Page<Cart>)))]
async fn list_carts(State(app): State<App>, Query(filter): Query<CartFilter>) -> Result<Json<Page<Cart>>, ApiError> {
    let after: Option<CartId> = Cursor::key(filter.after.as_ref())?;
    let carts = sqlx::query_as!(
        Cart,
        r#"SELECT id, customer_id AS "customer_id: _", status AS "status: _", item_count, total_cents,
           order_id AS "order_id: _", created_at, updated_at FROM carts
         WHERE NOT deleted AND id > coalesce($1, 0) AND ($2::bigint IS NULL OR customer_id = $2)
         AND ($3::text IS NULL OR status = $3) ORDER BY id LIMIT $4"#,
        after as _,
        filter.customer_id as _,
        filter.status as _,
        filter.limit.fetch()
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(carts, filter.limit, |cart: &Cart| cart.id)))
}

/// Open a cart.
#[utoipa::path(post, path = "/carts", tag = "carts", params(IdempotencyKey), request_body = NewCart,
    responses((status = 201, description = "The cart", body = CartWithItems), (status = 409, description = "`customer-erased`")))]
async fn create_cart(
    State(app): State<App>,
    key: Option<IdempotencyKey>,
    Json(new): Json<NewCart>,
) -> Result<(StatusCode, Json<CartWithItems>), ApiError> {
    let keyed = KeyedRequest::new(key, &new);
    if let Some(customer_id) = new.customer_id {
        refuse_unless_customer(&app.db, customer_id).await?;
    }
    let inserted = sqlx::query_as!(
        Cart,
        r#"INSERT INTO carts (customer_id, idempotency_key, idempotency_digest) VALUES ($1, $2, $3)
           ON CONFLICT (idempotency_key) DO NOTHING
           RETURNING id, customer_id AS "customer_id: _", status AS "status: _", item_count, total_cents,
             order_id AS "order_id: _", created_at, updated_at"#,
        new.customer_id.map(i64::from),
        keyed.key(),
        keyed.digest()
    )
    .fetch_optional(&app.db)
    .await;
    let earlier = keyed.earlier(
        &app.db,
        "SELECT id, customer_id, status, item_count, total_cents, order_id, created_at, updated_at,
         idempotency_digest AS request_digest FROM carts WHERE idempotency_key = $1",
    );
    let cart: Cart = idempotency::inserted_or_earlier(inserted, earlier)
        .await
        .on_constraint("carts_customer_fkey", || ApiError::invalid("customer_id", "there is no such customer"))?;
    Ok((StatusCode::CREATED, Json(find(&app.db, cart.id).await?)))
}

/// Read a cart with its items.
#[utoipa::path(get, path = "/carts/{id}", tag = "carts", params(("id" = CartId, Path)),
    responses((status = 200, description = "The cart", body = CartWithItems)))]
async fn get_cart(State(app): State<App>, Path(id): Path<CartId>) -> Result<Json<CartWithItems>, ApiError> {
    find(&app.db, id).await.map(Json)
}

/// The cart with this id and its items, in the order they were put in.
///
/// # Errors
/// 404 where there is none.
async fn find(db: &PgPool, id: CartId) -> Result<CartWithItems, ApiError> {
    let cart = sqlx::query_as!(
        Cart,
        r#"SELECT id, customer_id AS "customer_id: _", status AS "status: _", item_count, total_cents,
           order_id AS "order_id: _", created_at, updated_at FROM carts
         WHERE id = $1 AND NOT deleted"#,
        id.0
    )
    .fetch_optional(db)
    .await?
    .ok_or_else(|| ApiError::not_found(format!("cart {id}")))?;
    let items = sqlx::query_as!(
        CartItem,
        r#"SELECT product_id, sku, product_name, quantity AS "quantity: _", unit_price_cents, current_unit_price_cents
           FROM cart_items WHERE cart_id = $1 ORDER BY added_at, product_id"#,
        id.0
    )
    .fetch_all(db)
    .await?;
    Ok(CartWithItems { cart, items })
}

/// Whether orders may be placed for this customer.
///
/// # Errors
/// 422 for no such customer, 409 for an erased one.
async fn refuse_unless_customer(db: &PgPool, id: CustomerId) -> Result<(), ApiError> {
    let erased: Option<bool> = sqlx::query_scalar!(
        r#"SELECT erased_at IS NOT NULL AS "erased!" FROM customers WHERE id = $1 AND NOT deleted"#,
        id.0
    )
    .fetch_optional(db)
    .await?;
    match erased {
        None => Err(ApiError::invalid("customer_id", format!("there is no customer {id}"))),
        Some(true) => {
            Err(ApiError::conflict("customer-erased", format!("customer {id} was erased and orders no more")))
        }
        Some(false) => Ok(()),
    }
}
