//! Reports: one SQL file each over the lake, checked at load, bound safely, computed off the
//! async threads, exact to the cent.
//!
//! `header`, `param` and `dates` say what a report asks for; `check` is the allow-list; `bind` makes
//! values literals; `view` and `catalogue` put files together; `engine` runs what is left.

mod bind;
mod cache;
mod catalogue;
mod check;
mod compile;
mod dates;
mod diagnostic;
mod engine;
mod error;
mod header;
mod now;
mod param;
mod resolve;
mod schema;
mod shape;
mod value;
mod view;

#[cfg(test)]
mod company;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, Utc};
use polars::prelude::DataFrame;
use serde::Serialize;

pub use cache::Computed;
pub use catalogue::{Catalogue, Origin, Schemas};
pub use compile::Report;
pub use diagnostic::Diagnostic;
pub(crate) use engine::Engine;
pub use engine::MAX_ROWS;
pub use error::ReportError;
pub use header::{Chart, ChartKind, ColumnType, Grain, ReportColumn};
pub use param::{ParamType, Parameter};
pub use view::View;

use crate::Aggregator;
use crate::publish;
use crate::source::SourceStatus;

/// A computed report.
#[derive(Debug, Clone)]
pub struct ReportResult {
    pub report: Arc<Report>,
    /// The resolved parameters.
    pub parameters: BTreeMap<String, serde_json::Value>,
    pub snapshot: i64,
    /// The rows in the report's order; money columns are `Int64` cents.
    pub frame: DataFrame,
    /// The same rows, shared with every answer of the same, and their JSON once it was encoded.
    pub computed: Arc<Computed>,
    /// The sources that the report reads, as of the answer.
    pub sources: Vec<SourceFreshness>,
    pub computed_at: DateTime<Utc>,
}

impl ReportResult {
    /// What the rows are made of.
    #[must_use]
    pub fn columns(&self) -> &[ReportColumn] {
        &self.report.columns
    }
}

/// How fresh a source was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceFreshness {
    pub name: String,
    pub complete_through: Option<DateTime<Utc>>,
    pub age_seconds: Option<i64>,
    pub stale: bool,
}

/// The catalogue as it is now.
#[must_use]
pub fn catalogue(aggregator: &Aggregator) -> Arc<Catalogue> {
    aggregator.reports.catalogue()
}

/// Reads the catalogue's files again, and makes tables and views for what is published newly; runs
/// that have begun end with the old one.
///
/// # Errors
/// When the database fails.
pub async fn reload(aggregator: &Aggregator) -> Result<Arc<Catalogue>, ReportError> {
    let catalogue = aggregator.reports.reload().await?;
    publish::prepare(aggregator.db(), &catalogue).await.map_err(crate::Error::from)?;
    Ok(catalogue)
}

/// Computes a report for a caller: `params` as text, a `snapshot` or the newest.
///
/// # Errors
/// See [`ReportError`]; [`ReportError::is_callers`] tells a 4xx from a fault.
pub async fn run(
    aggregator: &Aggregator,
    name: &str,
    params: &BTreeMap<String, String>,
    snapshot: Option<i64>,
) -> Result<Arc<ReportResult>, ReportError> {
    let report = find(&catalogue(aggregator), name)?;
    let clock = clock(aggregator, &report).await?;
    let resolved = resolve::for_caller(&report, params, clock)?;
    compute(aggregator, report, resolved, snapshot).await
}

/// Computes a report as the nightly run publishes it for a business day.
pub(crate) async fn run_for_day(
    aggregator: &Aggregator,
    report: Arc<Report>,
    business_day: NaiveDate,
    snapshot: Option<i64>,
) -> Result<Arc<ReportResult>, ReportError> {
    let resolved = resolve::for_day(&report, business_day, today(aggregator))?;
    compute(aggregator, report, resolved, snapshot).await
}

/// The report of that name.
pub(crate) fn find(catalogue: &Catalogue, name: &str) -> Result<Arc<Report>, ReportError> {
    if let Some(report) = catalogue.get(name) {
        return Ok(Arc::clone(report));
    }
    let name = name.to_owned();
    match catalogue.broken().get(&name) {
        Some(diagnostics) => Err(ReportError::Broken { name, diagnostics: diagnostics.clone() }),
        None => Err(ReportError::UnknownReport { name }),
    }
}

/// Today in the company's zone.
fn today(aggregator: &Aggregator) -> NaiveDate {
    Utc::now().with_timezone(&aggregator.settings().time_zone).date_naive()
}

/// The days that a caller's relative ones are counted from.
async fn clock(aggregator: &Aggregator, report: &Report) -> Result<resolve::Clock, ReportError> {
    let today = today(aggregator);
    // Looking for the complete day reads the lake: only for who asks for it.
    let asks = report.params.values().any(|parameter| {
        parameter.default.as_ref().is_some_and(|default| default.to_string().contains("complete_day"))
    });
    let complete = if asks { complete_day(aggregator, report).await? } else { today - Days::new(1) };
    Ok(resolve::Clock { today, complete })
}

/// The last business day that had ended everywhere by the least `complete_through` of the report's
/// sources; yesterday while one of them was never polled.
async fn complete_day(aggregator: &Aggregator, report: &Report) -> Result<NaiveDate, ReportError> {
    let yesterday = today(aggregator) - Days::new(1);
    let sources = freshness(aggregator, report).await?;
    let Some(Some(through)) = sources.iter().map(|source| source.complete_through).min() else {
        return Ok(yesterday);
    };
    let local = through.with_timezone(&aggregator.settings().time_zone).date_naive();
    // No zone is more than a day away from another.
    for back in 0..3 {
        let day = local - Days::new(back);
        if publish::day_end(aggregator, day).await? <= through {
            return Ok(day);
        }
    }
    Ok(local - Days::new(3))
}

async fn compute(
    aggregator: &Aggregator,
    report: Arc<Report>,
    resolved: resolve::Resolved,
    snapshot: Option<i64>,
) -> Result<Arc<ReportResult>, ReportError> {
    let now = aggregator.reports.clock.now(aggregator).await?;
    let snapshot = snapshot.unwrap_or(now.snapshot);
    let parameters = resolved.parameters.iter().map(|(name, value)| (name.clone(), value.to_json())).collect();
    let computed = aggregator.reports.compute(aggregator, &report, resolved, snapshot).await?;
    let sources = freshness_of(&sources_of(aggregator, &report), &now.sources);
    let (frame, computed_at) = (computed.frame.clone(), computed.computed_at);
    Ok(Arc::new(ReportResult { report, parameters, snapshot, frame, computed, sources, computed_at }))
}

/// The sources that a report reads.
#[must_use]
pub fn sources_of(aggregator: &Aggregator, report: &Report) -> BTreeSet<String> {
    let source = |dataset: &String| Some(aggregator.dataset(dataset)?.0.declaration.name.clone());
    report.datasets.iter().filter_map(source).collect()
}

/// How fresh the sources of a report are now.
///
/// # Errors
/// When the database cannot be asked.
pub async fn freshness(aggregator: &Aggregator, report: &Report) -> Result<Vec<SourceFreshness>, ReportError> {
    let now = aggregator.reports.clock.now(aggregator).await?;
    Ok(freshness_of(&sources_of(aggregator, report), &now.sources))
}

/// Tells the reports that something was committed in this process, so that the next answer sees it.
pub fn moved_on(aggregator: &Aggregator) {
    aggregator.reports.clock.moved_on();
}

fn freshness_of(wanted: &BTreeSet<String>, statuses: &[SourceStatus]) -> Vec<SourceFreshness> {
    let now = Utc::now();
    let read = statuses.iter().filter(|status| wanted.contains(&status.name));
    read.map(|status| SourceFreshness {
        name: status.name.clone(),
        complete_through: status.complete_through,
        age_seconds: status.complete_through.map(|through| (now - through).num_seconds().max(0)),
        stale: status.stale,
    })
    .collect()
}

/// The statement that a run with these parameters executes, with the datasets it reads: the same text
/// runs in any engine that sees the lake.
///
/// # Errors
/// As [`run`].
pub async fn statement(
    aggregator: &Aggregator,
    name: &str,
    params: &BTreeMap<String, String>,
) -> Result<(Arc<Report>, String), ReportError> {
    let report = find(&catalogue(aggregator), name)?;
    let clock = clock(aggregator, &report).await?;
    let resolved = resolve::for_caller(&report, params, clock)?;
    let text = engine::statement(&report, &resolved)?;
    Ok((report, text))
}
