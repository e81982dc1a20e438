//! Products: what the company sells, at which price and cost.

mod import;
mod validate;

use axum::extract::State;
use axum::http::StatusCode;
use kit::amount::{Price, ReorderPoint};
use kit::error::{ApiError, OnConstraint};
use kit::extract::{Json, Path, Query};
use kit::id::ProductId;
use kit::idempotency::{self, IdempotencyKey, KeyedRequest};
use kit::page::{Cursor, Limit, Page};
use kit::text::{Sku, Text};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::ids::CategoryId;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_products, create_product))
        .routes(routes!(get_product, update_product))
        .routes(routes!(validate::validate_products))
}

/// The bulk import, which streams.
pub(crate) fn imports() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import::import_products))
}

/// A product.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct Product {
    id: ProductId,
    sku: String,
    name: String,
    category_id: CategoryId,
    /// In minor units.
    unit_price_cents: i64,
    /// In minor units.
    unit_cost_cents: i64,
    /// With fewer than this in all locations together, it is time to order.
    reorder_point: i64,
    active: bool,
}

/// A new product.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProduct {
    /// Unique, and never changed.
    sku: Sku,
    name: Text,
    category_id: CategoryId,
    unit_price_cents: Price,
    unit_cost_cents: Price,
    #[serde(default)]
    reorder_point: ReorderPoint,
    #[serde(default = "yes")]
    active: bool,
}

fn yes() -> bool {
    true
}

/// What may change about a product; absent fields stay. Documents keep what they were written with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductChange {
    name: Option<Text>,
    category_id: Option<CategoryId>,
    unit_price_cents: Option<Price>,
    unit_cost_cents: Option<Price>,
    reorder_point: Option<ReorderPoint>,
    /// False takes it out of sale; its history and stock stay.
    active: Option<bool>,
}

/// Which products to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProductFilter {
    /// The whole SKU.
    sku: Option<String>,
    /// Part of the SKU or the name, in any case.
    q: Option<String>,
    category_id: Option<CategoryId>,
    active: Option<bool>,
    /// True: fewer on hand, in all locations together, than the reorder point. False: the others.
    below_reorder_point: Option<bool>,
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    after: Option<Cursor>,
}

/// List products, oldest first.
#[utoipa::path(get, path = "/products", tag = "products", params(ProductFilter),
    responses((status = 200, description = "A page of products", body = Page<Product>)))]
async fn list_products(
    State(app): State<App>,
    Query(filter): Query<ProductFilter>,
) -> Result<Json<Page<Product>>, ApiError> {
    let after: Option<ProductId> = Cursor::key(filter.after.as_ref())?;
    let products = sqlx::query_as!(
        Product,
        "SELECT id, sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active
         FROM products p
         WHERE NOT deleted AND id > coalesce($1, 0)
           AND ($2::text IS NULL OR sku = $2)
           AND ($3::text IS NULL OR strpos(lower(name), lower($3)) > 0 OR strpos(lower(sku), lower($3)) > 0)
           AND ($4::bigint IS NULL OR category_id = $4)
           AND ($5::bool IS NULL OR active = $5)
           AND ($6::bool IS NULL OR $6 = (reorder_point >
                (SELECT coalesce(sum(s.on_hand), 0) FROM stock s WHERE s.product_id = p.id AND NOT s.deleted)))
         ORDER BY id LIMIT $7",
        after as _,
        filter.sku,
        filter.q,
        filter.category_id as _,
        filter.active,
        filter.below_reorder_point,
        filter.limit.fetch()
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(products, filter.limit, |product: &Product| product.id)))
}

/// Create a product.
#[utoipa::path(post, path = "/products", tag = "products", params(IdempotencyKey), request_body = NewProduct,
    responses((status = 201, description = "The product", body = Product), (status = 409, description = "`sku-taken`")))]
async fn create_product(
    State(app): State<App>,
    key: Option<IdempotencyKey>,
    Json(body): Json<NewProduct>,
) -> Result<(StatusCode, Json<Product>), ApiError> {
    let keyed = KeyedRequest::new(key, &body);
    let inserted = sqlx::query_as!(
        Product,
        "INSERT INTO products (sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active,
                               idempotency_key, request_digest)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (idempotency_key) DO NOTHING
         RETURNING id, sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active",
        body.sku.as_str(),
        body.name.as_str(),
        body.category_id.0,
        body.unit_price_cents.get(),
        body.unit_cost_cents.get(),
        body.reorder_point.get(),
        body.active,
        keyed.key(),
        keyed.digest()
    )
    .fetch_optional(&app.db)
    .await;
    let earlier = keyed.earlier(
        &app.db,
        "SELECT request_digest, id, sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active
         FROM products WHERE idempotency_key = $1",
    );
    let product = idempotency::inserted_or_earlier(inserted, earlier)
        .await
        .on_constraint("products_category_fkey", no_category)
        .on_constraint("products_sku_key", || ApiError::conflict("sku-taken", "another product has this SKU"))?;
    Ok((StatusCode::CREATED, Json(product)))
}

/// Read a product.
#[utoipa::path(get, path = "/products/{id}", tag = "products", params(("id" = ProductId, Path)),
    responses((status = 200, description = "The product", body = Product)))]
async fn get_product(State(app): State<App>, Path(id): Path<ProductId>) -> Result<Json<Product>, ApiError> {
    sqlx::query_as!(
        Product,
        "SELECT id, sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active
         FROM products WHERE id = $1 AND NOT deleted",
        id.0
    )
    .fetch_optional(&app.db)
    .await?
    .map(Json)
    .ok_or_else(|| ApiError::not_found(format!("product {id}")))
}

/// Change a product, or take it out of sale.
#[utoipa::path(patch, path = "/products/{id}", tag = "products", params(("id" = ProductId, Path)),
    request_body = ProductChange, responses((status = 200, description = "The product", body = Product)))]
async fn update_product(
    State(app): State<App>,
    Path(id): Path<ProductId>,
    Json(change): Json<ProductChange>,
) -> Result<Json<Product>, ApiError> {
    sqlx::query_as!(
        Product,
        "UPDATE products SET name = coalesce($2, name), category_id = coalesce($3, category_id),
                unit_price_cents = coalesce($4, unit_price_cents), unit_cost_cents = coalesce($5, unit_cost_cents),
                reorder_point = coalesce($6, reorder_point), active = coalesce($7, active)
         WHERE id = $1 AND NOT deleted
         RETURNING id, sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active",
        id.0,
        change.name as _,
        change.category_id.map(i64::from),
        change.unit_price_cents as _,
        change.unit_cost_cents as _,
        change.reorder_point as _,
        change.active
    )
    .fetch_optional(&app.db)
    .await
    .on_constraint("products_category_fkey", no_category)?
    .map(Json)
    .ok_or_else(|| ApiError::not_found(format!("product {id}")))
}

fn no_category() -> ApiError {
    ApiError::invalid("category_id", "there is no such category")
}
