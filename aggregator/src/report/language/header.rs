//! The TOML header of a report's file, in the comment that the file begins with.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::diagnostic::Fault;
use super::keep::Keep;
use super::param::Parameter;

/// Marks around the header.
const OPEN: &str = "/*---";
const CLOSE: &str = "---*/";

/// What a report's file says about itself. Unknown keys are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportHeader {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) section: String,
    pub(crate) grain: Grain,
    #[serde(default)]
    pub(crate) engine: Engine,
    /// A view of whose `[report]` holds what is not said here.
    pub(crate) inherits: Option<String>,
    pub(crate) lookback: Option<u32>,
    pub(crate) key: Vec<String>,
    #[serde(default)]
    pub(crate) params: BTreeMap<String, Parameter>,
    /// Days computed from the parameters, bound like them: `before = "$from - 1d"`.
    #[serde(default)]
    pub(crate) derived: BTreeMap<String, String>,
    /// The business days that the figures are read from, as one table or several; absent: all.
    #[serde(default, deserialize_with = "one_or_many")]
    pub(crate) days: Vec<DayRange>,
    pub(crate) publish: Option<BTreeMap<String, toml::Value>>,
    #[serde(default)]
    columns: toml::Table,
    /// Columns that need not be declared again.
    #[serde(skip)]
    inherited: toml::Table,
    pub(crate) chart: Option<Chart>,
    pub(crate) check: Option<Check>,
}

/// What a view's file says about itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewHeader {
    pub(crate) title: String,
    pub(crate) description: String,
    /// What columns of these names mean in every report that reads the view.
    #[serde(default)]
    pub(crate) measures: BTreeMap<String, String>,
    /// Whether its rows are kept.
    pub(crate) keep: Option<Keep>,
    /// The columns that tell its rows apart, where they are kept.
    pub(crate) key: Option<Vec<String>>,
    /// What the reports that inherit from it need not say themselves.
    pub(crate) report: Option<Shared>,
}

/// What several reports say alike, once.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Shared {
    lookback: u32,
    params: BTreeMap<String, Parameter>,
    derived: BTreeMap<String, String>,
    #[serde(deserialize_with = "one_or_many")]
    days: Vec<DayRange>,
    publish: BTreeMap<String, toml::Value>,
    columns: toml::Table,
}

/// When a report is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grain {
    /// Once per business day, and again when that day changes.
    Day,
    /// As of the run; a past one cannot be made up for.
    Snapshot,
}

/// Which of polars' engines computes a report; `make bench TOPICS=reports` tells which is the quicker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Engine {
    /// Piece by piece: the quicker one for scans, sums and joins.
    #[default]
    Streaming,
    /// Column by column: the quicker one for distinct counts and medians of few groups.
    InMemory,
}

/// First and last business day that a report reads, as relative dates.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DayRange {
    pub(crate) from: String,
    pub(crate) to: String,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<DayRange>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "[days] has `from` and `to`; several are written [[days]]")]
    enum Days {
        One(DayRange),
        Many(Vec<DayRange>),
    }
    Ok(match Days::deserialize(input)? {
        Days::One(day) => vec![day],
        Days::Many(days) => days,
    })
}

/// How to draw a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    pub kind: ChartKind,
    /// Column of the axis.
    pub x: String,
    /// Column of the values.
    pub y: String,
    /// Column that tells several lines or bars apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
}

/// Of a report whose rows are findings: which of them count. Without a column, all do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// A column of text.
    #[serde(default)]
    pub column: Option<String>,
    /// Its value in the rows that count.
    #[serde(default)]
    pub is: Option<String>,
}

/// The kinds of chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChartKind {
    Bar,
    Line,
    Pie,
    Heatmap,
    Number,
}

/// What the values of a report's column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    Int32,
    Int64,
    Float,
    String,
    Bool,
    Date,
    Timestamp,
    /// Minor units in the frame, a decimal with the currency's digits outside.
    Money,
}

/// One column of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ColumnType,
    pub title: String,
    /// `%`, `days`, `pieces`; money is in the company's currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How the measure is defined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// A name that a reference gives to what the key tells apart: no part of the published figure, shown as it was when
    /// a revision was computed. Another name alone makes no revision.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub label: bool,
}

/// A column's entry in the header; its name is the key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnHeader {
    #[serde(rename = "type")]
    kind: ColumnType,
    title: String,
    unit: Option<String>,
    note: Option<String>,
    #[serde(default)]
    label: bool,
}

impl ReportHeader {
    /// Takes over what the report does not say itself; derived days only where its SQL `uses` them, and bindings for
    /// publishing only if it is published.
    pub(crate) fn inherit(&mut self, shared: Shared, uses: impl Fn(&str) -> bool) {
        self.lookback.get_or_insert(shared.lookback);
        complete(&mut self.params, shared.params);
        complete(&mut self.derived, shared.derived.into_iter().filter(|(name, _)| uses(name)));
        if self.days.is_empty() {
            self.days = shared.days;
        }
        if let Some(publish) = &mut self.publish {
            complete(publish, shared.publish);
        }
        self.inherited = shared.columns;
    }

    /// The declared columns by name, and of the inherited ones those that are `given`; the order is the statement's.
    pub(crate) fn columns<'a>(
        &'a self,
        given: impl Iterator<Item = &'a str>,
    ) -> Result<BTreeMap<String, ReportColumn>, Fault> {
        let own = self.columns.keys().map(String::as_str);
        let named = own.chain(given.filter(|name| self.inherited.contains_key(*name)));
        let named = named.collect::<BTreeSet<_>>().into_iter();
        named.map(|name| Ok((name.to_owned(), self.column(name)?))).collect()
    }

    /// A column with a title or note of its own is else what it is elsewhere.
    fn column(&self, name: &str) -> Result<ReportColumn, Fault> {
        let fault = |reason: &str| Fault::new(format!("[columns] {name}: {reason}"));
        let mut entry = toml::Table::new();
        for said in [self.inherited.get(name), self.columns.get(name)].into_iter().flatten() {
            entry.extend(said.as_table().cloned().ok_or_else(|| fault("must be a table with `type` and `title`"))?);
        }
        let entry: Result<ColumnHeader, toml::de::Error> = entry.try_into();
        let ColumnHeader { kind, title, unit, note, label } = entry.map_err(|error| fault(error.message()))?;
        if label && self.key.iter().any(|key| key == name) {
            return Err(fault("`key` tells rows apart by it: it cannot be a label"));
        }
        Ok(ReportColumn { name: name.to_owned(), kind, title, unit, note, label })
    }
}

/// Adds what is not there yet.
fn complete<V>(own: &mut BTreeMap<String, V>, shared: impl IntoIterator<Item = (String, V)>) {
    for (name, value) in shared {
        own.entry(name).or_insert(value);
    }
}

/// Splits a file into its header and its SQL. The SQL keeps its place: what stood before it is
/// left as empty lines, so that a parser's line numbers are the file's.
pub(crate) fn split(text: &str) -> Result<(&str, String), Fault> {
    let missing = || Fault::new(format!("the file must begin with a TOML header between {OPEN} and {CLOSE}"));
    let rest = text.trim_start_matches('\u{feff}').strip_prefix(OPEN).ok_or_else(missing)?;
    let (header, sql) = rest.split_once(CLOSE).ok_or_else(missing)?;
    let lines = header.matches('\n').count();
    Ok((header, format!("{}{sql}", "\n".repeat(lines))))
}

/// Reads a header; a fault names the line and column in the file.
pub(crate) fn read<T: serde::de::DeserializeOwned>(header: &str) -> Result<T, Fault> {
    toml::from_str(header).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = header.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() as u64 + 1;
        let last = before.rsplit('\n').next().unwrap_or_default();
        // The first line of the header shares its line with the opening mark.
        let lead = if line == 1 { OPEN.len() } else { 0 };
        let column = (last.chars().count() + lead) as u64 + 1;
        Fault { line, column, message: error.message().trim().to_owned(), hint: None }
    })
}

#[cfg(test)]
mod tests {
    use super::{ReportHeader, read, split};

    #[test]
    fn the_sql_keeps_its_lines() {
        let (header, sql) = split("/*---\ntitle = 1\n---*/\nSELECT 1").unwrap();
        assert_eq!(header, "\ntitle = 1\n");
        assert_eq!(sql.lines().position(|line| line == "SELECT 1"), Some(3));
        assert!(split("SELECT 1").is_err());
        assert!(split("/*---\n").is_err());
    }

    #[test]
    fn a_fault_names_its_place() {
        let header = "\ntitle = \"T\"\ncolour = \"red\"\n";
        let fault = read::<ReportHeader>(header).unwrap_err();
        assert_eq!((fault.line, fault.column), (3, 1));
        assert!(fault.message.contains("colour"), "{}", fault.message);
    }
}
