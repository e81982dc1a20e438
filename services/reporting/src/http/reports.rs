//! Reports: the catalogue, and one report computed on demand or as it was published.

use std::collections::{BTreeMap, BTreeSet};

use ::exports::Format;
use aggregator::report::{Asker, Chart, Grain, Parameter, Report, ReportColumn, SourceFreshness};
use axum::{
    extract::{RawQuery, State as Of},
    http::{HeaderMap, Method, header},
    response::Response,
};
use chrono::Utc;
use kit::{
    error::ApiError,
    extract::{Json, Path},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    respond::{self, CachePolicy},
    response_cache::Key,
    send::ClientRequest,
};
use crate::{
    State,
    answer::{AnswerError, ReportQuery, ReportRequest},
};

/// The header by which the gateway names who asks.
pub const CONSUMER: &str = "x-consumer-username";

/// The catalogue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "items": [{
        "name": "store_performance", "title": "Store performance",
        "description": "Tickets, net revenue and average ticket by store.", "section": "Stores", "grain": "day",
        "lookback": 0, "key": ["store_id"],
        "parameters": {"from": {"type": "date", "title": "From", "default": "today-30d"}},
        "columns": [{"name": "net_revenue", "type": "money", "title": "Net revenue"}],
        "chart": {"kind": "bar", "x": "store", "y": "net_revenue"}, "published": true, "datasets": ["sale_lines"],
        "sources": [{"name": "retail", "complete_through": "2026-11-22T07:59:30Z", "age_seconds": 31, "stale": false}],
    }],
    "broken": [], "next": null,
}))]
pub struct Catalogue {
    /// Every report, with parameters, columns and how fresh its sources are.
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<Entry>,
    /// Files that cannot be used, each with the reason.
    pub broken: Vec<String>,
    /// Always null: the catalogue is small.
    pub next: Option<String>,
}

/// One report of the catalogue.
#[derive(Debug, Serialize)]
pub struct Entry {
    #[serde(flatten)]
    report: ReportView,
    sources: Vec<::exports::Source>,
}

/// What a report is.
#[derive(Debug, Serialize)]
struct ReportView {
    name: String,
    title: String,
    description: String,
    section: String,
    grain: Grain,
    lookback: u32,
    key: Vec<String>,
    parameters: BTreeMap<String, Parameter>,
    columns: Vec<ReportColumn>,
    chart: Option<Chart>,
    published: bool,
    datasets: BTreeSet<String>,
}

impl ReportView {
    fn of(report: &Report) -> Self {
        Self {
            name: report.name.clone(),
            title: report.title.clone(),
            description: report.description.clone(),
            section: report.section.clone(),
            grain: report.grain,
            lookback: report.lookback,
            key: report.key.clone(),
            parameters: report.params.clone(),
            columns: report.columns.clone(),
            chart: report.chart.clone(),
            published: report.publish.is_some(),
            datasets: report.datasets.clone(),
        }
    }
}

/// Every report with its parameters, columns and freshness.
#[utoipa::path(get, path = "/reports", tag = "reports", responses((status = 200, body = Catalogue)))]
pub async fn list(Of(state): Of<State>) -> Result<Json<Catalogue>, ApiError> {
    let catalogue = state.aggregator.reports().catalogue();
    let statuses = state.aggregator.sources().status().await.map_err(AnswerError::from)?;
    let now = Utc::now();
    let items = catalogue
        .reports()
        .map(|report| {
            let reads = |source: &&aggregator::source::SourceStatus| {
                source.datasets.iter().any(|dataset| report.datasets.contains(dataset))
            };
            let sources: Vec<_> =
                statuses.iter().filter(reads).map(|it| SourceFreshness::of(it, report, now)).collect();
            Entry { report: ReportView::of(report), sources: ::jobs::document::sources(&sources) }
        })
        .collect();
    let broken = catalogue.broken().values().flatten().map(ToString::to_string).collect();
    Ok(Json(Catalogue { items, broken, next: None }))
}

/// One report, computed now from the latest snapshot, or as it was published.
///
/// Every parameter of the report is a query parameter; `GET /reports` lists them. The formats `json` (its envelope
/// tells the age of this very answer) and `ndjson`, `csv`, `csv-spreadsheet`, `csv-spreadsheet-comma`, `parquet`, `xlsx` and `arrow` (files:
/// built whole before the first byte is sent, with `Content-Length`, `ETag`, `Repr-Digest` and ranges).
#[utoipa::path(get, path = "/reports/{name}", tag = "reports",
    params(("name" = String, Path, description = "The report", example = "store_performance"),
           ("format" = Option<String>, Query, example = "csv",
            description = "json, ndjson, csv, csv-spreadsheet, csv-spreadsheet-comma, parquet, xlsx or arrow; else `Accept` decides"),
           ("max_age" = Option<String>, Query, example = "60s",
            description = "Poll first the sources that are older, once for all who ask, and wait up to 20 s for them"),
           ("stale" = Option<String>, Query, example = "refuse",
            description = "`serve` (the default) answers with the last data and `Tributary-Stale: true` while a source \
                           is behind; `refuse` answers 503"),
           ("business_day" = Option<String>, Query, example = "2026-11-21",
            description = "The published revision of this day instead"),
           ("revision" = Option<i32>, Query, example = 1,
            description = "Which revision of that day; the newest when absent"),
           ("snapshot" = Option<i64>, Query, example = 12, description = "An earlier snapshot of the lake")),
    responses((status = 200, description = "The report",
               headers(("Tributary-Snapshot" = i64, description = "The lake's snapshot it was computed from"),
                       ("Tributary-Revision" = i32, description = "Of what was published"),
                       ("Tributary-State" = String, description = "`final` or `provisional`, of what was published"),
                       ("Tributary-Outdated" = String, description = "Of what was published: since when rows have come \
                                                                      that it does not hold; absent when none have"),
                       ("Tributary-Stale" = bool, description = "Whether a source is older than it should be"),
                       ("Tributary-Generated-At" = String, description = "When the rows were computed"),
                       ("Tributary-Rows" = i64, description = "How many rows there are"),
                       ("ETag" = String, description = "For `If-None-Match`; of a file also for `If-Match` and `If-Range`"),
                       ("Repr-Digest" = String, description = "SHA-256 of the whole file; not of JSON")),
               content((Object = "application/json", example = json!(example())), (String = "application/x-ndjson"),
                       (String = "text/csv"), (String = "application/vnd.apache.parquet"),
                       (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
                       (String = "application/vnd.apache.arrow.file"))),
              (status = 206, description = "The bytes that `Range` asks for; not of JSON"),
              (status = 304, description = "As you have it"),
              (status = 400, description = "A parameter is unknown or wrong, or the format cannot hold the rows"),
              (status = 404, description = "There is no such report, or nothing was published for that day"),
              (status = 406, description = "None of the formats in `Accept` is to be had; the detail lists them"),
              (status = 409, description = "The report's file is faulty; the detail says where"),
              (status = 412, description = "`If-Match` or `If-Unmodified-Since` names another version"),
              (status = 416, description = "`Range` begins beyond the end"),
              (status = 422, description = "Computing it needs more memory than it may take; the detail says what to do"),
              (status = 503, description = "Its time is up, its turn did not come, or what it needs is away; come again \
                                            after `Retry-After`")))]
pub async fn get(
    Of(state): Of<State>,
    Path(name): Path<String>,
    RawQuery(text): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = ReportQuery::read(text.as_deref().unwrap_or_default())?;
    let format = format_of(query.format, &headers)?;
    let client = ClientRequest { method: &method, headers: &headers };
    let key = if format == Format::Json { Key::of(client, &name, text.as_deref(), &query) } else { None };
    let Some(key) = key else { return respond_to(&state, &name, &query, client, format).await };
    let present = state.aggregator.reports().present().await.map_err(AnswerError::from)?;
    if let Some(response) = state.responses.get(&present, &key) {
        state.aggregator.reports().answered_again();
        return Ok(response);
    }
    let response = respond_to(&state, &name, &query, client, format).await?;
    Ok(state.responses.keep(&present, key, response).await)
}

async fn respond_to(
    state: &State,
    name: &str,
    query: &ReportQuery,
    client: ClientRequest<'_>,
    format: Format,
) -> Result<Response, ApiError> {
    let asker = client.headers.get(CONSUMER).and_then(|name| name.to_str().ok());
    let report = ReportRequest::of_query(&state.answers, name, query).await?;
    let report = report.by(Asker::consumer(asker));
    let cache = match query.published {
        Some((_, Some(_))) => CachePolicy::Immutable,
        _ => CachePolicy::Revalidate,
    };
    respond::send(state, client, format, cache, &report).await
}

fn example() -> serde_json::Value {
    serde_json::json!({
        "report": "store_performance", "parameters": {"from": "2026-11-21", "to": "2026-11-21", "limit": 50},
        "snapshot": 42, "revision": null, "state": null, "currency": "EUR",
        "generated_at": "2026-11-22T08:00:00.123456Z",
        "sources": [{"name": "retail", "complete_through": "2026-11-22T07:59:30Z", "age_seconds": 31, "stale": false}],
        "columns": [{"name": "store", "type": "string", "title": "Store"},
                    {"name": "net_revenue", "type": "money", "title": "Net revenue"}],
        "row_count": 1, "rows": [{"store": "Toronto Union", "net_revenue": 1234.5}],
    })
}

/// The format asked for: by name, else by `Accept`.
fn format_of(named: Option<Format>, headers: &HeaderMap) -> Result<Format, ApiError> {
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let available = || Format::ALL.map(|it| format!("{} ({})", it.media_type(), it.name())).join(", ");
    match named {
        Some(format) => Ok(format),
        None => Format::negotiate(&accept.join(",")).ok_or_else(|| ApiError::NotAcceptable { available: available() }),
    }
}
