//! Products: what the company sells, at which price and cost.

mod import;
mod validate;

use axum::extract::State;
use axum::http::StatusCode;
use kit::error::{ApiError, OnConstraint};
use kit::extract::{Json, Path, Query};
use kit::idempotency::{self, Digest, IdempotencyKey};
use kit::page::{Cursor, Limit, Page};
use kit::text::{Sku, Text};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::ids::{CategoryId, ProductId};

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

/// Highest price and cost, in minor units; with the bound on quantities it keeps every amount within 64 bits.
const MAX_CENTS: i64 = 100_000_000_000;
/// Highest reorder point, in pieces.
const MAX_REORDER_POINT: i64 = 10_000_000;

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
    /// In minor units.
    #[schema(minimum = 0, maximum = 100_000_000_000_i64)]
    unit_price_cents: i64,
    /// In minor units.
    #[schema(minimum = 0, maximum = 100_000_000_000_i64)]
    unit_cost_cents: i64,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10_000_000)]
    reorder_point: i64,
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
    #[schema(minimum = 0, maximum = 100_000_000_000_i64)]
    unit_price_cents: Option<i64>,
    #[schema(minimum = 0, maximum = 100_000_000_000_i64)]
    unit_cost_cents: Option<i64>,
    #[schema(minimum = 0, maximum = 10_000_000)]
    reorder_point: Option<i64>,
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
    let products = sqlx::query_as(
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
    )
    .bind(after)
    .bind(filter.sku)
    .bind(filter.q)
    .bind(filter.category_id)
    .bind(filter.active)
    .bind(filter.below_reorder_point)
    .bind(filter.limit.fetch())
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
    let digest = Digest::of(&body);
    let inserted = sqlx::query_as(
        "INSERT INTO products (sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active,
                               idempotency_key, request_digest)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (idempotency_key) DO NOTHING
         RETURNING id, sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active",
    )
    .bind(&body.sku)
    .bind(&body.name)
    .bind(body.category_id)
    .bind(body.unit_price_cents)
    .bind(body.unit_cost_cents)
    .bind(body.reorder_point)
    .bind(body.active)
    .bind(key.as_ref().map(IdempotencyKey::as_str))
    .bind(key.as_ref().map(|_| digest.as_bytes()))
    .fetch_optional(&app.db)
    .await;
    let earlier = idempotency::earlier(
        &app.db,
        "SELECT request_digest, id, sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active
         FROM products WHERE idempotency_key = $1",
        key.as_ref(),
        digest,
    );
    let product = in_bounds(idempotency::inserted_or_earlier(inserted, earlier).await)
        .on_constraint("products_sku_key", || ApiError::conflict("sku-taken", "another product has this SKU"))?;
    Ok((StatusCode::CREATED, Json(product)))
}

/// Read a product.
#[utoipa::path(get, path = "/products/{id}", tag = "products", params(("id" = ProductId, Path)),
    responses((status = 200, description = "The product", body = Product)))]
async fn get_product(State(app): State<App>, Path(id): Path<ProductId>) -> Result<Json<Product>, ApiError> {
    sqlx::query_as(
        "SELECT id, sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active
         FROM products WHERE id = $1 AND NOT deleted",
    )
    .bind(id)
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
    let updated = sqlx::query_as(
        "UPDATE products SET name = coalesce($2, name), category_id = coalesce($3, category_id),
                unit_price_cents = coalesce($4, unit_price_cents), unit_cost_cents = coalesce($5, unit_cost_cents),
                reorder_point = coalesce($6, reorder_point), active = coalesce($7, active)
         WHERE id = $1 AND NOT deleted
         RETURNING id, sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active",
    )
    .bind(id)
    .bind(change.name)
    .bind(change.category_id)
    .bind(change.unit_price_cents)
    .bind(change.unit_cost_cents)
    .bind(change.reorder_point)
    .bind(change.active)
    .fetch_optional(&app.db)
    .await;
    in_bounds(updated.map_err(ApiError::from))?.map(Json).ok_or_else(|| ApiError::not_found(format!("product {id}")))
}

/// What the constraints of a product mean to its writer.
fn in_bounds<T>(written: Result<T, ApiError>) -> Result<T, ApiError> {
    let money = |field| ApiError::invalid(field, format!("{field} must be from 0 to {MAX_CENTS} minor units"));
    written
        .on_constraint("products_category_fkey", || ApiError::invalid("category_id", "there is no such category"))
        .on_constraint("products_unit_price_range", || money("unit_price_cents"))
        .on_constraint("products_unit_cost_range", || money("unit_cost_cents"))
        .on_constraint("products_reorder_point_range", || {
            ApiError::invalid("reorder_point", format!("reorder_point must be from 0 to {MAX_REORDER_POINT} pieces"))
        })
}
