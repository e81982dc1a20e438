//! A CSV page, parsed straight into typed columns.
//!
//! Every field is read by its declared type. A row that does not fit is set aside as it came, with
//! column and reason; it never becomes NULL. A page whose header or number of rows is not what was
//! announced is no page at all.

mod build;
mod days;
mod value;

use std::collections::BTreeMap;

use base::DayStart;
use chrono::NaiveDate;
use lake::{BUSINESS_DAY, Column as Declared, ColumnType};
use polars::prelude::*;

use super::declare::{BUSINESS_HOUR, Dataset};
use build::{Builder, local_series};
use days::{LocalColumns, LocalTimes};
use value::Value;

/// Name of the feed's mark on removed rows.
pub(crate) const DELETED: &str = "deleted";

/// How a dataset's pages look and what becomes of their columns.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    columns: Vec<Declared>,
    /// Columns of the lake that pages do not have.
    absent: Vec<Declared>,
    /// The one of them that is computed, and not NULL.
    computed: Option<String>,
    /// Names of the frame's columns, in the lake's order.
    lake: Vec<String>,
    keys: usize,
    day: Option<Day>,
    header: String,
}

/// Where the local time comes from: positions of columns.
#[derive(Debug, Clone, Copy)]
struct Day {
    from: LocalFrom,
    start: DayStart,
}

#[derive(Debug, Clone, Copy)]
enum LocalFrom {
    /// As the source delivers it.
    Source(usize),
    /// Of instant and zone.
    Zone(usize, usize),
}

impl LocalFrom {
    fn needs(self, column: usize) -> bool {
        match self {
            Self::Source(local) => column == local,
            Self::Zone(from, zone) => column == from || column == zone,
        }
    }
}

/// A row that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Position in the page, from 1.
    pub(crate) row: usize,
    pub(crate) column: String,
    pub(crate) reason: String,
    /// The key as [`key_text`] writes it, when all of it fits.
    pub(crate) key: Option<String>,
    /// The row as it came, without its line end; of a long one its head, with its length and digest.
    pub(crate) raw: String,
}

/// A page in columns: the lake's, then `deleted`.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) frame: DataFrame,
    pub(crate) refused: Vec<Refused>,
    /// Rows per business day; empty for a dataset without days.
    pub(crate) days: BTreeMap<NaiveDate, u64>,
}

impl Layout {
    pub(crate) fn new(dataset: &Dataset) -> Self {
        let columns: Vec<Declared> = dataset.feed_columns().into_iter().cloned().collect();
        let place = |name: &str| columns.iter().position(|it| it.name == name);
        let day = dataset.business_day.as_ref().and_then(|it| {
            let from = match dataset.local_time() {
                Some(local) => LocalFrom::Source(place(local)?),
                None => LocalFrom::Zone(place(&it.from)?, place(&it.zone)?),
            };
            Some(Day { from, start: it.start })
        });
        let names: Vec<&str> = columns.iter().map(|it| it.name.as_str()).chain([DELETED]).collect();
        let header = names.join(",");
        let lake = dataset.table().columns.into_iter().map(|it| it.name).collect();
        let absent = dataset.columns.iter().filter(|it| dataset.absent.contains(&it.name)).cloned().collect();
        let computed = dataset.business_day.as_ref().and_then(|it| it.local.clone());
        Self { absent, computed, lake, keys: dataset.key.len(), day, header, columns }
    }

    /// The header line that every page must begin with.
    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    /// Parse a whole page of exactly `rows` rows. The error says why this is no page of the dataset.
    pub(crate) fn parse(&self, body: &[u8], rows: usize) -> Result<Parsed, String> {
        let mut reader = Reader::new(body);
        let width = self.columns.len() + 1;
        self.check_header(&mut reader)?;
        let mut builders: Vec<Builder> = self.columns.iter().map(|it| Builder::new(it, rows)).collect();
        let mut deleted = BooleanChunkedBuilder::new(DELETED.into(), rows);
        let mut locals = self.day.map(|day| LocalTimes::new(rows, day.start));
        let mut refused = Vec::new();
        let mut values: Vec<Value> = vec![Value::Null; width];
        let mut seen = 0;
        while reader.at < body.len() {
            seen += 1;
            if seen > rows {
                return Err(format!("it holds more than the {rows} rows announced"));
            }
            let start = reader.at;
            let row = self.row(&mut reader, &mut values)?;
            let fault = row.or_else(|| self.local_time(locals.as_mut()?, &values, &reader));
            let Some((column, reason)) = fault else {
                for (builder, value) in builders.iter_mut().zip(&values) {
                    builder.push(value, &reader);
                }
                deleted.append_value(values.last() == Some(&Value::Bool(true)));
                continue;
            };
            let raw = kept(body.get(start..reader.at).unwrap_or_default());
            let column = self.columns.get(column).map_or(DELETED, |it| it.name.as_str()).to_owned();
            let key = self.key(&values, &reader);
            refused.push(Refused { row: seen, column, reason, key, raw });
        }
        if seen != rows {
            return Err(format!("it holds {seen} rows where {rows} were announced"));
        }
        self.frame(builders, deleted, locals, refused)
    }

    fn check_header(&self, reader: &mut Reader<'_>) -> Result<(), String> {
        let line = reader.body.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if reader.body.len() == line.len() || line.strip_suffix(b"\r").unwrap_or(line) != self.header.as_bytes() {
            let found: String = String::from_utf8_lossy(line).chars().take(200).collect();
            return Err(format!("its header is {found:?} instead of {:?}", self.header));
        }
        reader.at = line.len() + 1;
        Ok(())
    }

    /// Read one row. The inner answer is the first fault that keeps the row out.
    fn row(&self, reader: &mut Reader<'_>, values: &mut [Value]) -> Result<Option<(usize, String)>, String> {
        reader.unquoted.clear();
        let mut fault: Option<(usize, String)> = None;
        let mut place = 0;
        loop {
            let (field, ended) = reader.field()?;
            if let Some(slot) = values.get_mut(place) {
                let bytes = field.bytes(reader);
                let read = match self.columns.get(place) {
                    Some(column) => value::read(column.kind, column.nullable, field, bytes, reader.text.is_some()),
                    None => value::read(ColumnType::Bool, false, field, bytes, false),
                };
                *slot = read.unwrap_or_else(|reason| {
                    fault.get_or_insert((place, reason));
                    Value::Null
                });
            }
            place += 1;
            if ended {
                break;
            }
        }
        if place != values.len() {
            return Ok(Some((0, format!("the row has {place} fields instead of {}", values.len()))));
        }
        // A row that is leaving needs no more than its key and its day.
        let leaving = values.last() == Some(&Value::Bool(true));
        Ok(fault.filter(|(at, _)| {
            let needed = *at < self.keys || self.day.is_some_and(|day| day.from.needs(*at));
            !leaving || needed || *at >= self.columns.len()
        }))
    }

    fn key(&self, values: &[Value], reader: &Reader<'_>) -> Option<String> {
        let parts = values.iter().take(self.keys).map(|value| value.text(reader));
        Some(key_text(parts.collect::<Option<Vec<String>>>()?)).filter(|it| it.len() <= KEPT)
    }

    /// Add the row's local time, if the dataset has days.
    fn local_time(&self, locals: &mut LocalTimes, values: &[Value], reader: &Reader<'_>) -> Option<(usize, String)> {
        match self.day?.from {
            LocalFrom::Source(local) => match values.get(local) {
                Some(Value::Int64(micros)) => locals.push(*micros).err().map(|reason| (local, reason)),
                _ => Some((local, "NULL where a business day needs it".to_owned())),
            },
            LocalFrom::Zone(from, zone) => match (values.get(from), values.get(zone)) {
                (Some(Value::Int64(micros)), Some(Value::Text(name))) => {
                    locals.push_instant(*micros, name.bytes(reader)).err().map(|reason| (zone, reason))
                }
                _ => Some((from, "no instant or no zone".to_owned())),
            },
        }
    }

    fn frame(
        &self,
        builders: Vec<Builder>,
        deleted: BooleanChunkedBuilder,
        locals: Option<LocalTimes>,
        refused: Vec<Refused>,
    ) -> Result<Parsed, String> {
        let deleted = deleted.finish().into_series();
        let rows = deleted.len();
        let mut series: Vec<Series> = builders.into_iter().map(Builder::finish).collect();
        let absent = self.absent.iter().filter(|it| self.computed.as_ref() != Some(&it.name));
        series.extend(absent.map(|it| Series::full_null(it.name.as_str().into(), rows, &it.kind.data_type())));
        let mut days = BTreeMap::new();
        if let Some(locals) = locals {
            days = locals.count();
            let LocalColumns { locals, days: day, hours } = locals.into_columns();
            if let Some(name) = self.computed.as_ref().filter(|it| self.absent.iter().any(|that| that.name == **it)) {
                series.push(local_series(Int64Chunked::from_vec(name.as_str().into(), locals)));
            }
            series.push(Int32Chunked::from_vec(BUSINESS_DAY.into(), day).into_date().into_series());
            series.push(Int32Chunked::from_vec(BUSINESS_HOUR.into(), hours).into_series());
        }
        series.push(deleted);
        let frame = DataFrame::new(rows, series.into_iter().map(Column::from).collect())
            .and_then(|it| it.select(self.lake.iter().map(String::as_str).chain([DELETED])))
            .map_err(|fault| fault.to_string())?;
        Ok(Parsed { frame, refused, days })
    }
}

/// Bytes that are kept of a row that does not fit: many times what a row has that is one.
const KEPT: usize = 4 * 1024;

/// A row as it is kept apart: rows that differ stay different, however long they are.
fn kept(row: &[u8]) -> String {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    let row = row.strip_suffix(b"\r").unwrap_or(row);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}");
    match row.get(..KEPT).filter(|_| row.len() > KEPT) {
        None => text(row),
        Some(head) => format!("{}… ({} bytes, SHA-256 {})", text(head), row.len(), base::sha256_hex(row)),
    }
}

/// What parts the columns of a key that is written as one text.
pub(crate) const KEY_SEPARATOR: &str = "\u{1f}";

/// A key of several columns as one text.
pub(crate) fn key_text(parts: Vec<String>) -> String {
    parts.join(KEY_SEPARATOR)
}

/// Where a field is, and whether quotes were around it: an unquoted `\N` is NULL, a quoted one is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    from: usize,
    to: usize,
    quoted: bool,
    /// The text had doubled quotes and stands in the side buffer.
    aside: bool,
}

impl Field {
    fn bytes<'a>(self, reader: &'a Reader<'_>) -> &'a [u8] {
        let buffer = if self.aside { reader.unquoted.as_slice() } else { reader.body };
        buffer.get(self.from..self.to).unwrap_or_default()
    }
}

struct Reader<'a> {
    body: &'a [u8],
    /// The whole body, if it is UTF-8 without NUL; then so is each field, for what parts fields is ASCII.
    text: Option<&'a str>,
    at: usize,
    /// Text of this row's fields that had doubled quotes, with each pair made one.
    unquoted: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn new(body: &'a [u8]) -> Self {
        let text = std::str::from_utf8(body).ok().filter(|_| !body.contains(&0));
        Self { body, text, at: 0, unquoted: Vec::new() }
    }

    /// A field that was found to be text.
    fn text(&self, field: Field) -> &str {
        let text = match self.text {
            Some(text) if !field.aside => text.get(field.from..field.to),
            _ => std::str::from_utf8(field.bytes(self)).ok(),
        };
        text.unwrap_or_default()
    }

    /// The next field, and whether it was the last of its row.
    fn field(&mut self) -> Result<(Field, bool), String> {
        if self.body.get(self.at) == Some(&b'"') {
            return self.quoted();
        }
        let from = self.at;
        let rest = self.body.get(from..).unwrap_or_default();
        let length = memchr::memchr2(b',', b'\n', rest).ok_or("it ends in the middle of a row")?;
        let ended = rest.get(length) == Some(&b'\n');
        let mut to = from + length;
        self.at = to + 1;
        if ended && to > from && self.body.get(to - 1) == Some(&b'\r') {
            to -= 1;
        }
        Ok((Field { from, to, quoted: false, aside: false }, ended))
    }

    fn quoted(&mut self) -> Result<(Field, bool), String> {
        let from = self.at + 1;
        let aside_from = self.unquoted.len();
        let (mut start, mut aside) = (from, false);
        loop {
            let rest = self.body.get(start..).unwrap_or_default();
            let quote = rest.iter().position(|byte| *byte == b'"').ok_or("it ends inside a quoted field")?;
            let end = start + quote;
            let doubled = self.body.get(end + 1) == Some(&b'"');
            if doubled || aside {
                let piece = self.body.get(start..end).unwrap_or_default();
                self.unquoted.extend_from_slice(piece);
                aside = true;
            }
            if doubled {
                self.unquoted.push(b'"');
                start = end + 2;
                continue;
            }
            let mut after = end + 1;
            if self.body.get(after) == Some(&b'\r') {
                after += 1;
            }
            let ended = match self.body.get(after) {
                Some(b',') => false,
                Some(b'\n') => true,
                Some(_) => return Err("text follows a closing quote".to_owned()),
                None => return Err("it ends in the middle of a row".to_owned()),
            };
            self.at = after + 1;
            let (from, to) = if aside { (aside_from, self.unquoted.len()) } else { (from, end) };
            return Ok((Field { from, to, quoted: true, aside }, ended));
        }
    }
}

#[cfg(test)]
#[path = "page/tests.rs"]
mod tests;
