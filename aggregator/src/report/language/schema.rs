//! Asking the engine, without any row, what a statement gives and whether its columns exist.

use polars::prelude::{DataFrame, DataType, IntoLazy, PolarsError, Schema};
use polars::sql::SQLContext;

use super::catalogue::Schemas;
use super::diagnostic::Fault;
use super::header::ColumnType;

/// The columns that a statement gives.
pub(crate) fn output(sql: &str, schemas: &Schemas) -> Result<Schema, Fault> {
    let mut context = SQLContext::new();
    for (name, schema) in schemas {
        context.register(name, DataFrame::empty_with_schema(schema).lazy());
    }
    let plan = context.execute(sql).and_then(|mut plan| plan.collect_schema());
    plan.map(|schema| schema.as_ref().clone()).map_err(|error| engine_fault(&error))
}

/// The engine tells no place, but most often the column it misses.
fn engine_fault(error: &PolarsError) -> Fault {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    match error {
        PolarsError::ColumnNotFound(_) => Fault::new(format!("unknown column: {first}")),
        PolarsError::SQLInterface(_) | PolarsError::SQLSyntax(_) => Fault::new(first)
            .hint("the engine does not take this form; see the table of forms that work in aggregator/README.md"),
        _ => Fault::new(first),
    }
}

/// Whether a column of this type can become the declared one.
pub(crate) fn fits(found: &DataType, declared: ColumnType) -> bool {
    match declared {
        ColumnType::Int32 | ColumnType::Int64 => found.is_integer(),
        // A division of money gives a float, which is rounded to the cent at the edge.
        ColumnType::Money => found.is_integer() || found.is_float(),
        ColumnType::Float => found.is_primitive_numeric(),
        ColumnType::String => *found == DataType::String,
        ColumnType::Bool => *found == DataType::Boolean,
        ColumnType::Date => *found == DataType::Date,
        ColumnType::Timestamp => matches!(found, DataType::Datetime(_, _)),
    }
}
