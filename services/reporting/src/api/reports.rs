//! Reports: the catalogue, and one report computed on demand or as it was published.

use std::collections::{BTreeMap, BTreeSet};

use ::exports::Format;
use aggregator::report::{self, Chart, Grain, Parameter, Report, ReportColumn};
use axum::{
    extract::{RawQuery, State as Of},
    http::{HeaderMap, Method, header},
    response::Response,
};
use kit::{
    error::ApiError,
    extract::{Json, Path},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    answer::{self, Kept},
    error,
    query::ReportQuery,
};
use crate::State;

/// The catalogue.
#[derive(Debug, Serialize, ToSchema)]
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
    let catalogue = report::catalogue(&state.aggregator);
    let statuses = aggregator::source::status(&state.aggregator).await.map_err(error::of_aggregator)?;
    let items = catalogue
        .reports()
        .map(|report| {
            let reads = |source: &&aggregator::source::SourceStatus| {
                source.datasets.iter().any(|dataset| report.datasets.contains(dataset))
            };
            let sources = statuses.iter().filter(reads).map(|source| ::exports::Source {
                name: source.name.clone(),
                complete_through: source.complete_through,
                age_seconds: source.age_seconds,
                stale: source.stale,
            });
            Entry { report: ReportView::of(report), sources: sources.collect() }
        })
        .collect();
    let broken = catalogue.broken().values().flatten().map(ToString::to_string).collect();
    Ok(Json(Catalogue { items, broken, next: None }))
}

/// One report, computed now from the latest snapshot, or as it was published.
///
/// Every parameter of the report is a query parameter. Besides: `format` (else `Accept` decides), `business_day` and
/// `revision` for what was published, `snapshot` for an earlier state of the lake.
#[utoipa::path(get, path = "/reports/{name}", tag = "reports",
    params(("name" = String, Path, description = "The report"),
           ("format" = Option<String>, Query, description = "json, ndjson, csv, csv-spreadsheet, parquet, xlsx or arrow"),
           ("business_day" = Option<String>, Query, description = "The published revision of this day instead"),
           ("revision" = Option<i32>, Query, description = "Which revision of that day; the newest when absent"),
           ("snapshot" = Option<i64>, Query, description = "An earlier snapshot of the lake")),
    responses((status = 200, description = "The report"), (status = 304, description = "As you have it"),
              (status = 404, description = "There is no such report, or nothing was published for that day"),
              (status = 406, description = "None of the formats in `Accept` is to be had")))]
pub async fn get(
    Of(state): Of<State>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = ReportQuery::read(query.as_deref().unwrap_or_default())?;
    let format = format_of(query.format, &headers)?;
    let result = match query.published {
        Some((day, revision)) => answer::published(&state, &name, day, revision).await?,
        None => answer::computed(&state, &name, &query.parameters, query.snapshot).await?,
    };
    let kept = if matches!(query.published, Some((_, Some(_)))) { Kept::Immutable } else { Kept::Asked };
    answer::send(&state, &method, &headers, format, kept, result).await
}

/// The format asked for: by name, else by `Accept`.
fn format_of(named: Option<Format>, headers: &HeaderMap) -> Result<Format, ApiError> {
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    match named {
        Some(format) => Ok(format),
        None => Format::negotiate(&accept.join(",")).ok_or_else(|| {
            let types: BTreeMap<&str, &str> = Format::ALL.map(|format| (format.name(), format.media_type())).into();
            let types: Vec<&str> = types.into_values().collect();
            ApiError::NotAcceptable { available: types.join(", ") }
        }),
    }
}
