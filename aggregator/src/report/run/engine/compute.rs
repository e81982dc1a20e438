//! Computing itself, in whichever process: the proof that no sum overflows, the plan, polars, the declared columns.

use std::sync::Arc;

use lake::scan::FileSet;
use lake::{LakeError, References};
use polars::prelude::{DataFrame, Engine as Polars, PolarsError};
use sqlparser::ast::Query;

use super::{Shape, Work};
use crate::report::language::bind::read_back;
use crate::report::language::header::Engine;
use crate::report::language::plan::plan;
use crate::report::run::error::ReportError;
use crate::report::run::input::{self, Input, Inputs};
use crate::report::run::shape::shape;

/// Computes over the files of a snapshot; blocks, and needs a deep stack. Reference sets are kept for the next.
pub(super) fn compute(work: &Work, references: &References) -> Result<DataFrame, ReportError> {
    let query = read_back(&work.statement).map_err(|fault| failed(&work.shape, fault.message))?;
    let mut inputs = Inputs::new();
    for (name, dataset) in &work.datasets {
        let FileSet { rows, farthest, .. } = &dataset.files;
        let frame = dataset.files.frame(references).map_err(|error: LakeError| ReportError::from(error))?;
        let (schema, key) = (dataset.files.schema(), dataset.key.clone());
        inputs.insert(name.clone(), Input { schema, key, frame, rows: *rows, farthest: farthest.clone() });
    }
    over(&work.shape, &query, &inputs)
}

/// Computes a statement over its datasets. A result of too many rows is refused.
pub(crate) fn over(wanted: &Shape, query: &Query, inputs: &Inputs) -> Result<DataFrame, ReportError> {
    let engine = |source| ReportError::Engine { report: wanted.report.clone(), source: Arc::new(source) };
    input::prove(&wanted.report, query, inputs)?;
    let tables = inputs.iter().map(|(name, input)| (name, input.frame.clone(), &*input.schema));
    // What was sound over empty tables is sound over these.
    let (plan, _) = plan(query, tables).map_err(|fault| failed(wanted, fault.message))?;
    let limit = u32::try_from(wanted.most_rows).unwrap_or(u32::MAX - 1);
    let plan = plan.limit(limit + 1);
    let with = match wanted.engine {
        Engine::Streaming => Polars::Streaming,
        Engine::InMemory => Polars::InMemory,
    };
    let frame = plan.collect_with_engine(with).map_err(engine)?.unwrap_single();
    if frame.height() > wanted.most_rows {
        return Err(ReportError::TooManyRows { report: wanted.report.clone(), limit: wanted.most_rows });
    }
    shape(&frame, wanted)
}

fn failed(wanted: &Shape, message: String) -> ReportError {
    let source = Arc::new(PolarsError::ComputeError(message.into()));
    ReportError::Engine { report: wanted.report.clone(), source }
}
