//! Computing itself, in whichever process: the proof that no sum overflows, the plan, polars, the declared columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use lake::scan::FileSet;
use lake::{LakeError, References};
use polars::prelude::{DataFrame, Engine as Polars, LazyFrame, PolarsError, Schema};
use sqlparser::ast::Query;

use super::{Dataset, KeptInput, Others, Shape, Work};
use crate::report::language::bind::read_back;
use crate::report::language::header::Engine;
use crate::report::language::plan::plan;
use crate::report::language::view::with_inputs;
use crate::report::run::error::ReportError;
use crate::report::run::input::{self, Input, Inputs};
use crate::report::run::shape::shape;

/// Computes over the files of a snapshot; blocks, and needs a deep stack. Reference sets are kept for the next.
pub(super) fn compute(work: &Work, references: &References) -> Result<DataFrame, ReportError> {
    let mut query = read(&work.shape, &work.statement)?;
    let mut inputs = of_datasets(&work.datasets, references)?;
    if !work.kept.is_empty() {
        query = with_inputs(&query, &work.kept.keys().cloned().collect());
        for (name, view) in &work.kept {
            inputs.insert(name.clone(), of_kept(&work.shape, view, references)?);
        }
    }
    over(&work.shape, &query, &inputs)
}

fn read(wanted: &Shape, statement: &str) -> Result<Query, ReportError> {
    read_back(statement).map_err(|fault| failed(wanted, fault.message))
}

fn of_datasets(datasets: &BTreeMap<String, Dataset>, references: &References) -> Result<Inputs, ReportError> {
    let input =
        |(name, dataset): (&String, &Dataset)| Ok((name.clone(), of_files(&dataset.files, &dataset.key, references)?));
    datasets.iter().map(input).collect()
}

fn of_files(files: &FileSet, key: &[String], references: &References) -> Result<Input, ReportError> {
    let frame = files.frame(references).map_err(|error: LakeError| ReportError::from(error))?;
    Ok(Input::of(files.schema(), key.to_vec(), frame, files.rows, &files.farthest))
}

/// The rows of a view: the kept ones, and what its SELECT gives for the other days.
fn of_kept(wanted: &Shape, view: &KeptInput, references: &References) -> Result<Input, ReportError> {
    let kept = view.rows.as_ref().map(|files| of_files(files, &view.key, references)).transpose()?;
    let Some(Others { select, datasets }) = &view.others else {
        return kept.ok_or_else(|| failed(wanted, "a view without rows and without a statement".to_owned()));
    };
    let (select, inputs) = (read(wanted, select)?, of_datasets(datasets, references)?);
    let mut extent = input::prove(&wanted.report, &select, &inputs)?;
    extent.key.clone_from(&view.key);
    let (frame, schema) = planned(wanted, &select, &inputs)?;
    let computed = Input { schema: Arc::new(schema), frame, extent };
    match kept {
        None => Ok(computed),
        Some(kept) => kept.above(computed).map_err(|source| engine(wanted, source)),
    }
}

/// What was sound over empty tables is sound over these.
fn planned(wanted: &Shape, query: &Query, inputs: &Inputs) -> Result<(LazyFrame, Schema), ReportError> {
    let tables = inputs.iter().map(|(name, input)| (name, input.frame.clone(), &*input.schema));
    plan(query, tables).map_err(|fault| failed(wanted, fault.message))
}

fn engine(wanted: &Shape, source: PolarsError) -> ReportError {
    ReportError::Engine { report: wanted.report.clone(), source: Arc::new(source) }
}

/// Computes a statement over its datasets. A result of too many rows is refused.
pub(crate) fn over(wanted: &Shape, query: &Query, inputs: &Inputs) -> Result<DataFrame, ReportError> {
    input::prove(&wanted.report, query, inputs)?;
    let (plan, _) = planned(wanted, query, inputs)?;
    let limit = u32::try_from(wanted.most_rows).unwrap_or(u32::MAX - 1);
    let plan = plan.limit(limit + 1);
    let with = match wanted.engine {
        Engine::Streaming => Polars::Streaming,
        Engine::InMemory => Polars::InMemory,
    };
    let frame = plan.collect_with_engine(with).map_err(|source| engine(wanted, source))?.unwrap_single();
    if frame.height() > wanted.most_rows {
        return Err(ReportError::TooManyRows { report: wanted.report.clone(), limit: wanted.most_rows });
    }
    shape(&frame, wanted)
}

fn failed(wanted: &Shape, message: String) -> ReportError {
    engine(wanted, PolarsError::ComputeError(message.into()))
}
