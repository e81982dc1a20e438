//! What a source is: parsed from TOML, checked whole, with the line of every fault.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::DayStart;
use serde::Deserialize;
use toml::Spanned;

use lake::{BUSINESS_DAY, Column, ColumnType, TableDefinition};

/// Name of the derived column that holds a fact's local hour, 0 to 23.
pub const BUSINESS_HOUR: &str = "business_hour";
/// Names that the feed, the lake or the engine itself uses.
const RESERVED_COLUMNS: [&str; 3] = [BUSINESS_DAY, BUSINESS_HOUR, "deleted"];

/// A source as its file declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// Unique name, a lower-case identifier.
    pub name: String,
    /// Path of the service's API at the gateway, such as `/retail/api/v1`.
    pub base: String,
    /// Time from one scheduled poll to the next.
    pub poll: Duration,
    /// Age of `complete_through` from which answers are marked stale.
    pub stale_after: Duration,
    /// Most requests per second sent to the source.
    pub rate: u32,
    /// Rows asked for in one page.
    pub page: u32,
    /// Time one page may take, first byte to last.
    pub timeout: Duration,
    /// How long the circuit breaker stays open before one call may try.
    pub cool_down: Duration,
    /// Largest share of a dataset's rows that a full refresh may drop without an operator's word, 0 to 1.
    pub drop_share: f64,
    /// The datasets, in the file's order.
    pub datasets: Vec<Dataset>,
}

/// One dataset of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Table name in the lake.
    pub name: String,
    /// Name in the source's feed.
    pub feed: String,
    /// Key columns, in the feed's order.
    pub key: Vec<String>,
    /// How the business day is found; `None` for a reference set, which is one file.
    pub business_day: Option<BusinessDay>,
    /// Declared columns, in the file's order, without the derived ones.
    pub columns: Vec<Column>,
    /// The version of the service from which on it offers the dataset; `None` where every version must.
    pub since: Option<String>,
    /// The same by column, of those that not every version offers.
    pub columns_since: BTreeMap<String, String>,
    /// Columns that the source at hand does not offer: NULL in every row. None as it is declared.
    pub absent: BTreeSet<String>,
}

/// The columns that a fact's local time comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusinessDay {
    /// A timestamp column.
    pub from: String,
    /// A string column that holds an IANA zone name.
    pub zone: String,
    /// A column that holds the local time as the source computed it once; where it offers none, it is computed of the
    /// other two, by the zone data of this program.
    pub local: Option<String>,
    /// When the company's days start.
    #[serde(skip)]
    pub start: DayStart,
}

impl Dataset {
    /// The lake's table: the declared columns, then the derived ones.
    pub fn table(&self) -> TableDefinition {
        let mut columns = self.columns.clone();
        if self.business_day.is_some() {
            columns.push(Column::required(BUSINESS_DAY, ColumnType::Date));
            columns.push(Column::required(BUSINESS_HOUR, ColumnType::Int32));
        }
        TableDefinition { name: self.name.clone(), columns, has_days: self.business_day.is_some() }
    }

    /// The columns that are asked for, in the order in which a feed page sends them: the key, then the rest.
    pub fn feed_columns(&self) -> Vec<&Column> {
        let of_key = self.key.iter().filter_map(|key| self.columns.iter().find(|it| it.name == *key));
        let others = self.columns.iter().filter(|it| !self.key.contains(&it.name) && !self.absent.contains(&it.name));
        of_key.chain(others).collect()
    }

    /// The column of the local time, if the source at hand offers it.
    pub(crate) fn local_time(&self) -> Option<&str> {
        let local = self.business_day.as_ref()?.local.as_deref()?;
        Some(local).filter(|it| !self.absent.contains(*it))
    }

    /// Text that changes when rows already in the lake no longer are what a fresh read would bring.
    pub fn shape(&self) -> String {
        let mut shape = format!("{}:{}", self.feed, self.key.join(","));
        for column in self.feed_columns() {
            let mark = if column.nullable { "?" } else { "" };
            shape.push_str(&format!(";{} {}{mark}", column.name, column.kind.name()));
        }
        if let Some(day) = &self.business_day {
            match self.local_time() {
                Some(local) => shape.push_str(&format!(";day {local}")),
                None => {
                    let into = day.local.as_deref().unwrap_or_default();
                    shape.push_str(&format!(";day {} {} {} {into}", day.from, day.zone, base::ZONE_DATA));
                }
            }
            if !day.start.is_midnight() {
                shape.push_str(&format!(" from {}", day.start));
            }
        }
        shape
    }
}

impl Declaration {
    /// Text that changes when a stored `ETag` no longer stands for what this declaration would fetch.
    pub fn shape(&self) -> String {
        let datasets: Vec<String> = self.datasets.iter().map(|it| format!("{}={}", it.name, it.shape())).collect();
        format!("{}|{}", self.base, datasets.join("|"))
    }
}

/// A fault in a declaration.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}: {key}: {reason}")]
pub struct DeclarationError {
    /// File name as it was given.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The key at fault, dotted.
    pub key: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    source: Spanned<SourceTable>,
    #[serde(default)]
    dataset: Vec<Spanned<DatasetTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceTable {
    name: Spanned<String>,
    base: Spanned<String>,
    poll: Spanned<String>,
    stale_after: Option<Spanned<String>>,
    rate: Option<Spanned<u32>>,
    page: Option<Spanned<u32>>,
    timeout: Option<Spanned<String>>,
    cool_down: Option<Spanned<String>>,
    drop_share: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DatasetTable {
    name: Spanned<String>,
    feed: Option<Spanned<String>>,
    key: Spanned<Vec<Spanned<String>>>,
    since: Option<Spanned<String>>,
    business_day: Option<Spanned<BusinessDay>>,
    columns: BTreeMap<Spanned<String>, Spanned<String>>,
}

/// Parse and check one declaration. `file` is only used in messages.
pub fn parse(file: &str, text: &str) -> Result<Declaration, DeclarationError> {
    let checker = Checker { file, text };
    let parsed: File = toml::from_str(text).map_err(|fault| {
        let span = fault.span().unwrap_or(0..0);
        checker.fault(span.start, checker.word_at(span), fault.message().trim())
    })?;
    checker.declaration(parsed)
}

struct Checker<'a> {
    file: &'a str,
    text: &'a str,
}

impl Checker<'_> {
    fn fault(&self, at: usize, key: impl Into<String>, reason: impl Into<String>) -> DeclarationError {
        let line = self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        DeclarationError { file: self.file.to_owned(), line, key: key.into(), reason: reason.into() }
    }

    /// The key that a TOML error points at: its line up to the equals sign, or the span itself.
    fn word_at(&self, span: std::ops::Range<usize>) -> String {
        let before = self.text.get(..span.start).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.text.get(start..).and_then(|it| it.lines().next()).unwrap_or_default();
        line.split('=').next().unwrap_or_default().trim().trim_matches(['[', ']']).to_owned()
    }

    fn declaration(&self, parsed: File) -> Result<Declaration, DeclarationError> {
        let at = parsed.source.span().start;
        let source = parsed.source.into_inner();
        let name = self.identifier("source.name", &source.name)?;
        let base = source.base.get_ref().trim_end_matches('/').to_owned();
        if !base.starts_with('/') || base.contains(['?', '#', ' ']) {
            let reason = "must be a path at the gateway, such as \"/retail/api/v1\"";
            return Err(self.fault(source.base.span().start, "source.base", reason));
        }
        let poll = self.duration("source.poll", &source.poll, "every ")?;
        let span = |key: &str, given: &Option<Spanned<String>>, default: Duration| match given {
            Some(text) => self.duration(key, text, ""),
            None => Ok(default),
        };
        let stale_after = span("source.stale_after", &source.stale_after, poll * 3)?;
        let timeout = span("source.timeout", &source.timeout, Duration::from_secs(60))?;
        let cool_down = span("source.cool_down", &source.cool_down, Duration::from_secs(30))?;
        let rate = self.number("source.rate", source.rate.as_ref(), 50, 1..=10_000)?;
        let page = self.number("source.page", source.page.as_ref(), 100_000, 1..=1_000_000)?;
        let drop_share = source.drop_share.as_ref().map_or(0.2, |it| *it.get_ref());
        if !(0.0..=1.0).contains(&drop_share) {
            let at = source.drop_share.map_or(at, |it| it.span().start);
            return Err(self.fault(at, "source.drop_share", "must be between 0 and 1"));
        }
        if parsed.dataset.is_empty() {
            return Err(self.fault(at, "dataset", "a source needs at least one [[dataset]]"));
        }
        let mut datasets: Vec<Dataset> = Vec::with_capacity(parsed.dataset.len());
        for table in parsed.dataset {
            let at = table.span().start;
            let dataset = self.dataset(table.into_inner())?;
            if datasets.iter().any(|it| it.name == dataset.name) {
                return Err(self.fault(at, "dataset.name", format!("`{}` is declared twice", dataset.name)));
            }
            datasets.push(dataset);
        }
        Ok(Declaration { name, base, poll, stale_after, rate, page, timeout, cool_down, drop_share, datasets })
    }

    fn dataset(&self, table: DatasetTable) -> Result<Dataset, DeclarationError> {
        let name = self.identifier("dataset.name", &table.name)?;
        let feed = table.feed.as_ref().map_or_else(|| Ok(name.clone()), |it| self.identifier("dataset.feed", it))?;
        let since = table.since.map(|it| self.version(&format!("{name}.since"), it.span().start, it.get_ref()));
        let (columns, columns_since) = self.columns(&name, table.columns)?;
        let find = |wanted: &str| columns.iter().find(|it| it.name == wanted);
        if table.key.get_ref().is_empty() {
            return Err(self.fault(table.key.span().start, format!("{name}.key"), "names no column"));
        }
        let mut key: Vec<String> = Vec::new();
        for part in table.key.get_ref() {
            let place = part.span().start;
            let column = find(part.get_ref()).ok_or_else(|| {
                self.fault(place, format!("{name}.key"), format!("`{}` is not among the columns", part.get_ref()))
            })?;
            if column.nullable || key.contains(&column.name) {
                let reason = format!("`{}` must be there once and not nullable", column.name);
                return Err(self.fault(place, format!("{name}.key"), reason));
            }
            key.push(column.name.clone());
        }
        let business_day = match table.business_day {
            Some(day) => {
                let (place, day) = (day.span().start, day.into_inner());
                let parts = [
                    ("from", Some(&day.from), ColumnType::Timestamp),
                    ("zone", Some(&day.zone), ColumnType::String),
                    ("local", day.local.as_ref(), ColumnType::Local),
                ];
                for (part, wanted, kind) in parts {
                    let Some(wanted) = wanted else { continue };
                    let may_lack = columns_since.contains_key(wanted) && kind == ColumnType::Local;
                    if !find(wanted).is_some_and(|it| it.kind == kind && (may_lack || !it.nullable)) {
                        let reason = format!("`{wanted}` must be a column of type {}, not nullable", kind.name());
                        return Err(self.fault(place, format!("{name}.business_day.{part}"), reason));
                    }
                }
                Some(day)
            }
            None => None,
        };
        let (since, absent) = (since.transpose()?, BTreeSet::new());
        Ok(Dataset { name, feed, key, business_day, columns, since, columns_since, absent })
    }

    /// The columns in the order of the file (a TOML table is read in the order of its keys' names), and the versions that
    /// brought the later ones.
    fn columns(
        &self,
        dataset: &str,
        table: BTreeMap<Spanned<String>, Spanned<String>>,
    ) -> Result<(Vec<Column>, BTreeMap<String, String>), DeclarationError> {
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let (mut columns, mut versions) = (Vec::with_capacity(entries.len()), BTreeMap::new());
        for (name, kind) in entries {
            let key = format!("{dataset}.columns.{}", name.get_ref());
            let column = self.identifier(&key, &name)?;
            if RESERVED_COLUMNS.contains(&column.as_str()) {
                return Err(self.fault(name.span().start, key, "the name is the engine's own"));
            }
            let (word, since) = kind
                .get_ref()
                .split_once(" since ")
                .map_or((kind.get_ref().as_str(), None), |(word, since)| (word, Some(since)));
            let (word, nullable) = word.strip_suffix('?').map_or((word, false), |it| (it, true));
            if let Some(since) = since {
                if !nullable {
                    let reason = "must be nullable (`?`): an earlier version does not offer it";
                    return Err(self.fault(kind.span().start, key, reason));
                }
                versions.insert(column.clone(), self.version(&key, kind.span().start, since)?);
            }
            let kind = ColumnType::from_name(word).ok_or_else(|| {
                let known = ColumnType::ALL.map(ColumnType::name).join(", ");
                let reason = format!("unknown type `{word}`; one of {known}, with `?` when NULL fits");
                self.fault(kind.span().start, key, reason)
            })?;
            columns.push(Column { name: column, kind, nullable });
        }
        Ok((columns, versions))
    }

    /// A version of the service, as `0.2.0`: told to people, never compared.
    fn version(&self, key: &str, at: usize, text: &str) -> Result<String, DeclarationError> {
        let is_number = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
        if text.len() <= 20 && text.split('.').all(is_number) {
            return Ok(text.to_owned());
        }
        Err(self.fault(at, key, format!("`{text}` must be a version, such as 0.2.0")))
    }

    fn identifier(&self, key: &str, text: &Spanned<String>) -> Result<String, DeclarationError> {
        let name = text.get_ref();
        let good = name.starts_with(|it: char| it.is_ascii_lowercase())
            && name.len() <= 60
            && name.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_');
        if !good {
            let reason = format!("`{name}` must be lower-case letters, digits and _, at most 60, a letter first");
            return Err(self.fault(text.span().start, key, reason));
        }
        Ok(name.clone())
    }

    fn duration(&self, key: &str, text: &Spanned<String>, prefix: &str) -> Result<Duration, DeclarationError> {
        let span = text.get_ref().strip_prefix(prefix).and_then(|it| base::parse_span(it).ok());
        let reason =
            || format!("`{}` must read like \"{prefix}90s\", \"{prefix}5m\" or \"{prefix}1h\"", text.get_ref());
        span.filter(|it| !it.is_zero() && it.as_secs() <= u64::from(u32::MAX))
            .ok_or_else(|| self.fault(text.span().start, key, reason()))
    }

    fn number(
        &self,
        key: &str,
        given: Option<&Spanned<u32>>,
        default: u32,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<u32, DeclarationError> {
        let Some(given) = given else { return Ok(default) };
        if range.contains(given.get_ref()) {
            return Ok(*given.get_ref());
        }
        let reason = format!("must be between {} and {}", range.start(), range.end());
        Err(self.fault(given.span().start, key, reason))
    }
}

#[cfg(test)]
#[path = "declare_tests.rs"]
mod tests;
