//! Reports: one SQL file each over the lake, checked at load, bound safely, computed off the
//! async threads, exact to the cent.
//!
//! `header`, `param` and `dates` say what a report asks for; `check` is the allow-list; `bind` makes
//! values literals; `view` and `catalogue` put files together; `engine` runs what is left.

mod bind;
mod catalogue;
mod check;
mod compile;
mod dates;
mod diagnostic;
mod engine;
mod error;
mod header;
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
use crate::lake::snapshot;
use crate::{publish, source};

/// A computed report.
#[derive(Debug, Clone)]
pub struct ReportResult {
    pub report: Arc<Report>,
    /// The resolved parameters.
    pub parameters: BTreeMap<String, serde_json::Value>,
    pub snapshot: i64,
    /// The rows in the report's order; money columns are `Int64` cents.
    pub frame: DataFrame,
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
    let clock = resolve::Clock { today: today(aggregator), complete: complete_day(aggregator, &report).await? };
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
    let snapshot = match snapshot {
        Some(snapshot) => snapshot,
        None => snapshot::current(aggregator.db()).await?,
    };
    let parameters = resolved.parameters.iter().map(|(name, value)| (name.clone(), value.to_json())).collect();
    let frame = aggregator.reports.compute(aggregator, &report, resolved, snapshot).await?;
    let sources = freshness(aggregator, &report).await?;
    Ok(Arc::new(ReportResult { report, parameters, snapshot, frame, sources, computed_at: Utc::now() }))
}

/// The sources that a report reads.
#[must_use]
pub fn sources_of(aggregator: &Aggregator, report: &Report) -> BTreeSet<String> {
    let source = |dataset: &String| Some(aggregator.dataset(dataset)?.0.declaration.name.clone());
    report.datasets.iter().filter_map(source).collect()
}

/// How fresh the sources of a report are now.
pub async fn freshness(aggregator: &Aggregator, report: &Report) -> Result<Vec<SourceFreshness>, ReportError> {
    let wanted = sources_of(aggregator, report);
    let statuses = source::status(aggregator).await?;
    let read = statuses.into_iter().filter(|status| wanted.contains(&status.name));
    Ok(read
        .map(|status| SourceFreshness {
            name: status.name,
            complete_through: status.complete_through,
            age_seconds: status.age_seconds,
            stale: status.stale,
        })
        .collect())
}
