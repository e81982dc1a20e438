//! Refunds: what was paid for an order goes back, with its goods or without, on a day of its own.

mod answer;
mod create;
mod document;
mod import;
pub(crate) mod paid;
pub(crate) mod withdraw;
pub(crate) mod write;

use axum::extract::State;
use chrono::NaiveDate;
use kit::error::ApiError;
use kit::extract::{Json, Path, Query};
use kit::page::{Cursor, Limit, Page};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::ids::{OrderId, RefundId};
use document::{Refund, RefundStatus, RefundWithLines, find_with_lines, query_refunds};

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_refunds))
        .routes(routes!(get_refund))
        .routes(routes!(create::create_refund))
}

/// The bulk import, which streams.
pub(crate) fn imports() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import::import_refunds))
}

/// Which refunds to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RefundFilter {
    order_id: Option<OrderId>,
    status: Option<RefundStatus>,
    reference: Option<String>,
    imported: Option<bool>,
    /// Local date in the refund's zone.
    business_day: Option<NaiveDate>,
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    after: Option<Cursor>,
}

/// List refunds, oldest first.
#[utoipa::path(get, path = "/refunds", tag = "refunds", params(RefundFilter),
    responses((status = 200, description = "A page of refunds", body = Page<Refund>)))]
async fn list_refunds(
    State(app): State<App>,
    Query(filter): Query<RefundFilter>,
) -> Result<Json<Page<Refund>>, ApiError> {
    let after: Option<RefundId> = Cursor::key(filter.after.as_ref())?;
    let refunds = query_refunds!(
        "WHERE NOT r.deleted AND r.id > coalesce($1, 0) AND ($2::bigint IS NULL OR r.order_id = $2) \
         AND ($3::text IS NULL OR r.status = $3) AND ($4::text IS NULL OR r.reference = $4) \
         AND ($5::bool IS NULL OR r.imported = $5) AND ($6::date IS NULL OR r.local_time::date = $6) ORDER BY r.id LIMIT $7",
        after as _,
        filter.order_id as _,
        filter.status as _,
        filter.reference,
        filter.imported,
        filter.business_day,
        filter.limit.fetch()
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(refunds, filter.limit, |refund: &Refund| refund.id)))
}

/// Read a refund with its lines.
#[utoipa::path(get, path = "/refunds/{id}", tag = "refunds", params(("id" = RefundId, Path)),
    responses((status = 200, description = "The refund", body = RefundWithLines)))]
async fn get_refund(State(app): State<App>, Path(id): Path<RefundId>) -> Result<Json<RefundWithLines>, ApiError> {
    find_with_lines(&app.db, id).await.map(Json)
}
