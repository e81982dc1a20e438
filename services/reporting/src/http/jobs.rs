//! Jobs: what is declared, what ran and how it ended, running one now, cancelling.

use ::jobs::engine::{
    Declaration, EngineError, RunRow,
    history::{self, AttemptRow},
    job::Entry,
};
use axum::{extract::State as Of, http::StatusCode};
use chrono::{DateTime, NaiveDate, Utc};
use kit::{
    error::ApiError,
    extract::{Json, Path, Query},
    page::{Cursor, Limit, Page},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    State,
    answer::{self, AnswerError},
};

/// How many coming occurrences are listed.
const COMING: usize = 5;

/// One run of a job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 4711, "job": "nightly", "scheduled_for": "2026-11-22T02:30:00Z", "status": "succeeded", "attempt": 1,
    "started_at": "2026-11-22T02:30:00.2Z", "finished_at": "2026-11-22T02:30:41Z",
    "outcome": {"reports": 36, "revisions": 36}, "error": null,
}))]
pub struct RunView {
    /// Its number.
    pub id: i64,
    /// The job.
    pub job: String,
    /// The occurrence.
    pub scheduled_for: DateTime<Utc>,
    /// `queued`, `waiting`, `running`, `succeeded`, `failed`, `skipped` or `cancelled`.
    pub status: String,
    /// Attempts begun so far.
    pub attempt: i32,
    /// When the first attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What a successful run reports, in numbers.
    pub outcome: Option<Value>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// Why it was skipped or waits.
    pub note: Option<String>,
    /// How far it has come: `done` of `total`.
    pub progress: Option<Value>,
    /// What was asked of it.
    pub arguments: Value,
    /// `schedule` or `request`.
    pub origin: String,
}

impl From<RunRow> for RunView {
    fn from(row: RunRow) -> Self {
        Self {
            id: row.id,
            job: row.job,
            scheduled_for: row.scheduled_for,
            status: row.status.name().to_owned(),
            attempt: row.attempt,
            started_at: row.started_at,
            finished_at: row.finished_at,
            outcome: row.outcome,
            error: row.error,
            note: row.note,
            progress: row.progress,
            arguments: row.arguments,
            origin: row.origin,
        }
    }
}

/// A coming occurrence, as the job's zone and as UTC show it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Coming {
    /// In UTC.
    pub utc: DateTime<Utc>,
    /// In the job's zone, with its offset.
    pub local: String,
}

/// A declared job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "name": "nightly", "kind": "nightly", "cadence": "30 2 * * *", "time_zone": "America/Toronto", "catch_up": "all",
    "overlap": "queue", "timeout_seconds": 7200, "attempts": 5,
    "next": [{"utc": "2026-11-23T07:30:00Z", "local": "2026-11-23T02:30:00-05:00"}], "last_run": null,
}))]
pub struct JobView {
    /// Its name.
    pub name: String,
    /// Which work it does.
    pub kind: String,
    /// When it is due.
    pub cadence: String,
    /// The zone of the cadence.
    pub time_zone: String,
    /// What becomes of missed occurrences: `none`, `latest` or `all`.
    #[schema(value_type = String)]
    pub catch_up: ::jobs::engine::CatchUp,
    /// What becomes of an occurrence that is due while one runs: `skip`, `queue` or `allow`.
    #[schema(value_type = String)]
    pub overlap: ::jobs::engine::Overlap,
    /// Seconds that one attempt may take.
    pub timeout_seconds: u64,
    /// Attempts per occurrence.
    pub attempts: i32,
    /// The next occurrences.
    pub next: Vec<Coming>,
    /// The latest run.
    pub last_run: Option<RunView>,
}

/// Every job.
#[derive(Debug, Serialize, ToSchema)]
pub struct Jobs {
    /// By name.
    pub items: Vec<JobView>,
    /// Always null: there are few jobs.
    pub next: Option<String>,
}

/// Every declared job with its next five occurrences and its latest run.
#[utoipa::path(get, path = "/jobs", tag = "jobs", responses((status = 200, body = Jobs)))]
pub async fn list(Of(state): Of<State>) -> Result<Json<Jobs>, ApiError> {
    let mut items = Vec::new();
    for entry in state.runner.registry().iter() {
        let last = history::page(&state.pool, &entry.declaration.name, None, 1).await.map_err(AnswerError::from)?;
        items.push(view(entry, last.into_iter().next()));
    }
    Ok(Json(Jobs { items, next: None }))
}

fn view(entry: &Entry, last_run: Option<RunRow>) -> JobView {
    let Declaration { name, cadence, catch_up, overlap, timeout, attempts, .. } = &entry.declaration;
    let zone = cadence.zone();
    let mut next = Vec::new();
    let mut at = Utc::now();
    while let Some(coming) = cadence.next_after(at).filter(|_| next.len() < COMING) {
        next.push(Coming { utc: coming, local: coming.with_timezone(&zone).to_rfc3339() });
        at = coming;
    }
    JobView {
        name: name.clone(),
        kind: entry.kind.to_owned(),
        cadence: cadence.to_string(),
        time_zone: zone.name().to_owned(),
        catch_up: *catch_up,
        overlap: *overlap,
        timeout_seconds: timeout.as_secs(),
        attempts: *attempts,
        next,
        last_run: last_run.map(RunView::from),
    }
}

/// Which runs are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RunsQuery {
    /// How many, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// The `next` of the page before.
    after: Option<Cursor>,
}

/// A job's runs, the latest occurrence first.
#[utoipa::path(get, path = "/jobs/{name}/runs", tag = "jobs", params(RunsQuery, ("name" = String, Path, description = "The job")),
    responses((status = 200, body = Page<RunView>), (status = 404, description = "There is no such job")))]
pub async fn runs(
    Of(state): Of<State>,
    Path(name): Path<String>,
    Query(query): Query<RunsQuery>,
) -> Result<Json<Page<RunView>>, ApiError> {
    state.runner.registry().get(&name).map_err(AnswerError::from)?;
    let before = Cursor::key::<(DateTime<Utc>, i64)>(query.after.as_ref())?;
    let rows = history::page(&state.pool, &name, before, query.limit.fetch()).await.map_err(AnswerError::from)?;
    let page = Page::of(rows, query.limit, |row| (row.scheduled_for, row.id));
    Ok(Json(Page { items: page.items.into_iter().map(RunView::from).collect(), next: page.next }))
}

/// Run a job now. The body holds the job's arguments, `{}` for none; the answer is the run.
#[utoipa::path(post, path = "/jobs/{name}/runs", tag = "jobs",
    request_body(content = Object, example = json!({"business_day": "2026-11-21"})),
    params(("name" = String, Path, description = "The job")),
    responses((status = 202, body = RunView), (status = 404, description = "There is no such job")))]
pub async fn start(
    Of(state): Of<State>,
    Path(name): Path<String>,
    Json(arguments): Json<Value>,
) -> Result<(StatusCode, Json<RunView>), ApiError> {
    let row = answer::jobs::start(&state.runner, &name, &arguments).await?;
    Ok((StatusCode::ACCEPTED, Json(row.into())))
}

/// Which days a backfill publishes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "2026-11-01", "to": "2026-11-21", "reports": ["store_performance"]}))]
pub struct BackfillRequest {
    /// First day.
    from: NaiveDate,
    /// Last day.
    to: NaiveDate,
    /// Which reports; every day report when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reports: Option<Vec<String>>,
}

/// Publish a range of past days, oldest first. Only the job `backfill` (and others of its kind) can.
#[utoipa::path(post, path = "/jobs/{name}/backfill", tag = "jobs", request_body = BackfillRequest,
    params(("name" = String, Path, description = "The job, such as `backfill`")),
    responses((status = 202, body = RunView), (status = 404, description = "There is no such job"),
              (status = 409, description = "This job does not publish days")))]
pub async fn backfill(
    Of(state): Of<State>,
    Path(name): Path<String>,
    Json(body): Json<BackfillRequest>,
) -> Result<(StatusCode, Json<RunView>), ApiError> {
    let kind = state.runner.registry().get(&name).map_err(AnswerError::from)?.kind;
    // `nightly` publishes the same reports, one day at a time: its past days are backfilled by the backfill job.
    let job = match kind {
        "backfill" => name,
        "nightly" => "backfill".to_owned(),
        _ => return Err(ApiError::conflict("no-backfill", format!("job `{name}` publishes no days; ask `backfill`"))),
    };
    if body.from > body.to {
        return Err(ApiError::invalid("to", format!("{} is before `from`, {}", body.to, body.from)));
    }
    let arguments = serde_json::to_value(&body).map_err(ApiError::internal)?;
    let row = answer::jobs::start(&state.runner, &job, &arguments).await?;
    Ok((StatusCode::ACCEPTED, Json(row.into())))
}

/// A run with its attempts and log lines.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 4711, "job": "nightly", "scheduled_for": "2026-11-22T02:30:00Z", "status": "succeeded", "attempt": 1,
    "outcome": {"reports": 36, "revisions": 36}, "error": null,
    "log": [{"at": "2026-11-22T02:30:01Z", "line": "36 reports for 2026-11-21"}],
}))]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub run: RunView,
    /// Who tried, and how it ended, oldest first; the latest hundred.
    pub attempts: Vec<AttemptView>,
    /// Its log lines, oldest first; bounded.
    pub log: Vec<LogView>,
}

/// One attempt at a run.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    /// Which attempt, from 1; the same number again where a silent replica was taken over from.
    pub attempt: i32,
    /// The replica.
    pub replica: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; null while it lasts.
    pub ended_at: Option<DateTime<Utc>>,
    /// `succeeded`, `failed`, `cancelled`, `postponed` or `lost`; null while it lasts.
    pub ending: Option<String>,
    /// Why it ended so.
    pub reason: Option<String>,
}

impl From<AttemptRow> for AttemptView {
    fn from(row: AttemptRow) -> Self {
        let AttemptRow { attempt, owner: replica, started_at, ended_at, ending, reason } = row;
        Self { attempt, replica, started_at, ended_at, ending, reason }
    }
}

/// One log line.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogView {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub line: String,
}

/// One run, with its attempts and log lines.
#[utoipa::path(get, path = "/jobs/runs/{id}", tag = "jobs", params(("id" = i64, Path, description = "The run's number")),
    responses((status = 200, body = RunDetail), (status = 404, description = "There is no such run")))]
pub async fn run(Of(state): Of<State>, Path(id): Path<i64>) -> Result<Json<RunDetail>, ApiError> {
    let row = history::get(&state.pool, id).await.map_err(AnswerError::from)?;
    let lines = history::log_lines(&state.pool, id).await.map_err(AnswerError::from)?;
    let log = lines.into_iter().map(|it| LogView { at: it.at, line: it.line }).collect();
    let attempts = history::attempts(&state.pool, id).await.map_err(AnswerError::from)?;
    Ok(Json(RunDetail { run: row.into(), attempts: attempts.into_iter().map(AttemptView::from).collect(), log }))
}

/// Cancelling takes no arguments.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct CancelRequest {}

/// Cancel a run. One that has ended stays as it is; a running one writes nothing more from now on.
#[utoipa::path(post, path = "/jobs/runs/{id}/cancel", tag = "jobs", request_body = CancelRequest,
    params(("id" = i64, Path, description = "The run's number")),
    responses((status = 202, body = RunView), (status = 404, description = "There is no such run")))]
pub async fn cancel(
    Of(state): Of<State>,
    Path(id): Path<i64>,
    Json(CancelRequest {}): Json<CancelRequest>,
) -> Result<(StatusCode, Json<RunView>), ApiError> {
    let row: Result<RunRow, EngineError> = history::cancel(&state.pool, id).await;
    Ok((StatusCode::ACCEPTED, Json(row.map_err(AnswerError::from)?.into())))
}
