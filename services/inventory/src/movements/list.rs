//! The list of movements, as a clerk looks through them.

use axum::extract::State;
use chrono::{DateTime, Utc};
use kit::error::ApiError;
use kit::extract::{Json, Query};
use kit::id::{LocationId, ProductId};
use kit::page::{Cursor, Limit, Page};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Reason;
use crate::App;
use crate::ids::MovementId;

/// One movement of one product.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Movement {
    id: MovementId,
    reference: String,
    product_id: ProductId,
    location_id: LocationId,
    /// Pieces; below zero they left the location.
    quantity: i64,
    reason: Reason,
    /// Whether this gives back an earlier movement of the same reference.
    reversal: bool,
    occurred_at: DateTime<Utc>,
    /// IANA zone where it happened.
    time_zone: String,
    /// History that took no stock when it was written.
    imported: bool,
}

/// Which movements to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MovementFilter {
    reference: Option<String>,
    product_id: Option<ProductId>,
    location_id: Option<LocationId>,
    reason: Option<Reason>,
    /// Happened at this moment or later.
    from: Option<DateTime<Utc>>,
    /// Happened before this moment.
    to: Option<DateTime<Utc>>,
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    after: Option<Cursor>,
}

/// List movements, in the order in which they were written.
#[utoipa::path(get, path = "/stock-movements", tag = "stock movements", params(MovementFilter),
    responses((status = 200, description = "A page of movements", body = Page<Movement>)))]
pub(super) async fn list_movements(
    State(app): State<App>,
    Query(filter): Query<MovementFilter>,
) -> Result<Json<Page<Movement>>, ApiError> {
    let after: Option<MovementId> = Cursor::key(filter.after.as_ref())?;
    let movements = sqlx::query_as!(
        Movement,
        r#"SELECT id, reference, product_id, location_id, quantity, reason AS "reason: _", reversal, occurred_at, time_zone,
           imported
         FROM stock_movements
         WHERE NOT deleted AND id > coalesce($1, 0)
           AND ($2::text IS NULL OR reference = $2)
           AND ($3::bigint IS NULL OR product_id = $3) AND ($4::bigint IS NULL OR location_id = $4)
           AND ($5::text IS NULL OR reason = $5)
           AND ($6::timestamptz IS NULL OR occurred_at >= $6) AND ($7::timestamptz IS NULL OR occurred_at < $7)
         ORDER BY id LIMIT $8"#,
        after as _,
        filter.reference,
        filter.product_id as _,
        filter.location_id as _,
        filter.reason as _,
        filter.from,
        filter.to,
        filter.limit.fetch()
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(movements, filter.limit, |movement: &Movement| movement.id)))
}
