//! The datasets that a statement reads, and the proof that its sums over them are exact.

use std::collections::BTreeMap;
use std::sync::Arc;

use polars::prelude::{DataType, LazyFrame, PlSmallStr, PolarsResult, SchemaRef, col};
use sqlparser::ast::Query;

use super::error::ReportError;
use crate::report::language::bounds::{self, Extent, Overflow, ValueRange};

/// The datasets of a report, by name.
pub(crate) type Inputs = BTreeMap<String, Input>;

/// One dataset as a statement reads it.
pub(crate) struct Input {
    pub(crate) schema: SchemaRef,
    /// The columns of its key.
    pub(crate) key: Vec<String>,
    /// Its rows.
    pub(crate) frame: LazyFrame,
    /// How many there are at most.
    pub(crate) rows: i64,
    /// The farthest value from zero of each column of whole numbers.
    pub(crate) farthest: BTreeMap<String, f64>,
}

impl Input {
    fn extent(&self) -> Extent {
        let rows = self.rows as f64;
        let column = |(name, kind): (&PlSmallStr, &DataType)| {
            (name.to_string(), ValueRange::of(kind, self.farthest(name), rows))
        };
        Extent { rows, key: self.key.clone(), columns: self.schema.iter().map(column).collect() }
    }

    fn farthest(&self, column: &str) -> f64 {
        self.farthest.get(column).copied().unwrap_or_default()
    }

    /// The extent, with what each column's values really come to: one pass over the rows, in floats, which do not wrap.
    fn with_totals(&self) -> PolarsResult<Extent> {
        let mut extent = self.extent();
        let numbers = extent.columns.iter_mut().filter_map(|(name, range)| Some((name.as_str(), range.as_mut()?)));
        let numbers: Vec<_> = numbers.collect();
        let totals = numbers.iter().map(|(name, _)| col(*name).cast(DataType::Float64).abs().sum());
        let totals = self.frame.clone().select(totals.collect::<Vec<_>>()).collect()?;
        for (name, range) in numbers {
            *range = range.with_total(totals.column(name)?.f64()?.get(0).unwrap_or_default());
        }
        Ok(extent)
    }
}

/// Proves that no sum or product of the statement overflows its type; blocks when the amounts have to be added up.
///
/// # Errors
/// [`ReportError::MightOverflow`], naming the column that most likely holds an absurd amount.
pub(crate) fn prove(report: &str, query: &Query, inputs: &Inputs) -> Result<(), ReportError> {
    let extents = inputs.iter().map(|(name, input)| (name.clone(), input.extent())).collect();
    if bounds::prove(query, &extents).is_ok() {
        return Ok(());
    }
    let added_up = inputs.iter().map(|(name, input)| Ok((name.clone(), input.with_totals()?)));
    let added_up = added_up
        .collect::<PolarsResult<_>>()
        .map_err(|source| ReportError::Engine { report: report.to_owned(), source: Arc::new(source) })?;
    bounds::prove(query, &added_up).map_err(|Overflow { expression, bound }| ReportError::MightOverflow {
        expression,
        bound,
        suspect: suspect(inputs),
    })
}

/// Where to look first: the farthest number that is read.
fn suspect(inputs: &Inputs) -> String {
    let numbers = inputs
        .iter()
        .flat_map(|(dataset, input)| input.farthest.iter().map(move |(column, farthest)| (dataset, column, *farthest)));
    match numbers.max_by(|(.., one), (.., two)| one.total_cmp(two)) {
        Some((dataset, column, farthest)) => format!("look at {dataset}.{column}, which holds {farthest:.0}"),
        None => "no column holds a number".to_owned(),
    }
}
