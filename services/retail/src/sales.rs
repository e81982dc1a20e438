//! Sales, voids and returns, which stay in agreement with the stock at Inventory (see `kit::stock`).

mod allot;
mod answer;
mod document;
mod import;
mod left;
mod outbox;
mod place;
mod returns;
mod sell;
mod stuck;
mod void;
mod withdraw;
mod write;

use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use kit::error::ApiError;
use kit::extract::{Json, Path, Query};
use kit::id::{ProductId, StoreId};
use kit::page::{Cursor, Limit, Page};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::ids::{RegisterId, SaleId};
pub(crate) use document::Kind;
use document::{Sale, SaleWithLines, Status, find, find_with_lines, query_sales};
pub use outbox::Sales;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_sales, sell::create_sale))
        .routes(routes!(stuck::list_stuck_sales))
        .routes(routes!(get_sale))
        .routes(routes!(void::void_sale))
        .routes(routes!(withdraw::withdraw_import))
        .routes(routes!(list_returns, returns::create_return))
}

/// The bulk import, which streams.
pub(crate) fn imports() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import::import_sales))
}

/// Which documents to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SaleFilter {
    pub store_id: Option<StoreId>,
    pub register_id: Option<RegisterId>,
    pub kind: Option<Kind>,
    pub status: Option<Status>,
    pub receipt_number: Option<String>,
    pub reference: Option<String>,
    /// Documents with a line of this product.
    pub product_id: Option<ProductId>,
    /// Returns of this sale.
    pub original_sale_id: Option<SaleId>,
    pub imported: Option<bool>,
    /// Local date where it happened.
    pub business_day: Option<NaiveDate>,
    /// Happened at or after this moment.
    pub from: Option<DateTime<Utc>>,
    /// Happened before this moment.
    pub to: Option<DateTime<Utc>>,
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    pub limit: Limit,
    #[param(value_type = Option<String>)]
    pub after: Option<Cursor>,
}

/// List sales and returns, oldest first.
#[utoipa::path(get, path = "/sales", tag = "sales", params(SaleFilter),
    responses((status = 200, description = "A page of documents", body = Page<Sale>)))]
async fn list_sales(State(app): State<App>, Query(filter): Query<SaleFilter>) -> Result<Json<Page<Sale>>, ApiError> {
    let after: Option<SaleId> = Cursor::key(filter.after.as_ref())?;
    let sales = query_sales!(
        "WHERE NOT s.deleted AND s.id > coalesce($1, 0) \
         AND ($2::bigint IS NULL OR s.store_id = $2) AND ($3::bigint IS NULL OR s.register_id = $3) \
         AND ($4::text IS NULL OR s.kind = $4) AND ($5::text IS NULL OR s.status = $5) \
         AND ($6::text IS NULL OR s.receipt_number = $6) AND ($7::text IS NULL OR s.reference = $7) \
         AND ($8::bigint IS NULL OR $8 = ANY (SELECT l.product_id FROM sale_lines l WHERE l.sale_id = s.id)) \
         AND ($9::bigint IS NULL OR s.original_sale_id = $9) AND ($10::bool IS NULL OR s.imported = $10) \
         AND ($11::date IS NULL OR s.local_time::date = $11) \
         AND ($12::timestamptz IS NULL OR s.occurred_at >= $12) AND ($13::timestamptz IS NULL OR s.occurred_at < $13) \
         ORDER BY s.id LIMIT $14",
        after as _,
        filter.store_id as _,
        filter.register_id as _,
        filter.kind as _,
        filter.status as _,
        filter.receipt_number,
        filter.reference,
        filter.product_id as _,
        filter.original_sale_id as _,
        filter.imported,
        filter.business_day,
        filter.from,
        filter.to,
        filter.limit.fetch()
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(sales, filter.limit, |sale: &Sale| sale.id)))
}

/// Read a sale or a return with its lines.
#[utoipa::path(get, path = "/sales/{id}", tag = "sales", params(("id" = SaleId, Path)),
    responses((status = 200, description = "The document", body = SaleWithLines)))]
async fn get_sale(State(app): State<App>, Path(id): Path<SaleId>) -> Result<Json<SaleWithLines>, ApiError> {
    find_with_lines(&app.db, id).await.map(Json)
}

/// Which returns of a sale to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReturnFilter {
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    pub limit: Limit,
    #[param(value_type = Option<String>)]
    pub after: Option<Cursor>,
}

/// List the returns of a sale, oldest first.
#[utoipa::path(get, path = "/sales/{id}/returns", tag = "sales", params(("id" = SaleId, Path), ReturnFilter),
    responses((status = 200, description = "A page of returns", body = Page<Sale>)))]
async fn list_returns(
    State(app): State<App>,
    Path(id): Path<SaleId>,
    Query(filter): Query<ReturnFilter>,
) -> Result<Json<Page<Sale>>, ApiError> {
    let after: Option<SaleId> = Cursor::key(filter.after.as_ref())?;
    find(&app.db, id).await?;
    let returns = query_sales!(
        "WHERE s.original_sale_id = $1 AND NOT s.deleted AND s.id > coalesce($2, 0) ORDER BY s.id LIMIT $3",
        id.0,
        after as _,
        filter.limit.fetch()
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(returns, filter.limit, |sale: &Sale| sale.id)))
}
