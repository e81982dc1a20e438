//! Small tables with what is awkward in real ones: ties, NULL, numbers that reciprocals get wrong, letters of every kind.

use std::collections::BTreeMap;

use polars::prelude::*;
use serde_json::{Value, json};

use crate::report::language::bounds::{Extent, ValueRange};
use crate::report::language::catalogue::Schemas;
use crate::report::language::plan::typed::Kind;

/// A table: columns with their kinds, and rows of values as the judge reads them.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: Vec<(&'static str, Kind)>,
    pub(super) rows: Vec<Vec<Value>>,
}

const NUMBERS: [i64; 12] = [0, 98, 49, -1, 147, 7, 1, 98, 100, -25, 3, 86];
const TEXTS: [&str; 12] = ["", "a", "A", "é", "ß", "a%b", "a_b", "O'Hara", "\\' OR 1=1", "Aa", "İᾳ", "a"];
const DAYS: [i64; 8] = [20_520, 20_521, 20_520, 19_782, 20_527, 20_454, 0, 20_521];

pub(super) fn tables() -> Vec<Table> {
    let pick = |values: &[i64], at: usize, every: usize| {
        if at % every == 2 { Value::Null } else { json!(values[at % values.len()]) }
    };
    let text = |at: usize, every: usize| if at % every == 3 { Value::Null } else { json!(TEXTS[at % TEXTS.len()]) };
    let t = (0..14_usize).map(|at| {
        vec![
            json!(at + 1),
            pick(&NUMBERS, at, 7),
            pick(&NUMBERS, at * 5 + 1, 5),
            text(at, 6),
            pick(&DAYS, at, 9),
            if at % 8 == 5 { Value::Null } else { json!(1_772_928_000_000_000_i64 + 3_600_000_000 * (at as i64 % 5)) },
            if at % 4 == 1 { Value::Null } else { json!(at % 3 == 0) },
        ]
    });
    let u = (0..11_usize).map(|at| {
        vec![
            json!(at as i64 * 3 - 4),
            if at % 5 == 4 { Value::Null } else { json!(at % 6 + 1) },
            pick(&NUMBERS, at * 7 + 3, 6),
            text(at * 5 + 1, 7),
            pick(&DAYS, at * 3, 5),
        ]
    });
    let v = (0..5_usize).map(|at| vec![json!(at + 1), text(at * 3, 9), pick(&NUMBERS, at * 2, 4)]);
    vec![
        Table {
            name: "t",
            columns: vec![
                ("id", Kind::Int64),
                ("a", Kind::Int32),
                ("b", Kind::Int64),
                ("s", Kind::Text),
                ("d", Kind::Date),
                ("m", Kind::Moment),
                ("f", Kind::Bool),
            ],
            rows: t.collect(),
        },
        Table {
            name: "u",
            columns: vec![
                ("id", Kind::Int64),
                ("t_id", Kind::Int64),
                ("n", Kind::Int32),
                ("s", Kind::Text),
                ("d", Kind::Date),
            ],
            rows: u.collect(),
        },
        Table {
            name: "v",
            columns: vec![("id", Kind::Int64), ("k", Kind::Text), ("w", Kind::Int64)],
            rows: v.collect(),
        },
        Table { name: "e", columns: vec![("id", Kind::Int64), ("x", Kind::Int64)], rows: Vec::new() },
    ]
}

/// As the engine reads them.
pub(super) fn frames(tables: &[Table]) -> BTreeMap<String, DataFrame> {
    let frame = |table: &Table| {
        let column = |(at, (name, kind)): (usize, &(&'static str, Kind))| {
            let values = || table.rows.iter().map(|row| &row[at]);
            let column = match kind {
                Kind::Text => Column::new((*name).into(), values().map(Value::as_str).collect::<Vec<_>>()),
                Kind::Bool => Column::new((*name).into(), values().map(Value::as_bool).collect::<Vec<_>>()),
                _ => Column::new((*name).into(), values().map(Value::as_i64).collect::<Vec<_>>()),
            };
            match kind {
                Kind::Date => column.cast(&DataType::Int32).unwrap().cast(&DataType::Date).unwrap(),
                kind => column.cast(&kind.data_type()).unwrap(),
            }
        };
        DataFrame::new(table.rows.len(), table.columns.iter().enumerate().map(column).collect()).unwrap()
    };
    tables.iter().map(|table| (table.name.to_owned(), frame(table))).collect()
}

pub(super) fn schemas(frames: &BTreeMap<String, DataFrame>) -> Schemas {
    frames.iter().map(|(name, frame)| (name.clone(), frame.schema().clone())).collect()
}

/// How far their numbers reach.
pub(super) fn extents(frames: &BTreeMap<String, DataFrame>) -> BTreeMap<String, Extent> {
    let extent = |frame: &DataFrame| {
        let rows = frame.height() as f64;
        let range = |column: &Column| {
            let values = column.cast(&DataType::Float64).ok()?;
            let farthest = values.f64().ok()?.iter().flatten().fold(0.0, |most: f64, value| most.max(value.abs()));
            ValueRange::of(column.dtype(), farthest, rows)
        };
        let columns = frame.columns().iter().map(|column| (column.name().to_string(), range(column)));
        Extent { rows, key: vec!["id".to_owned()], columns: columns.collect() }
    };
    frames.iter().map(|(name, frame)| (name.clone(), extent(frame))).collect()
}

/// As the judge reads them.
pub(super) fn as_json(tables: &[Table]) -> Value {
    let kind = |kind: Kind| match kind {
        Kind::Int32 => "INTEGER",
        Kind::Int64 => "BIGINT",
        Kind::Text => "VARCHAR",
        Kind::Date => "DATE",
        Kind::Moment => "TIMESTAMPTZ",
        Kind::Bool => "BOOLEAN",
        Kind::Float | Kind::Null => "DOUBLE",
    };
    let table = |table: &Table| {
        let columns: Vec<_> = table.columns.iter().map(|(name, of)| json!([name, kind(*of)])).collect();
        json!({"name": table.name, "columns": columns, "rows": table.rows})
    };
    tables.iter().map(table).collect()
}
