//! What a statement reads, and the proof that its sums over them are exact.

use std::collections::BTreeMap;
use std::sync::Arc;

use polars::prelude::{DataType, LazyFrame, PlSmallStr, PolarsResult, SchemaRef, UnionArgs, col, concat};
use sqlparser::ast::Query;

use super::error::ReportError;
use crate::report::language::bounds::{self, Extent, Overflow, ValueRange};

/// What a statement reads, by name.
pub(crate) type Inputs = BTreeMap<String, Input>;

/// One dataset, or a view with kept rows, as a statement reads it.
pub(crate) struct Input {
    pub(crate) schema: SchemaRef,
    /// Its rows.
    pub(crate) frame: LazyFrame,
    /// How many there are at most, what tells them apart, and how far their whole numbers reach.
    pub(crate) extent: Extent,
}

impl Input {
    /// Rows of files: at most so many, with the columns of their key and the farthest value from zero of each column of
    /// whole numbers.
    pub(crate) fn of(
        schema: SchemaRef,
        key: Vec<String>,
        frame: LazyFrame,
        rows: i64,
        farthest: &BTreeMap<String, f64>,
    ) -> Self {
        let rows = rows as f64;
        let column = |(name, kind): (&PlSmallStr, &DataType)| {
            let farthest = farthest.get(name.as_str()).copied().unwrap_or_default();
            (name.to_string(), ValueRange::of(kind, farthest, rows))
        };
        let columns = schema.iter().map(column).collect();
        Self { schema, frame, extent: Extent { rows, key, columns } }
    }

    /// The rows of both, of the same columns.
    pub(crate) fn above(self, below: Self) -> PolarsResult<Self> {
        let mut extent = self.extent;
        extent.rows += below.extent.rows;
        for (name, range) in &mut extent.columns {
            *range = range.zip(below.extent.columns.get(name).copied().flatten()).map(|(one, two)| one.or(two));
        }
        let frame = concat([self.frame, below.frame], UnionArgs::default())?;
        Ok(Self { schema: self.schema, frame, extent })
    }

    /// The extent, with what each column's values really come to: one pass over the rows, in floats, which do not wrap.
    fn with_totals(&self) -> PolarsResult<Extent> {
        let mut extent = self.extent.clone();
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

/// Proves that no sum or product of the statement overflows its type; blocks when the amounts have to be added up. The
/// answer is how far what it gives reaches.
///
/// # Errors
/// [`ReportError::MightOverflow`], naming the column that most likely holds an absurd amount.
pub(crate) fn prove(report: &str, query: &Query, inputs: &Inputs) -> Result<Extent, ReportError> {
    let extents = inputs.iter().map(|(name, input)| (name.clone(), input.extent.clone())).collect();
    if let Ok(proved) = bounds::prove(query, &extents) {
        return Ok(proved);
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
    let numbers = inputs.iter().flat_map(|(dataset, input)| {
        let ranges = input.extent.columns.iter();
        ranges.filter_map(move |(column, range)| Some((dataset, column, (*range)?.farthest())))
    });
    match numbers.max_by(|(.., one), (.., two)| one.total_cmp(two)) {
        Some((dataset, column, farthest)) => format!("look at {dataset}.{column}, which holds {farthest:.0}"),
        None => "no column holds a number".to_owned(),
    }
}
