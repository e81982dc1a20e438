//! Reports: one SQL file each over the lake, checked at load, bound safely, computed off the
//! async threads, exact to the cent.
//!
//! `language` knows what a file says and what its statement may do, and reads no row; `run` computes it on a snapshot.

mod language;
mod run;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::DataFrame;
use serde::Serialize;

pub use language::catalogue::{Catalogue, Origin, Schemas};
pub use language::compile::Report;
pub use language::diagnostic::Diagnostic;
pub use language::header::{Chart, ChartKind, Check, ColumnType, Grain, ReportColumn};
pub use language::param::{ParamType, Parameter};
pub use language::resolve::ParameterError;
pub use language::view::View;
pub use run::ask::{Bounds, Question, ask};
pub use run::cache::Computed;
pub(crate) use run::deep::start_polars;
pub(crate) use run::engine::Engine;
pub use run::engine::check_files;
pub use run::error::ReportError;

use crate::publish;
use crate::source::SourceStatus;
use crate::{Aggregator, metric};
use language::resolve;

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

/// One look at the newest snapshot and the sources' status. Whatever is asked of the newest snapshot has one answer as
/// long as [`present`] gives an equal one.
#[derive(Debug, Clone)]
pub struct Present(Arc<run::now::Now>);

impl PartialEq for Present {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The present: the last look while it is fresh, else a new one.
///
/// # Errors
/// When the database fails.
pub async fn present(aggregator: &Aggregator) -> Result<Present, ReportError> {
    Ok(aggregator.reports.clock.now(aggregator).await.map(Present)?)
}

/// Counts an answer that was given again, as one from the cache.
pub fn answered_again() {
    metric::report_result(true);
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

/// Reads the catalogue's files again if those of the user's folder are others than they were; the catalogue, if so.
///
/// # Errors
/// When the database fails; the reports work all the same, and the tables of new ones are made when they are published.
pub async fn reload_if_changed(aggregator: &Aggregator) -> Result<Option<Arc<Catalogue>>, ReportError> {
    if aggregator.reports.has_changed().await { reload(aggregator).await.map(Some) } else { Ok(None) }
}

/// Computes a report for a caller who waits: `params` as text, a `snapshot` or the newest.
///
/// # Errors
/// See [`ReportError`]; [`ReportError::is_callers`] tells a 4xx from a fault.
pub async fn run(
    aggregator: &Aggregator,
    name: &str,
    params: &BTreeMap<String, String>,
    snapshot: Option<i64>,
) -> Result<Arc<ReportResult>, ReportError> {
    ask(aggregator, name, params, snapshot).await?.compute(aggregator, Bounds::ON_DEMAND).await
}

/// Computes a report as the nightly run publishes it for a business day.
pub(crate) async fn run_for_day(
    aggregator: &Aggregator,
    report: Arc<Report>,
    business_day: NaiveDate,
    snapshot: Option<i64>,
) -> Result<Arc<ReportResult>, ReportError> {
    let resolved = resolve::for_day(&report, business_day, run::ask::today(aggregator))?;
    let bound = Arc::new(run::engine::bound(aggregator, &report, &resolved)?);
    Question::new(aggregator, report, bound, snapshot).await?.compute(aggregator, Bounds::PUBLISHING).await
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

/// The business days on which hangs what is published of a report for one, apart and in order: a change of any of them
/// may change its figures.
#[must_use]
pub fn days_behind(
    aggregator: &Aggregator,
    report: &Report,
    business_day: NaiveDate,
) -> Vec<RangeInclusive<NaiveDate>> {
    resolve::days_behind(report, business_day, run::ask::today(aggregator))
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
    let clock = run::ask::clock(aggregator, &report, params).await?;
    let bound = aggregator.reports.bound(aggregator, &report, params, clock).await?;
    Ok((report, bound.statement.text.to_string()))
}
