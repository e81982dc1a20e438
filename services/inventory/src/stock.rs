//! Stock on hand, per product and location. It is changed by movements only.

mod import;

use axum::extract::State;
use kit::error::ApiError;
use kit::extract::{Json, Query};
use kit::id::{LocationId, ProductId};
use kit::page::{Cursor, Limit, Page};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_stock))
}

/// The bulk import, which streams.
pub(crate) fn imports() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import::import_stock))
}

/// How many of a product lie at a location.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stock {
    product_id: ProductId,
    location_id: LocationId,
    /// Pieces, never below zero.
    on_hand: i64,
}

/// Which stock to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StockFilter {
    product_id: Option<ProductId>,
    location_id: Option<LocationId>,
    /// Exactly this many; 0 finds what is sold out.
    on_hand: Option<i64>,
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    after: Option<Cursor>,
}

/// List stock on hand, by product and location.
#[utoipa::path(get, path = "/stock", tag = "stock", params(StockFilter),
    responses((status = 200, description = "A page of stock on hand", body = Page<Stock>)))]
async fn list_stock(State(app): State<App>, Query(filter): Query<StockFilter>) -> Result<Json<Page<Stock>>, ApiError> {
    let (product, location) = Cursor::key(filter.after.as_ref())?.unwrap_or((ProductId(0), LocationId(0)));
    let stock = sqlx::query_as!(
        Stock,
        "SELECT product_id, location_id, on_hand FROM stock
         WHERE NOT deleted AND (product_id, location_id) > ($1, $2)
           AND ($3::bigint IS NULL OR product_id = $3) AND ($4::bigint IS NULL OR location_id = $4)
           AND ($5::bigint IS NULL OR on_hand = $5)
         ORDER BY product_id, location_id LIMIT $6",
        product as _,
        location as _,
        filter.product_id as _,
        filter.location_id as _,
        filter.on_hand,
        filter.limit.fetch()
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(stock, filter.limit, |row: &Stock| (row.product_id, row.location_id))))
}
