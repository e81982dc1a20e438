//! From a file to a report: header read, SQL checked, columns matched with what the engine gives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use polars::prelude::Schema;
use sqlparser::ast::{Expr, OrderByKind, Query, Spanned};

use super::bind::{Unfaithful, bind, parse};
use super::catalogue::{Origin, Schemas, Source};
use super::check::check;
use super::dates::{self, Anchors};
use super::diagnostic::Fault;
use super::header::{Chart, Check, DayRange, Engine, Grain, ReportColumn, ReportHeader, read, split};
use super::keep::Kept;
use super::param::{ParamType, Parameter};
use super::schema::{fits, output};
use super::value::{Decimal, Value};
use super::view::{self, Views};

/// A report that can be run.
#[derive(Debug, Clone)]
pub struct Report {
    pub name: String,
    pub title: String,
    pub description: String,
    /// Which part of the catalogue it belongs to: Sales, Products, Stock, Customers, Operations.
    pub section: String,
    pub grain: Grain,
    /// Days before the asked ones that the figures depend on.
    pub lookback: u32,
    /// The columns of the key; empty for a report of one row.
    pub key: Vec<String>,
    pub params: BTreeMap<String, Parameter>,
    /// In the order of the rows.
    pub columns: Vec<ReportColumn>,
    pub chart: Option<Chart>,
    /// Its rows are findings: none is good news.
    pub check: Option<Check>,
    /// The datasets it reads, through views or itself.
    pub datasets: BTreeSet<String>,
    /// The views that it reads whose rows are kept, by name.
    pub kept: BTreeMap<String, Arc<Kept>>,
    /// The datasets that it reads beside these.
    pub(crate) beside: BTreeSet<String>,
    /// How the nightly run binds the parameters; `None` for one that is not published.
    pub publish: Option<BTreeMap<String, toml::Value>>,
    pub origin: Origin,
    /// Of the statement with its views, hexadecimal: part of every cache key.
    pub digest: String,
    pub(crate) derived: BTreeMap<String, String>,
    pub(crate) days: Vec<DayRange>,
    pub(crate) engine: Engine,
    pub(crate) query: Query,
    /// A value of each parameter and derived day with which the statement is sound.
    pub(crate) samples: BTreeMap<String, Value>,
}

impl Report {
    /// Whether it reads one of these datasets.
    #[must_use]
    pub fn reads_of(&self, datasets: &[String]) -> bool {
        datasets.iter().any(|dataset| self.datasets.contains(dataset))
    }

    /// The datasets that it reads itself: those beneath kept views only where it names them, too.
    #[must_use]
    pub fn reads(&self) -> &BTreeSet<String> {
        &self.beside
    }

    /// Whether its rows would be others if a source offered what is absent: a dataset, or a column of it.
    pub(crate) fn lacks(&self, (dataset, column): (&str, Option<&str>)) -> bool {
        let is_named = |column: &str| {
            let statement = self.query.to_string();
            statement.split(|it: char| !it.is_alphanumeric() && it != '_').any(|word| word == column)
        };
        self.datasets.contains(dataset) && column.is_none_or(is_named)
    }
}

/// Columns that every published view, or its table, has of its own.
const RESERVED: [&str; 6] = ["business_day", "revision", "state", "generated_at", "revision_id", "row_no"];

/// Names that the query string of a report keeps for itself.
const RESERVED_PARAMETERS: [&str; 6] = ["format", "business_day", "revision", "snapshot", "max_age", "stale"];

/// A day on which declarations are tried; any will do.
pub(crate) fn sample_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, 8).unwrap_or_default()
}

pub(crate) fn compile(source: &Source, views: &Views, schemas: &Schemas) -> Result<Report, Fault> {
    let (header_text, sql) = split(&source.text)?;
    let mut header: ReportHeader = read(header_text)?;
    let query = parse(&sql)?;
    let known = schemas.keys().chain(views.names()).cloned().collect();
    let references = check(&query, &known)?;
    let inherited = match &header.inherits {
        Some(view) => {
            let (shared, text) = views.shared(view)?;
            header.inherit(shared, |day| references.placeholders.contains(day));
            text
        }
        None => "",
    };
    let mut anchors = dates::anchors(sample_day(), sample_day());
    check_params(&header, &anchors)?;
    check_bindings(&header, &references.placeholders)?;
    check_order(&query, &header.key)?;
    let expanded = views.expand(&query, &references.tables)?;
    let values = samples(&header, &mut anchors)?;
    // As it was written, so that what is wrong has a place in this file; the views were looked at before.
    let (bound, _) = bind(&query, &values).map_err(unfaithful)?;
    let mut columns = match_columns(&header, &output(&bound, schemas, &views.schemas())?)?;
    let (whole, _) = bind(&expanded, &values).map_err(unfaithful)?;
    output(&whole, schemas, &Schemas::new()).map_err(|fault| Fault {
        hint: fault.hint,
        ..Fault::at(query.body.span().start, format!("with the views that it reads: {}", fault.message))
    })?;
    for column in columns.iter_mut().filter(|column| column.note.is_none()) {
        column.note = views.measure(&references.tables, &column.name).cloned();
    }
    check_chart(&header, &columns)?;
    check_findings(&header, &columns)?;
    let digest = base::sha256_hex(format!("{header_text}\n{inherited}\n{expanded}"));
    let kept = views.kept(&references.tables);
    let inputs: BTreeSet<String> = kept.keys().cloned().collect();
    let datasets = views.datasets(&references.tables);
    let beside = view::tables(&view::with_inputs(&expanded, &inputs)).intersection(&datasets).cloned().collect();
    let report = Report {
        name: source.name.clone(),
        kept,
        beside,
        datasets,
        title: header.title,
        description: header.description,
        section: header.section,
        grain: header.grain,
        lookback: header.lookback.unwrap_or_default(),
        key: header.key,
        params: header.params,
        columns,
        chart: header.chart,
        check: header.check,
        publish: header.publish,
        origin: source.origin,
        digest,
        derived: header.derived,
        days: header.days,
        engine: header.engine,
        query: expanded,
        samples: values,
    };
    if report.publish.is_some() {
        check_published(&report)?;
    }
    Ok(report)
}

fn check_published(report: &Report) -> Result<(), Fault> {
    if let Some(column) = report.columns.iter().find(|column| RESERVED.contains(&column.name.as_str())) {
        let hint = "the published view has columns of these names itself: business_day, revision, state, generated_at";
        return Err(Fault::new(format!("a published report cannot have a column {}", column.name)).hint(hint));
    }
    // What the nightly run would bind must be bindable.
    super::resolve::for_day(report, sample_day(), sample_day())
        .map_err(|error| Fault::new(format!("[publish] {error}")))?;
    Ok(())
}

fn check_params(header: &ReportHeader, anchors: &Anchors) -> Result<(), Fault> {
    for (name, parameter) in &header.params {
        if RESERVED_PARAMETERS.contains(&name.as_str()) {
            let taken = RESERVED_PARAMETERS.join(", ");
            return Err(Fault::new(format!("[params] {name}: every report takes that already")).hint(taken));
        }
        parameter.check(anchors).map_err(|reason| Fault::new(format!("[params] {name}: {reason}")))?;
    }
    let unknown = |key: &String| !header.params.contains_key(key);
    match header.publish.iter().flat_map(BTreeMap::keys).find(|key| unknown(key)) {
        Some(name) => Err(Fault::new(format!("[publish] {name}: there is no such parameter"))),
        None => Ok(()),
    }
}

/// Every placeholder must have a value and every parameter a use.
fn check_bindings(header: &ReportHeader, placeholders: &BTreeSet<String>) -> Result<(), Fault> {
    let declared = |name: &String| header.params.contains_key(name) || header.derived.contains_key(name);
    if let Some(name) = placeholders.iter().find(|name| !declared(name)) {
        return Err(Fault::new(format!("${name} stands in the SQL but not under [params] or [derived]")));
    }
    if let Some(name) =
        header.derived.keys().find(|name| !placeholders.contains(*name) || header.params.contains_key(*name))
    {
        return Err(Fault::new(format!("[derived] {name} is not used in the SQL, or is a parameter too")));
    }
    let used_elsewhere = |name: &str| {
        let mark = format!("${name}");
        let spans =
            |text: &String| (text.contains("span") || text.contains("weeks")) && (name == "from" || name == "to");
        header.derived.values().any(|text| text.contains(&mark) || spans(text))
    };
    match header.params.keys().find(|name| !placeholders.contains(*name) && !used_elsewhere(name)) {
        Some(name) => Err(Fault::new(format!("the parameter {name} is not used"))),
        None => Ok(()),
    }
}

/// The order must be total: whatever tells rows apart must stand in it.
fn check_order(query: &Query, key: &[String]) -> Result<(), Fault> {
    let by = match query.order_by.as_ref().map(|order| &order.kind) {
        Some(OrderByKind::Expressions(by)) => by.as_slice(),
        _ => &[],
    };
    let named = |column: &String| {
        by.iter().any(|by| match &by.expr {
            Expr::Identifier(name) => name.value == *column,
            Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|name| name.value == *column),
            _ => false,
        })
    };
    match key.iter().find(|column| !named(column)) {
        Some(column) => {
            Err(Fault::at(query.body.span().start, format!("the order is not total: ORDER BY lacks {column}"))
                .hint("the columns of `key` tell rows apart, so all of them must stand in ORDER BY"))
        }
        None => Ok(()),
    }
}

/// A value of each parameter, to try the statement with.
fn samples(header: &ReportHeader, anchors: &mut Anchors) -> Result<BTreeMap<String, Value>, Fault> {
    let mut values = BTreeMap::new();
    let (following, others): (Vec<_>, Vec<_>) = header.params.iter().partition(|(_, parameter)| parameter.follows());
    for (name, parameter) in others.into_iter().chain(following) {
        let value = match &parameter.default {
            Some(default) => parameter
                .read_toml(default, anchors)
                .map_err(|reason| Fault::new(format!("[params] {name}: the default {reason}")))?,
            None => sample(parameter.kind, parameter),
        };
        // An empty list leaves its condition out, and that must be sound too.
        let value = match value {
            Value::List(items) if items.is_empty() => sample(ParamType::List, parameter),
            value => value,
        };
        if let Value::Date(day) = value {
            anchors.insert(format!("${name}"), day);
        }
        values.insert(name.clone(), value);
    }
    for (name, text) in &header.derived {
        let day =
            dates::parse(text, anchors).ok_or_else(|| Fault::new(format!("[derived] {name}: \"{text}\" is no day")))?;
        values.insert(name.clone(), Value::Date(day));
    }
    for text in header.days.iter().flat_map(|days| [&days.from, &days.to]) {
        dates::parse(text, anchors).ok_or_else(|| Fault::new(format!("[days] \"{text}\" is no day")))?;
    }
    Ok(values)
}

fn sample(kind: ParamType, parameter: &Parameter) -> Value {
    match kind {
        ParamType::Date => Value::Date(sample_day()),
        ParamType::Int => Value::Int(1),
        ParamType::Decimal => Decimal::parse("1").map_or(Value::Int(1), Value::Decimal),
        ParamType::String => Value::Text(String::new()),
        ParamType::Bool => Value::Bool(true),
        ParamType::Choice => Value::Text(parameter.choices.first().cloned().unwrap_or_default()),
        ParamType::List => Value::List(vec![sample(parameter.of.unwrap_or(ParamType::String), parameter)]),
    }
}

fn unfaithful(error: Unfaithful) -> Fault {
    Fault::new(error.to_string())
}

/// The declared columns in the statement's order; each must be there, once, in a fitting type.
fn match_columns(header: &ReportHeader, schema: &Schema) -> Result<Vec<ReportColumn>, Fault> {
    let mut declared = header.columns(schema.iter_names().map(|name| name.as_str()))?;
    let mut columns = Vec::with_capacity(schema.len());
    for (name, found) in schema.iter() {
        let column = declared
            .remove(name.as_str())
            .ok_or_else(|| Fault::new(format!("the SQL gives a column {name} that [columns] does not declare")))?;
        if !fits(found, column.kind) {
            let declared = format!("{:?}", column.kind).to_lowercase();
            return Err(Fault::new(format!("[columns] {name} is declared {declared}, but the SQL gives {found}")));
        }
        columns.push(column);
    }
    if let Some(name) = declared.keys().next() {
        return Err(Fault::new(format!("[columns] declares {name}, which the SQL does not give")));
    }
    match header.key.iter().find(|key| !columns.iter().any(|column| column.name == **key)) {
        Some(key) => Err(Fault::new(format!("`key` names {key}, which is no column"))),
        None => Ok(columns),
    }
}

fn check_findings(header: &ReportHeader, columns: &[ReportColumn]) -> Result<(), Fault> {
    let Some(check) = &header.check else { return Ok(()) };
    match (&check.column, &check.is) {
        (None, None) => Ok(()),
        (Some(name), Some(_)) if columns.iter().any(|column| column.name == *name) => Ok(()),
        (Some(name), Some(_)) => Err(Fault::new(format!("[check] names {name}, which is no column"))),
        _ => Err(Fault::new("[check] needs both `column` and `is`, or neither")),
    }
}

fn check_chart(header: &ReportHeader, columns: &[ReportColumn]) -> Result<(), Fault> {
    let Some(chart) = &header.chart else { return Ok(()) };
    let named = [Some(&chart.x), Some(&chart.y), chart.series.as_ref()];
    match named.into_iter().flatten().find(|name| !columns.iter().any(|column| column.name == **name)) {
        Some(name) => Err(Fault::new(format!("[chart] names {name}, which is no column"))),
        None => Ok(()),
    }
}
