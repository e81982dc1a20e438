//! Rollups: what is kept of views, and which reports read it.

use axum::extract::State as Of;
use kit::{error::ApiError, extract::Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{State, answer::AnswerError};

/// What is kept of a view that says keep = "day".
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "view": "store_days", "title": "Sales by day, channel and store", "table": "store_days_0f3a51c2d4e6b798",
    "key": ["business_day", "channel", "store_id"], "days": 364, "outdated": 1, "rows": 108_000, "bytes": 2_400_000,
    "reports": ["channel_mix", "store_performance"],
}))]
pub struct RollupView {
    /// The view.
    pub view: String,
    /// Its title.
    pub title: String,
    /// The table of its rows in the lake's schema `kept`.
    pub table: String,
    /// The columns that tell its rows apart.
    pub key: Vec<String>,
    /// Days whose rows count in the newest snapshot.
    pub days: i64,
    /// Days that are kept and have changed since: they are computed from the datasets until they are kept again.
    pub outdated: i64,
    /// Rows of the days that count.
    pub rows: i64,
    /// Bytes of the files.
    pub bytes: i64,
    /// The reports that read it.
    pub reports: Vec<String>,
}

/// Every view whose rows are kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rollups {
    /// By name.
    pub items: Vec<RollupView>,
}

/// List what is kept of views.
#[utoipa::path(get, path = "/rollups", tag = "rollups", responses((status = 200, body = Rollups)))]
pub async fn list(Of(state): Of<State>) -> Result<Json<Rollups>, ApiError> {
    let rollups = state.aggregator.reports().rollups().await.map_err(AnswerError::from)?;
    let view = |it: aggregator::report::Rollup| RollupView {
        view: it.view,
        title: it.title,
        table: it.table,
        key: it.key,
        days: it.days,
        outdated: it.outdated,
        rows: it.rows,
        bytes: it.bytes,
        reports: it.reports,
    };
    Ok(Json(Rollups { items: rollups.into_iter().map(view).collect() }))
}
