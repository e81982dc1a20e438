//! Batch validation: all that a document must know of its products, in one call.

use axum::extract::State;
use kit::error::ApiError;
use kit::extract::Json;
use kit::id::{LocationId, ProductId, StoreId};
use kit::text::Text;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;
use crate::ids::CategoryId;

/// Most products of one call.
const MOST: usize = 500;

/// Which products, and where they would be taken from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Validation {
    #[schema(max_items = 500)]
    #[serde(default)]
    product_ids: Vec<ProductId>,
    /// Products by SKU, for those who know no id; with the ids at most 500.
    #[schema(max_items = 500)]
    #[serde(default)]
    skus: Vec<Text>,
    /// The store that sells; without it the first active warehouse, from which online orders are shipped.
    store_id: Option<StoreId>,
}

/// What is known of the products.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Validated {
    /// Where the stock was counted; null where the store, or the company, has no active location.
    location_id: Option<LocationId>,
    /// In the order of their ids, each once.
    items: Vec<ValidProduct>,
    /// The ids that no product has.
    unknown: Vec<ProductId>,
}

/// A product as a document freezes it, and how many could be taken now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValidProduct {
    product_id: ProductId,
    sku: String,
    name: String,
    category_id: CategoryId,
    /// The category's name.
    category: String,
    unit_price_cents: i64,
    unit_cost_cents: i64,
    active: bool,
    /// Pieces at `location_id`; a hint that only taking them makes certain.
    on_hand: i64,
}

/// Validate up to 500 products.
#[utoipa::path(post, path = "/products/validate", tag = "products", request_body = Validation,
    responses((status = 200, description = "What is known of them", body = Validated)))]
pub(super) async fn validate_products(
    State(app): State<App>,
    Json(asked): Json<Validation>,
) -> Result<Json<Validated>, ApiError> {
    if asked.product_ids.len() + asked.skus.len() > MOST {
        return Err(ApiError::invalid("product_ids", format!("at most {MOST} products fit in one call")));
    }
    let location_id: Option<LocationId> = sqlx::query_scalar!(
        r#"SELECT id AS "id: LocationId" FROM locations
         WHERE active AND NOT deleted AND CASE WHEN $1::bigint IS NULL THEN kind = 'warehouse' ELSE store_id = $1 END
         ORDER BY id LIMIT 1"#,
        asked.store_id as _
    )
    .fetch_optional(&app.db)
    .await?;
    let items: Vec<ValidProduct> = sqlx::query_as!(
        ValidProduct,
        r#"SELECT p.id AS product_id, p.sku, p.name, p.category_id, c.name AS category, p.unit_price_cents,
                p.unit_cost_cents, p.active, coalesce(s.on_hand, 0) AS "on_hand!"
         FROM products p
         JOIN categories c ON c.id = p.category_id
         LEFT JOIN stock s ON s.product_id = p.id AND s.location_id = $2
         WHERE (p.id = ANY($1) OR p.sku = ANY($3)) AND NOT p.deleted
         ORDER BY p.id"#,
        &asked.product_ids as _,
        location_id as _,
        &asked.skus as _
    )
    .fetch_all(&app.db)
    .await?;
    let mut unknown = asked.product_ids;
    unknown.sort_unstable();
    unknown.dedup();
    unknown.retain(|id| items.binary_search_by_key(id, |item| item.product_id).is_err());
    Ok(Json(Validated { location_id, items, unknown }))
}
