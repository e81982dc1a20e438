//! From a computed or published report to what the encoders take.

use std::{collections::BTreeMap, sync::Arc};

use aggregator::{
    Aggregator,
    publish::{PublishedColumn, PublishedRows, Revision},
    report::{ColumnType, Computed, Question, Report, ReportColumn, ReportResult, SourceFreshness},
};
use chrono::Utc;
use exports::{Column, Kind, Provenance, Source};
use polars::prelude::DataFrame;
use serde::Deserialize;

/// Rows with everything that is reported about them.
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

/// Since when a revision is outdated, as every answer has it.
#[must_use]
pub fn outdated(revision: &Revision) -> Option<exports::Outdated> {
    let outdated = &revision.outdated.as_ref()?.0;
    Some(exports::Outdated { since: outdated.since, by: outdated.by.clone() })
}

/// How fresh sources are, as every format has it.
#[must_use]
pub fn sources(freshness: &[SourceFreshness]) -> Vec<Source> {
    let source = |source: &SourceFreshness| Source {
        name: source.name.clone(),
        complete_through: source.complete_through,
        age_seconds: source.age_seconds,
        stale: source.stale,
        absent: source.absent.clone(),
    };
    freshness.iter().map(source).collect()
}

/// The document of a result computed on demand.
#[must_use]
pub fn of_result(aggregator: &Aggregator, result: &ReportResult) -> Document {
    let ReportResult { report, parameters, snapshot, .. } = result;
    let (provenance, columns) = about(aggregator, report, parameters, *snapshot, &result.sources);
    Document {
        provenance: Provenance {
            generated_at: result.computed_at,
            row_count: Some(result.frame.height() as u64),
            ..provenance
        },
        columns,
        computed: Arc::clone(&result.computed),
    }
}

/// What is known of the answer to a question before it is computed: not how many rows it has.
#[must_use]
pub fn of_question(aggregator: &Aggregator, question: &Question) -> (Provenance, Vec<Column>) {
    about(aggregator, question.report(), question.parameters(), question.snapshot(), &question.sources())
}

fn about(
    aggregator: &Aggregator,
    report: &Report,
    parameters: &BTreeMap<String, serde_json::Value>,
    snapshot: i64,
    freshness: &[SourceFreshness],
) -> (Provenance, Vec<Column>) {
    let currency = aggregator.settings().currency;
    let provenance = Provenance {
        report: report.name.clone(),
        title: report.title.clone(),
        parameters: parameters.clone(),
        snapshot,
        revision: None,
        state: None,
        currency: currency.code().to_owned(),
        generated_at: Utc::now(),
        sources: sources(freshness),
        row_count: None,
        outdated: None,
    };
    let column = |column: &ReportColumn| Column {
        name: column.name.clone(),
        kind: kind(column.kind, currency.decimals()),
        title: column.title.clone(),
    };
    (provenance, report.columns.iter().map(column).collect())
}

/// The document of a published revision.
#[must_use]
pub fn of_published(aggregator: &Aggregator, rows: PublishedRows) -> Document {
    let PublishedRows { revision, columns, frame } = rows;
    let catalogue = aggregator.reports().catalogue();
    let report = catalogue.get(&revision.report);
    Document {
        columns: self::columns(report, &columns, revision.decimals()),
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

/// Published columns, with the titles of today's report where it still has the column; amounts have so many decimals.
#[must_use]
pub fn columns(report: Option<&Arc<Report>>, columns: &[PublishedColumn], decimals: u8) -> Vec<Column> {
    let title = |name: &str| {
        let column = report.and_then(|report| report.columns.iter().find(|column| column.name == name));
        column.map_or_else(|| name.to_owned(), |column| column.title.clone())
    };
    let column = |column: &PublishedColumn| Column {
        name: column.name.clone(),
        kind: kind(column.kind, decimals),
        title: title(&column.name),
    };
    columns.iter().map(column).collect()
}

fn kind(kind: ColumnType, decimals: u8) -> Kind {
    match kind {
        ColumnType::Int32 => Kind::Int32,
        ColumnType::Int64 => Kind::Int64,
        ColumnType::Float => Kind::Float,
        ColumnType::String => Kind::String,
        ColumnType::Bool => Kind::Bool,
        ColumnType::Date => Kind::Date,
        ColumnType::Timestamp => Kind::Timestamp,
        ColumnType::Money => Kind::Money { decimals },
    }
}
