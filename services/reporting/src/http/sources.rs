//! Sources: how fresh each is, and polling one now.

use aggregator::source::{self, HeadSeen};
use axum::{extract::State as Of, http::StatusCode};
use chrono::{DateTime, Utc};
use jobs::poll::PollArguments;
use kit::{
    error::ApiError,
    extract::{Json, Path},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::jobs::RunView;
use crate::{
    State,
    answer::{self, AnswerError},
};

/// How one source is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "name": "retail", "complete_through": "2026-11-22T07:59:30Z", "age_seconds": 31, "stale": false,
    "last_success": "2026-11-22T07:59:31Z", "lag_seconds": 1, "clock_ahead_seconds": 0, "zone_data": "2026f",
    "breaker": "closed", "quarantined": 0, "quarantined_by_dataset": {}, "failures": 0, "error": null, "datasets": ["sale_lines", "stores"], "absent": {}, "held": {},
}))]
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
    /// Seconds by which its clock was ahead of the reporting database's when last polled; beyond the tolerance no figure
    /// of it is final.
    pub clock_ahead_seconds: i64,
    /// Version of the zone data that it computes local times by; null when it does not say.
    pub zone_data: Option<String>,
    /// State of this process's circuit breaker.
    #[schema(value_type = String)]
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
    /// Datasets, and columns as `dataset.column`, that its version does not offer, with the version that does. They are
    /// empty in the lake, and no figure made of them is final.
    pub absent: BTreeMap<String, String>,
    /// Datasets that are held back because a full refresh would drop too many of their rows, with the instant through which
    /// they are complete. The others go on; poll with `allow_drops` to let it through.
    pub held: BTreeMap<String, Option<DateTime<Utc>>>,
    /// What it says of itself now; null when it has not answered since this process began.
    pub head: Option<HeadView>,
}

/// What a source says of itself between two polls.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeadView {
    /// Whether it has changes that the lake does not have yet.
    pub pending: bool,
    /// The instant through which that was true.
    pub as_of: DateTime<Utc>,
    /// When it was asked.
    pub asked_at: DateTime<Utc>,
    /// Whether it has not answered since.
    pub stale: bool,
}

/// Every source.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sources {
    /// By name.
    pub items: Vec<SourceView>,
    /// Always null: there are few sources.
    pub next: Option<String>,
}

/// Every source with its freshness, lag, breaker and quarantine, and whether it has changes that the lake has not.
#[utoipa::path(get, path = "/sources", tag = "sources", responses((status = 200, body = Sources)))]
pub async fn list(Of(state): Of<State>) -> Result<Json<Sources>, ApiError> {
    let statuses = state.aggregator.sources().status().await.map_err(AnswerError::from)?;
    let mut heads = state.aggregator.sources().heads().await.map_err(AnswerError::from)?;
    let view = |status: source::SourceStatus| {
        let head = heads.remove(&status.name);
        view(status, head)
    };
    let items = statuses.into_iter().map(view).collect::<Result<_, _>>()?;
    Ok(Json(Sources { items, next: None }))
}

fn view(status: source::SourceStatus, head: Option<HeadSeen>) -> Result<SourceView, ApiError> {
    Ok(SourceView {
        name: status.name,
        complete_through: status.complete_through,
        age_seconds: status.age_seconds,
        stale: status.stale,
        last_success: status.last_success,
        lag_seconds: status.lag_seconds,
        clock_ahead_seconds: status.clock_ahead_seconds,
        zone_data: status.zone_data,
        breaker: serde_json::to_value(status.breaker).map_err(ApiError::internal)?,
        quarantined: status.quarantined,
        quarantined_by_dataset: status.quarantined_by_dataset,
        failures: status.failures,
        error: status.error,
        datasets: status.datasets,
        absent: status.absent,
        held: status.held,
        head: head.map(|it| HeadView { pending: it.pending, as_of: it.as_of, asked_at: it.asked_at, stale: it.stale }),
    })
}

/// What may be asked of a poll; `{}` asks for nothing but the poll.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct PollRequest {
    /// Let a full refresh drop more of the rows held than the source's declaration allows.
    #[serde(default)]
    allow_drops: bool,
    /// Read every dataset from its start: what was changed past the feed comes, too.
    #[serde(default)]
    whole: bool,
}

/// Poll a source now. The answer is the run; `GET /jobs/runs/{id}` tells how it goes.
#[utoipa::path(post, path = "/sources/{name}/poll", tag = "sources", request_body = PollRequest,
    params(("name" = String, Path, description = "The source")),
    responses((status = 202, body = RunView), (status = 404, description = "There is no such source")))]
pub async fn poll(
    Of(state): Of<State>,
    Path(name): Path<String>,
    Json(PollRequest { allow_drops, whole }): Json<PollRequest>,
) -> Result<(StatusCode, Json<RunView>), ApiError> {
    let arguments = PollArguments { replay: false, allow_drops, whole };
    let row = answer::jobs::start_poll(&state.aggregator, &state.runner, &name, arguments).await?;
    Ok((StatusCode::ACCEPTED, Json(row.into())))
}
