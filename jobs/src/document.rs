//! From a computed or published report to what the encoders take.

use std::{collections::BTreeMap, sync::Arc};

use aggregator::{
    Aggregator,
    publish::{PublishedColumn, PublishedRows, Revision},
    report::{ColumnType, Computed, Report, ReportResult, SourceFreshness},
};
use exports::{Column, Kind, Provenance, Source};
use polars::prelude::DataFrame;
use serde::Deserialize;

/// Rows with all that is told about them.
#[derive(Debug, Clone)]
pub struct Document {
    /// Where the rows come from.
    pub provenance: Provenance,
    /// What they are made of.
    pub columns: Vec<Column>,
    /// The rows, shared with every other answer that holds them; money in integer cents.
    pub computed: Arc<Computed>,
}

impl Document {
    /// The rows.
    #[must_use]
    pub fn frame(&self) -> &DataFrame {
        &self.computed.frame
    }
}

/// Equal for equal rows of the same columns: part of cache keys and entity tags.
#[must_use]
pub fn identity(report: &Report, snapshot: i64, parameters: &BTreeMap<String, serde_json::Value>) -> String {
    let parameters = serde_json::to_string(parameters).unwrap_or_default();
    format!("computed {} {snapshot} {parameters}", report.digest)
}

/// The same for a published revision.
#[must_use]
pub fn identity_of_revision(revision: &Revision) -> String {
    format!("published {} {} {}", revision.report, revision.revision_id, revision.digest)
}

/// Since when a revision is outdated, as every answer tells it.
#[must_use]
pub fn outdated(revision: &Revision) -> Option<exports::Outdated> {
    let outdated = &revision.outdated.as_ref()?.0;
    Some(exports::Outdated { since: outdated.since, by: outdated.by.clone() })
}

/// How fresh sources are, as every format tells it.
#[must_use]
pub fn sources(freshness: &[SourceFreshness]) -> Vec<Source> {
    let source = |source: &SourceFreshness| Source {
        name: source.name.clone(),
        complete_through: source.complete_through,
        age_seconds: source.age_seconds,
        stale: source.stale,
    };
    freshness.iter().map(source).collect()
}

/// The document of a result computed on demand.
#[must_use]
pub fn of_result(aggregator: &Aggregator, result: &ReportResult) -> Document {
    let columns = result.columns().iter().map(|column| Column {
        name: column.name.clone(),
        kind: kind(column.kind),
        title: column.title.clone(),
    });
    Document {
        provenance: Provenance {
            report: result.report.name.clone(),
            title: result.report.title.clone(),
            parameters: result.parameters.clone(),
            snapshot: result.snapshot,
            revision: None,
            state: None,
            currency: aggregator.settings().currency.clone(),
            generated_at: result.computed_at,
            sources: sources(&result.sources),
            row_count: Some(result.frame.height() as u64),
            outdated: None,
        },
        columns: columns.collect(),
        computed: Arc::clone(&result.computed),
    }
}

/// The document of a published revision.
#[must_use]
pub fn of_published(aggregator: &Aggregator, rows: PublishedRows) -> Document {
    let PublishedRows { revision, columns, frame } = rows;
    let catalogue = aggregator.reports().catalogue();
    let report = catalogue.get(&revision.report);
    Document {
        columns: self::columns(report, &columns),
        provenance: Provenance {
            title: report.map_or_else(|| revision.report.clone(), |report| report.title.clone()),
            report: revision.report,
            parameters: serde_json::from_value(revision.parameters).unwrap_or_default(),
            snapshot: revision.snapshot,
            revision: Some(revision.revision),
            state: Some(revision.state.name().to_owned()),
            currency: revision.currency,
            generated_at: revision.generated_at,
            sources: Vec::<Source>::deserialize(revision.sources).unwrap_or_default(),
            row_count: Some(frame.height() as u64),
            outdated: None,
        },
        computed: Arc::new(Computed::new(frame)),
    }
}

/// Published columns, with the titles of today's report where it still has the column.
#[must_use]
pub fn columns(report: Option<&Arc<Report>>, columns: &[PublishedColumn]) -> Vec<Column> {
    let title = |name: &str| {
        let column = report.and_then(|report| report.columns.iter().find(|column| column.name == name));
        column.map_or_else(|| name.to_owned(), |column| column.title.clone())
    };
    let column = |column: &PublishedColumn| Column {
        name: column.name.clone(),
        kind: kind(column.kind),
        title: title(&column.name),
    };
    columns.iter().map(column).collect()
}

fn kind(kind: ColumnType) -> Kind {
    match kind {
        ColumnType::Int32 => Kind::Int32,
        ColumnType::Int64 => Kind::Int64,
        ColumnType::Float => Kind::Float,
        ColumnType::String => Kind::String,
        ColumnType::Bool => Kind::Bool,
        ColumnType::Date => Kind::Date,
        ColumnType::Timestamp => Kind::Timestamp,
        ColumnType::Money => Kind::Money,
    }
}
