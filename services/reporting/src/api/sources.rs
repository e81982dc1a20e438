//! Sources: how fresh each is, and polling one now.

use aggregator::source;
use axum::{extract::State as Of, http::StatusCode};
use chrono::{DateTime, Utc};
use kit::{
    error::ApiError,
    extract::{Json, Path},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::{error, jobs::RunView};
use crate::State;

/// How one source is doing.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourceView {
    /// The source.
    pub name: String,
    /// Every change committed before this instant is in the lake.
    pub complete_through: Option<DateTime<Utc>>,
    /// Seconds from then to now.
    pub age_seconds: Option<i64>,
    /// Whether the age is above what its declaration allows.
    pub stale: bool,
    /// When it was last polled with success.
    pub last_success: Option<DateTime<Utc>>,
    /// Seconds by which the source itself was behind when last asked.
    pub lag_seconds: Option<i64>,
    /// State of this process's circuit breaker.
    #[schema(value_type = Object)]
    pub breaker: serde_json::Value,
    /// Rows in quarantine.
    pub quarantined: i64,
    /// Rows in quarantine, by dataset.
    pub quarantined_by_dataset: BTreeMap<String, i64>,
    /// Polls failed since the last success.
    pub failures: i64,
    /// Why the last poll failed.
    pub error: Option<String>,
    /// Its datasets.
    pub datasets: Vec<String>,
}

/// Every source.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sources {
    /// By name.
    pub items: Vec<SourceView>,
    /// Always null: there are few sources.
    pub next: Option<String>,
}

/// Every source with its freshness, lag, breaker and quarantine.
#[utoipa::path(get, path = "/sources", tag = "sources", responses((status = 200, body = Sources)))]
pub async fn list(Of(state): Of<State>) -> Result<Json<Sources>, ApiError> {
    let statuses = source::status(&state.aggregator).await.map_err(error::of_aggregator)?;
    let items = statuses.into_iter().map(view).collect::<Result<_, _>>()?;
    Ok(Json(Sources { items, next: None }))
}

fn view(status: source::SourceStatus) -> Result<SourceView, ApiError> {
    Ok(SourceView {
        name: status.name,
        complete_through: status.complete_through,
        age_seconds: status.age_seconds,
        stale: status.stale,
        last_success: status.last_success,
        lag_seconds: status.lag_seconds,
        breaker: serde_json::to_value(status.breaker).map_err(ApiError::internal)?,
        quarantined: status.quarantined,
        quarantined_by_dataset: status.quarantined_by_dataset,
        failures: status.failures,
        error: status.error,
        datasets: status.datasets,
    })
}

/// A poll takes no arguments.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PollRequest {}

/// Poll a source now. The answer is the run; `GET /jobs/runs/{id}` tells how it goes.
#[utoipa::path(post, path = "/sources/{name}/poll", tag = "sources", request_body = PollRequest,
    params(("name" = String, Path, description = "The source")),
    responses((status = 202, body = RunView), (status = 404, description = "There is no such source")))]
pub async fn poll(
    Of(state): Of<State>,
    Path(name): Path<String>,
    Json(PollRequest {}): Json<PollRequest>,
) -> Result<(StatusCode, Json<RunView>), ApiError> {
    if state.aggregator.source(&name).is_err() {
        return Err(ApiError::not_found(format!("source `{name}`; GET /sources lists them")));
    }
    super::jobs::request(&state, &jobs::poll::job_name(&name), &serde_json::json!({})).await
}
