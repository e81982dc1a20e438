//! Orders and their steps, which stay in agreement with the stock at Inventory (see `kit::stock`).

pub(crate) mod answer;
pub(crate) mod document;
mod import;
mod outbox;
mod step;
mod stuck;
mod withdraw;

use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use kit::error::ApiError;
use kit::extract::{Json, Path, Query};
use kit::id::ProductId;
use kit::page::{Cursor, Limit, Page};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::ids::{CustomerId, OrderId};
use document::{Order, OrderStatus, OrderWithLines, PaymentStatus, find_with_lines, query_orders};
pub use outbox::Orders;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_orders))
        .routes(routes!(stuck::list_stuck_orders))
        .routes(routes!(get_order))
        .routes(routes!(step::step_order))
        .routes(routes!(withdraw::withdraw_import))
        .routes(routes!(step::step_payment))
}

/// The bulk import, which streams.
pub(crate) fn imports() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import::import_orders))
}

/// Which orders to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrderFilter {
    customer_id: Option<CustomerId>,
    status: Option<OrderStatus>,
    payment_status: Option<PaymentStatus>,
    reference: Option<String>,
    /// Orders with a line of this product.
    product_id: Option<ProductId>,
    imported: Option<bool>,
    /// Local date in the company's zone.
    business_day: Option<NaiveDate>,
    /// Placed at or after this moment.
    from: Option<DateTime<Utc>>,
    /// Placed before this moment.
    to: Option<DateTime<Utc>>,
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    after: Option<Cursor>,
}

/// List orders, oldest first.
#[utoipa::path(get, path = "/orders", tag = "orders", params(OrderFilter),
    responses((status = 200, description = "A page of orders", body = Page<Order>)))]
async fn list_orders(State(app): State<App>, Query(filter): Query<OrderFilter>) -> Result<Json<Page<Order>>, ApiError> {
    let after: Option<OrderId> = Cursor::key(filter.after.as_ref())?;
    let orders = query_orders!(
        "WHERE NOT o.deleted AND o.id > coalesce($1, 0) AND ($2::bigint IS NULL OR o.customer_id = $2) \
         AND ($3::text IS NULL OR o.status = $3) AND ($4::text IS NULL OR o.payment_status = $4) \
         AND ($5::text IS NULL OR o.reference = $5) \
         AND ($6::bigint IS NULL OR $6 = ANY (SELECT l.product_id FROM order_lines l WHERE l.order_id = o.id)) \
         AND ($7::bool IS NULL OR o.imported = $7) AND ($8::date IS NULL OR o.local_time::date = $8) \
         AND ($9::timestamptz IS NULL OR o.occurred_at >= $9) AND ($10::timestamptz IS NULL OR o.occurred_at < $10) \
         ORDER BY o.id LIMIT $11",
        after as _,
        filter.customer_id as _,
        filter.status as _,
        filter.payment_status as _,
        filter.reference,
        filter.product_id as _,
        filter.imported,
        filter.business_day,
        filter.from,
        filter.to,
        filter.limit.fetch()
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(orders, filter.limit, |order: &Order| order.id)))
}

/// Read an order with its lines.
#[utoipa::path(get, path = "/orders/{id}", tag = "orders", params(("id" = OrderId, Path)),
    responses((status = 200, description = "The order", body = OrderWithLines)))]
async fn get_order(State(app): State<App>, Path(id): Path<OrderId>) -> Result<Json<OrderWithLines>, ApiError> {
    find_with_lines(&app.db, id).await.map(Json)
}
