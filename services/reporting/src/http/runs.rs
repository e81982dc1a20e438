//! Reports that take long: asked for now, computed while nobody waits, fetched as a file.

use std::collections::BTreeMap;

use ::exports::Format;
use ::jobs::engine::{RunRow, history};
use aggregator::report::{self, Given};
use axum::{
    extract::State as Of,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use chrono::{DateTime, Utc};
use kit::{
    error::ApiError,
    extract::{Json, Path},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    jobs::CancelRequest,
    respond::{CachePolicy, provenance_headers},
    send::{self, Attachment, ClientRequest, ReportFile},
};
use crate::{
    State,
    answer::{self, AnswerError, encode::file_name, rows::Note},
    runs::{Arguments, NAME, Outcome},
};

/// How many runs may wait for their turn.
const MOST_WAITING: i64 = 100;

/// What is computed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"parameters": {"from": "2026-01-01", "to": "2026-11-21"}, "format": "parquet"}))]
pub struct ReportRunRequest {
    /// The report's parameters: text, numbers, truth values, or lists of those.
    #[serde(default)]
    #[schema(value_type = Object)]
    parameters: BTreeMap<String, Value>,
    /// ndjson, csv, csv-spreadsheet, csv-spreadsheet-comma, parquet, xlsx, arrow or json.
    #[serde(default = "parquet")]
    format: String,
    /// An earlier snapshot of the lake.
    snapshot: Option<i64>,
}

fn parquet() -> String {
    Format::Parquet.name().to_owned()
}

/// A run of a report.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 4711, "report": "basket_pairs", "parameters": {"from": "2026-01-01"}, "format": "parquet",
    "status": "succeeded", "progress": {"done": 100, "total": 100, "at": "encoding"},
    "requested_at": "2026-11-22T08:00:00Z", "started_at": "2026-11-22T08:00:00.1Z",
    "finished_at": "2026-11-22T08:01:12Z", "error": null,
    "result": {"href": "4711/result", "snapshot": 42, "rows": 1200000, "bytes": 8123456,
               "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
               "expires_at": "2026-11-23T08:01:12Z"},
}))]
pub struct ReportRunView {
    /// Its number.
    pub id: i64,
    /// The report.
    pub report: String,
    /// What was found.
    #[schema(value_type = Object)]
    pub parameters: Given,
    /// The format of the result.
    pub format: String,
    /// `queued`, `waiting`, `running`, `succeeded`, `failed` or `cancelled`.
    pub status: String,
    /// How far it has come: `done` of `total`, and `at` what.
    #[schema(value_type = Option<Object>)]
    pub progress: Option<Value>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it failed.
    pub error: Option<String>,
    /// What can be fetched, once it has succeeded.
    pub result: Option<ResultView>,
}

/// The result of a run.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResultView {
    /// Where, relative to the folder of the runs.
    pub href: String,
    /// The lake's snapshot that was read.
    pub snapshot: i64,
    /// Rows.
    pub rows: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
    /// Until when it can be fetched.
    pub expires_at: DateTime<Utc>,
}

/// A run of a report as the engine keeps it, with its arguments.
struct ReportRunRow {
    row: RunRow,
    arguments: Arguments,
}

impl ReportRunRow {
    /// The run of that number, if it is one of this report.
    async fn find(state: &State, report: &str, id: i64) -> Result<Self, ApiError> {
        let missing = || ApiError::not_found(format!("run {id} of report `{report}`"));
        let row = history::get(&state.pool, id).await.map_err(AnswerError::from)?;
        if row.job != NAME {
            return Err(missing());
        }
        let found = Self::of(row)?;
        if found.arguments.report == report { Ok(found) } else { Err(missing()) }
    }

    fn of(row: RunRow) -> Result<Self, ApiError> {
        let arguments = serde_json::from_value(row.arguments.clone()).map_err(ApiError::internal)?;
        Ok(Self { row, arguments })
    }

    fn outcome(&self) -> Result<Option<Outcome>, ApiError> {
        self.row.outcome.clone().map(serde_json::from_value).transpose().map_err(ApiError::internal)
    }

    fn view(self) -> Result<ReportRunView, ApiError> {
        let result = self.outcome()?.map(|outcome| ResultView {
            href: format!("{}/result", self.row.id),
            snapshot: outcome.snapshot,
            rows: outcome.rows,
            bytes: outcome.bytes,
            sha256: outcome.sha256,
            expires_at: outcome.expires_at,
        });
        let Self { row, arguments } = self;
        Ok(ReportRunView {
            id: row.id,
            report: arguments.report,
            parameters: arguments.parameters,
            format: arguments.format,
            status: row.status.name().to_owned(),
            progress: row.progress,
            requested_at: row.scheduled_for,
            started_at: row.started_at,
            finished_at: row.finished_at,
            error: row.error.or(row.note),
            result,
        })
    }
}

/// Compute a report while nobody waits: for what takes longer, or has more rows, than a request may.
///
/// Runs are kept by the database and survive a restart; they take turns. The answer's `Location` tells how it goes.
#[utoipa::path(post, path = "/reports/{name}/runs", tag = "reports", request_body = ReportRunRequest,
    params(("name" = String, Path, description = "The report", example = "basket_pairs")),
    responses((status = 202, headers(("Location" = String, description = "The run, relative to this path")),
               body = ReportRunView),
              (status = 404, description = "There is no such report"),
              (status = 503, description = "Too many runs wait already")))]
pub async fn start(
    Of(state): Of<State>,
    Path(name): Path<String>,
    Json(body): Json<ReportRunRequest>,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1], Json<ReportRunView>), ApiError> {
    if Format::from_name(&body.format).is_none() {
        let known = Format::ALL.map(Format::name).join(", ");
        return Err(ApiError::invalid("format", format!("there is no format `{}`; there are {known}", body.format)));
    }
    let mut parameters = Given::default();
    for (parameter, value) in body.parameters {
        let wrong =
            || ApiError::invalid(format!("parameters.{parameter}"), "must be text, a number, true or false, or a list");
        match &value {
            Value::Array(items) => {
                let items = items.iter().map(text).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
                parameters.push_list(parameter, items);
            }
            value => {
                let value = text(value).ok_or_else(wrong)?;
                parameters.push(parameter, value);
            }
        }
    }
    // A mistake in it is answered now, not by a run that fails.
    state.aggregator.reports().ask(&name, &parameters, body.snapshot).await.map_err(in_body)?;
    let waiting: i64 =
        sqlx::query_scalar("SELECT count(*) FROM jobs.run WHERE job = $1 AND status IN ('queued', 'waiting')")
            .bind(NAME)
            .fetch_one(&state.pool)
            .await?;
    if waiting >= MOST_WAITING {
        let detail = format!("{waiting} runs of reports wait already; try again when some have ended, or cancel one");
        return Err(ApiError::unavailable(detail));
    }
    let arguments = Arguments { report: name, parameters, format: body.format, snapshot: body.snapshot };
    let arguments = serde_json::to_value(arguments).map_err(ApiError::internal)?;
    let row = answer::jobs::start(&state.runner, NAME, &arguments).await?;
    let location = HeaderValue::try_from(format!("runs/{}", row.id)).map_err(ApiError::internal)?;
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(ReportRunRow::of(row)?.view()?)))
}

/// A parameter's value as one would write it in a query string.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

/// The same refusals as of a query string, naming the field of the body.
fn in_body(error: report::ReportError) -> ApiError {
    match AnswerError::from(error) {
        AnswerError::Parameter { name, detail } if name == "snapshot" => ApiError::invalid(name, detail),
        AnswerError::Parameter { name, detail } => ApiError::invalid(format!("parameters.{name}"), detail),
        other => other.into(),
    }
}

/// How a run of a report goes.
#[utoipa::path(get, path = "/reports/{name}/runs/{id}", tag = "reports",
    params(("name" = String, Path, description = "The report", example = "basket_pairs"),
           ("id" = i64, Path, description = "The run's number", example = 4711)),
    responses((status = 200, body = ReportRunView), (status = 404, description = "There is no such run")))]
pub async fn run(Of(state): Of<State>, Path((name, id)): Path<(String, i64)>) -> Result<Json<ReportRunView>, ApiError> {
    Ok(Json(ReportRunRow::find(&state, &name, id).await?.view()?))
}

/// Cancel a run of a report. One that has ended stays as it is.
///
/// Encoding stops at once; a computation that has begun goes on to its end in the engine, and is thrown away.
#[utoipa::path(post, path = "/reports/{name}/runs/{id}/cancel", tag = "reports", request_body = CancelRequest,
    params(("name" = String, Path, description = "The report", example = "basket_pairs"),
           ("id" = i64, Path, description = "The run's number", example = 4711)),
    responses((status = 202, body = ReportRunView), (status = 404, description = "There is no such run")))]
pub async fn cancel(
    Of(state): Of<State>,
    Path((name, id)): Path<(String, i64)>,
    Json(CancelRequest {}): Json<CancelRequest>,
) -> Result<(StatusCode, Json<ReportRunView>), ApiError> {
    ReportRunRow::find(&state, &name, id).await?;
    let row = history::cancel(&state.pool, id).await.map_err(AnswerError::from)?;
    Ok((StatusCode::ACCEPTED, Json(ReportRunRow::of(row)?.view()?)))
}

/// Fetch the result of a run: a whole file, with ranges and conditional requests.
#[utoipa::path(get, path = "/reports/{name}/runs/{id}/result", tag = "reports",
    params(("name" = String, Path, description = "The report", example = "basket_pairs"),
           ("id" = i64, Path, description = "The run's number", example = 4711)),
    responses(ReportFile, (status = 206, description = "The bytes that `Range` asks for"),
              (status = 304, description = "As you have it"), (status = 404, description = "There is no such run"),
              (status = 412, description = "`If-Match` or `If-Unmodified-Since` names another version"),
              (status = 409, description = "The run has not ended, or not with a result"),
              (status = 410, description = "The result has expired; run it again")))]
pub async fn result(
    Of(state): Of<State>,
    Path((name, id)): Path<(String, i64)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let found = ReportRunRow::find(&state, &name, id).await?;
    let Some(outcome) = found.outcome()? else {
        let (status, why) = (found.row.status.name(), found.row.error.or(found.row.note).unwrap_or_default());
        let detail = match found.row.status.has_ended() {
            true => format!("run {id} was {status} and has no result: {why}"),
            false => format!("run {id} is {status}; its result is there when it has succeeded"),
        };
        return Err(ApiError::conflict("no-result", detail).with("status", status));
    };
    let gone = || ApiError::Gone {
        code: "result-expired",
        detail: format!("the result of run {id} is not kept any more; run the report again"),
    };
    let format = Format::from_name(&found.arguments.format).ok_or_else(gone)?;
    if outcome.expires_at < Utc::now() {
        return Err(gone());
    }
    let spool = state.answers.spool.clone();
    let file = tokio::task::spawn_blocking(move || spool.find(&outcome.file)).await.map_err(ApiError::internal)?;
    let (file, note) = file.ok_or_else(gone)?;
    let Note { provenance, .. } = serde_json::from_slice(&note).map_err(ApiError::internal)?;
    let attachment = Attachment {
        media_type: format.media_type(),
        coding: None,
        file_name: file_name(&provenance, format),
        cache_control: CachePolicy::Immutable.header(),
        modified: provenance.generated_at,
        lasting: true,
        save: true,
    };
    let client = ClientRequest { method: &method, headers: &headers };
    let mut response = send::send(&state.downloads, client, &attachment, file)?;
    provenance_headers(response.headers_mut(), &provenance)?;
    Ok(response)
}
