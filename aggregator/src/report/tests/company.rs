//! A company small enough to compute by eye, as frames, for the tests of the engine and the catalogue.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime};
use lake::{ColumnType, calendar};
use polars::prelude::*;

use crate::report::language::bind::read_back;
use crate::report::language::catalogue::{Catalogue, Schemas};
use crate::report::language::resolve::{Clock, for_caller};
use crate::report::run::ask::Bounds;
use crate::report::run::deep::deep;
use crate::report::run::engine::{Shape, over};
use crate::report::run::error::ReportError;
use crate::report::run::input::Input;
use crate::report::run::statements::statement;
use crate::source::{self, declare};

/// Frames by dataset name.
pub(crate) type Frames = BTreeMap<String, DataFrame>;

const COMPANY: &str = include_str!("by_hand/company.txt");

pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The days on which the company's tests are run.
fn clock() -> Clock {
    Clock { today: day("2026-03-10"), complete: day("2026-03-09") }
}

/// Computes a shipped report over frames.
pub(crate) fn compute(
    catalogue: &Catalogue,
    frames: &Frames,
    name: &str,
    params: &[(&str, &str)],
) -> Result<DataFrame, ReportError> {
    compute_within(catalogue, frames, name, params, Bounds::ON_DEMAND.rows)
}

/// The same, with at most so many rows.
pub(crate) fn compute_within(
    catalogue: &Catalogue,
    frames: &Frames,
    name: &str,
    params: &[(&str, &str)],
    rows: usize,
) -> Result<DataFrame, ReportError> {
    let report = crate::report::run::find(catalogue, name)?;
    let given = params.iter().copied().collect();
    let resolved = for_caller(&report, &given, clock())?;
    let (of, schemas) = (Arc::clone(&report), schemas_of(frames));
    let query = read_back(&deep(move || statement(&of, &resolved, &schemas)).blocking_recv().unwrap()?).unwrap();
    let inputs = report.datasets.iter().map(|name| (name.clone(), input(name, &frames[name]))).collect();
    deep(move || over(&Shape::of(&report, rows), &query, &inputs)).blocking_recv().unwrap()
}

/// A frame as the engine would read it from the lake.
fn input(dataset: &str, frame: &DataFrame) -> Input {
    let farthest = frame.columns().iter().filter(|column| column.dtype().is_integer()).map(|column| {
        let values = column.cast(&DataType::Float64).unwrap();
        let farthest = values.f64().unwrap().iter().flatten().fold(0.0, |most: f64, value| most.max(value.abs()));
        (column.name().to_string(), farthest)
    });
    let declared = declared();
    let key = declared.get(dataset).map_or_else(|| vec![calendar::KEY.to_owned()], |dataset| dataset.key.clone());
    let rows = i64::try_from(frame.height()).unwrap();
    Input::of(Arc::clone(frame.schema()), key, frame.clone().lazy(), rows, &farthest.collect())
}

/// The datasets as the shipped sources declare them, without rows.
pub(crate) fn schemas() -> Schemas {
    schemas_of(&frames())
}

fn schemas_of(frames: &Frames) -> Schemas {
    frames.iter().map(|(name, frame)| (name.clone(), frame.schema().clone())).collect()
}

/// The shipped catalogue over these schemas.
pub(crate) fn catalogue() -> Arc<Catalogue> {
    deep(|| Arc::new(Catalogue::load(None, &schemas()))).blocking_recv().unwrap()
}

/// The shipped declarations' datasets, by name.
fn declared() -> BTreeMap<String, source::Dataset> {
    let files = [
        include_str!("../../../sources/ecommerce.toml"),
        include_str!("../../../sources/inventory.toml"),
        include_str!("../../../sources/retail.toml"),
    ];
    let declarations = files.map(|text| declare::parse("shipped", text).unwrap());
    declarations.into_iter().flat_map(|it| it.datasets).map(|it| (it.name.clone(), it)).collect()
}

/// The company of `by_hand/company.txt`, and the calendar.
pub(crate) fn frames() -> Frames {
    let tables = tables();
    let products = &tables["products"];
    let mut frames: Frames = declared()
        .into_iter()
        .map(|(name, dataset)| {
            let rows: Vec<Row> = tables[name.as_str()].iter().map(|row| completed(&name, row, products)).collect();
            let columns = dataset.table().columns;
            let columns = columns.iter().map(|it| column(&it.name, it.kind, &rows)).collect();
            (name, DataFrame::new(rows.len(), columns).unwrap())
        })
        .collect();
    frames.insert(calendar::NAME.to_owned(), calendar::frame().unwrap());
    frames
}

/// A row's words by column; NULL is not there.
type Row = HashMap<String, String>;

/// The tables of the text: a name, a line of columns, a line per row, an empty line. A table may stand in several parts.
fn tables() -> BTreeMap<&'static str, Vec<Row>> {
    let mut tables: BTreeMap<&'static str, Vec<Row>> = BTreeMap::new();
    for block in COMPANY.split("\n\n").skip(1) {
        let mut lines = block.trim().lines();
        let (name, columns) = (lines.next().unwrap(), words(lines.next().unwrap()));
        let row = |line: &'static str| {
            let values = words(line);
            assert_eq!(values.len(), columns.len(), "{line}");
            let pairs = columns.iter().zip(values).filter(|(_, value)| *value != "-");
            pairs.map(|(column, value)| ((*column).to_owned(), value.to_owned())).collect()
        };
        tables.entry(name).or_default().extend(lines.map(row));
    }
    tables
}

/// Words are two spaces apart: names have one within them.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect()
}

/// A row with what follows from its figures.
fn completed(dataset: &str, row: &Row, products: &[Row]) -> Row {
    let text = |name: &str| row.get(name).cloned().unwrap_or_default();
    let number = |name: &str| text(name).parse::<i64>().unwrap_or_default();
    let mut whole = row.clone();
    let mut add = |name: &str, value: String| {
        whole.entry(name.to_owned()).or_insert(value);
    };
    let hour = row.get("business_hour").map_or("12", String::as_str);
    add("business_hour", hour.to_owned());
    add("occurred_at", format!("{}T{hour:0>2}:00:00", text("business_day")));
    add("local_time", format!("{}T{hour:0>2}:00:00", text("business_day")));
    add("time_zone", "UTC".to_owned());
    add("imported", "false".to_owned());
    if let Some(product) = products.iter().find(|it| it.get("product_id") == row.get("product_id")) {
        add("sku", product["sku"].clone());
        add("product_name", product["name"].clone());
        add("category", if product["category_id"] == "1" { "Home" } else { "Light" }.to_owned());
    }
    add("net_cents", (number("quantity") * number("unit_price_cents") - number("discount_cents")).to_string());
    match dataset {
        "sale_lines" => {
            add("reference", format!("{}-{}", text("kind"), text("sale_id")));
            add("receipt_number", format!("R-{}", text("sale_id")));
            add("channel", "store".to_owned());
        }
        "order_lines" | "orders" => {
            add("reference", format!("order-{}", text("order_id")));
            add("channel", "online".to_owned());
            add("payment_status", "paid".to_owned());
        }
        "refund_lines" => {
            add("reference", format!("refund-{}", text("refund_id")));
            add("channel", "online".to_owned());
        }
        "carts" => {
            add("created_at", "2026-03-08T12:00:00".to_owned());
            add("updated_at", "2026-03-08T12:00:00".to_owned());
        }
        _ => {}
    }
    whole
}

fn column(name: &str, kind: ColumnType, rows: &[Row]) -> Column {
    let values: Vec<Option<&str>> = rows.iter().map(|row| row.get(name).map(String::as_str)).collect();
    let numbers = |of: &dyn Fn(&str) -> i64| values.iter().map(|it| it.map(of)).collect::<Vec<Option<i64>>>();
    let column = match kind {
        ColumnType::String => Column::new(name.into(), &values),
        ColumnType::Bool => {
            Column::new(name.into(), values.iter().map(|it| it.map(|it| it == "true")).collect::<Vec<_>>())
        }
        ColumnType::Int32 | ColumnType::Int64 | ColumnType::Money => {
            Column::new(name.into(), numbers(&|it| it.parse().unwrap()))
        }
        ColumnType::Date => Column::new(name.into(), numbers(&|it| day(it).to_epoch_days().into())),
        ColumnType::Timestamp | ColumnType::Local => {
            let micros = |it: &str| it.parse::<NaiveDateTime>().unwrap().and_utc().timestamp_micros();
            Column::new(name.into(), numbers(&micros))
        }
    };
    if kind == ColumnType::Date {
        return column.cast(&DataType::Int32).unwrap().cast(&DataType::Date).unwrap();
    }
    column.cast(&kind.data_type()).unwrap()
}
