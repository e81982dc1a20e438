//! A statement in our engine, as reports are run: checked, bound, planned, computed.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use polars::prelude::*;
use serde_json::{Value as Json, json};
use sqlparser::ast::Query;

use super::generate::Statement;
use crate::report::language::bind::{bind, parse};
use crate::report::language::bounds::prove;
use crate::report::language::check::check;
use crate::report::language::plan::plan;
use crate::report::language::plan::typed::Kind;
use crate::report::language::schema::output;

/// What became of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// Sound by the check, and the text for the judge.
    Failed(String),
    Rows {
        kinds: Vec<Kind>,
        rows: Vec<Vec<Json>>,
    },
}

/// A statement that the check calls sound.
pub(super) struct Sound {
    pub(super) query: Query,
    pub(super) text: String,
}

/// Checks and binds a statement, as a report's file is.
pub(super) fn sound(statement: &Statement, frames: &BTreeMap<String, DataFrame>) -> Result<Sound, String> {
    let known: BTreeSet<String> = frames.keys().cloned().collect();
    let query = parse(&statement.sql).map_err(|fault| fault.message)?;
    check(&query, &known).map_err(|fault| fault.message)?;
    let (query, text) = bind(&query, &statement.values).map_err(|error| error.to_string())?;
    check(&query, &known).map_err(|fault| fault.message)?;
    let schemas = super::tables::schemas(frames);
    output(&query, &schemas, &BTreeMap::new()).map_err(|fault| {
        assert!(fault.line >= 1 && fault.column >= 1 && !fault.message.is_empty());
        fault.message
    })?;
    // What our engine would compute without a wrapped number: the judge has it in wider types.
    prove(&query, &super::tables::extents(frames)).map_err(|_| "a number might overflow".to_owned())?;
    Ok(Sound { query, text })
}

/// Computes a sound statement.
pub(super) fn compute(query: &Query, frames: &BTreeMap<String, DataFrame>, engine: Engine) -> Outcome {
    let work = || -> Result<(Vec<Kind>, DataFrame), String> {
        let tables = frames.iter().map(|(name, frame)| (name, frame.clone().lazy(), &**frame.schema()));
        let (plan, schema) = plan(query, tables).map_err(|fault| fault.message)?;
        let frame = plan.collect_with_engine(engine).map_err(|error| error.to_string())?.unwrap_single();
        if frame.schema().as_ref() != &schema {
            return Err(format!("promised {schema:?}, gave {:?}", frame.schema()));
        }
        let kinds = frame.dtypes().iter().map(|kind| Kind::of(kind).unwrap()).collect();
        Ok((kinds, frame))
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok((kinds, frame))) => Outcome::Rows { kinds, rows: rows(&frame) },
        Ok(Err(error)) => Outcome::Failed(error),
        Err(panic) => Outcome::Failed(format!("panicked: {:?}", panic.downcast_ref::<String>())),
    }
}

pub(super) fn rows(frame: &DataFrame) -> Vec<Vec<Json>> {
    let value = |value: AnyValue<'_>| match value {
        AnyValue::Null => Json::Null,
        AnyValue::Boolean(value) => json!(value),
        AnyValue::Int32(value) => json!(value),
        AnyValue::Int64(value) => json!(value),
        AnyValue::Float64(value) if value.is_finite() => json!(value),
        AnyValue::String(value) => json!(value),
        AnyValue::StringOwned(value) => json!(value.as_str()),
        AnyValue::Date(value) => json!(value),
        AnyValue::Datetime(value, ..) | AnyValue::DatetimeOwned(value, ..) => json!(value),
        other => json!(format!("{other:?}")),
    };
    let row = |at: usize| frame.columns().iter().map(|column| value(column.get(at).unwrap())).collect();
    (0..frame.height()).map(row).collect()
}

/// Where two answers differ.
pub(super) fn difference(ours: &Outcome, theirs: &Json, tolerant: &[bool]) -> Option<String> {
    let (kinds, rows) = match ours {
        Outcome::Rows { kinds, rows } => (kinds, rows),
        // Both may fail on a cast that does not fit.
        Outcome::Failed(error)
            if theirs["error"].as_str().is_some_and(|it| it.contains("Conversion") || it.contains("Out of Range"))
                && error.contains("conversion") =>
        {
            return None;
        }
        Outcome::Failed(error) => return Some(format!("ours failed: {error}; DuckDB: {theirs}")),
    };
    if let Some(error) = theirs["error"].as_str() {
        return Some(format!("DuckDB fails: {error}; ours: {rows:?}"));
    }
    let types: Vec<&str> = theirs["kinds"].as_array()?.iter().filter_map(Json::as_str).collect();
    for (place, (ours, theirs)) in kinds.iter().zip(&types).enumerate() {
        // DuckDB calls what it finds to be NULL whatever the data an INTEGER or BIGINT.
        if rows.iter().all(|row| row[place].is_null()) {
            continue;
        }
        let same = match ours {
            Kind::Int32 | Kind::Int64 => ["INTEGER", "BIGINT", "HUGEINT", "NULL", "\"NULL\""].contains(theirs),
            Kind::Float => *theirs == "DOUBLE",
            Kind::Text => *theirs == "VARCHAR",
            Kind::Bool => *theirs == "BOOLEAN",
            Kind::Date => *theirs == "DATE",
            Kind::Moment => *theirs == "TIMESTAMP WITH TIME ZONE",
            Kind::Null => false,
        };
        if !same {
            return Some(format!("types {kinds:?}, DuckDB has {types:?}"));
        }
    }
    let others = theirs["rows"].as_array()?;
    if others.len() != rows.len() {
        return Some(format!("{} rows, DuckDB has {}: {rows:?} {others:?}", rows.len(), others.len()));
    }
    for (at, (row, other)) in rows.iter().zip(others).enumerate() {
        for (place, (one, two)) in row.iter().zip(other.as_array()?).enumerate() {
            let same = match (one.as_f64(), two.as_f64()) {
                (Some(one), Some(two)) if tolerant.get(place).copied().unwrap_or(false) => {
                    (one - two).abs() <= 1e-9 * one.abs().max(1.0)
                }
                (Some(one), Some(two)) if kinds[place] == Kind::Float => one == two,
                _ => one == two,
            };
            if !same {
                return Some(format!("row {at}, column {place}: {one}, DuckDB has {two}"));
            }
        }
    }
    None
}
