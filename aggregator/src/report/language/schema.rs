//! What a statement gives, found out without any row, and what a column of a report may be made of.

use polars::prelude::{DataFrame, DataType, IntoLazy, Schema};
use sqlparser::ast::Query;

use super::catalogue::Schemas;
use super::diagnostic::Fault;
use super::header::ColumnType;
use super::plan::plan;

/// The columns that a bound statement gives.
///
/// # Errors
/// What has no meaning in it, with its place.
pub(crate) fn output<'s>(query: &Query, schemas: &'s Schemas, views: &'s Schemas) -> Result<Schema, Fault> {
    let empty = |(name, schema): (&'s String, &'s polars::prelude::SchemaRef)| {
        (name, DataFrame::empty_with_schema(schema).lazy(), &**schema)
    };
    plan(query, schemas.iter().chain(views).map(empty)).map(|(_, schema)| schema)
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
