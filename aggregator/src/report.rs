//! Reports: one SQL file each over the lake, checked at load, bound safely, computed off the
//! async threads, exact to the cent.
//!
//! `language` knows what a file says and what its statement may do, and reads no row; `run` computes it on a snapshot.

mod language;
mod run;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use polars::prelude::DataFrame;
use serde::Serialize;

pub use language::catalogue::{Catalogue, Origin, Schemas};
pub use language::compile::Report;
pub use language::diagnostic::Diagnostic;
pub use language::given::Given;
pub use language::header::{Chart, ChartKind, Check, ColumnType, Grain, ReportColumn};
pub use language::keep::Kept;
pub use language::param::{ParamType, Parameter};
pub use language::resolve::ParameterError;
pub use language::view::View;
pub use run::Reports;
pub use run::ask::{Bounds, FEW, Question};
pub use run::cache::Computed;
pub(crate) use run::day_end::day_end;
pub(crate) use run::deep::start_polars;
pub use run::engine::{Asker, Filed, OUT_OF_MEMORY, Workers, WriteFile, as_worker, own_program, work};
pub(crate) use run::engine::{Engine, Here, Local};
pub use run::error::ReportError;
pub use run::keep::{KeptMonth, Rollup, Verified};
pub use run::now::Present;
pub use run::shared::Shared;
pub(crate) use run::statements::check_files;

use crate::source::{SourceStatus, offer};

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
    /// What the report reads and the source's version does not offer: a dataset, or `dataset.column`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
}

impl SourceFreshness {
    /// How fresh a source is for a report.
    #[must_use]
    pub fn of(status: &SourceStatus, report: &Report, now: DateTime<Utc>) -> Self {
        let complete_through = status.complete_through_of(&report.datasets);
        let held = complete_through != status.complete_through;
        let age = complete_through.map(|through| (now - through).num_seconds().max(0));
        Self {
            name: status.name.clone(),
            complete_through,
            age_seconds: age,
            stale: if held { status.is_stale(age) } else { status.stale },
            absent: status.absent.keys().filter(|it| report.lacks(offer::split(it))).cloned().collect(),
        }
    }
}
