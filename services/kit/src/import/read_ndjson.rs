//! NDJSON to rows: one JSON object per line; empty lines are skipped.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::MAX_BYTES;
use super::body::Message;
use super::column::{Column, Form};
use super::record::Record;
use super::report::RowError;
use super::sink::{Sink, Stop};
use super::source::{ROW_BYTES, Source};
use crate::error::ApiError;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads `source` to its end. Answers where and why it broke off, if it did.
pub(super) fn read<T: Record>(source: &mut Source, sink: &mut Sink<T>) -> Result<Option<RowError>, Stop> {
    sink.send(Message::Begun)?;
    let mut reader = BufReader::with_capacity(64 * 1024, source);
    let (mut bytes, mut offset) = (Vec::new(), 0_u64);
    for line in 1_u64.. {
        bytes.clear();
        let broken = |reason: String| Ok(Some(RowError { line, field: None, reason }));
        match (&mut reader).take(ROW_BYTES as u64 + 1).read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(count) if count > ROW_BYTES => {
                return broken("the line is longer than 1 MiB; nothing was read from here on".to_owned());
            }
            Ok(count) => offset += count as u64,
            Err(error) => {
                return broken(format!("the body broke off; nothing was read from here on: {error}"));
            }
        }
        if offset > MAX_BYTES {
            let limit = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
            return Err(Stop::Refused(ApiError::TooLarge { limit }));
        }
        reader.get_mut().row_began(offset);
        let row = if line == 1 { bytes.strip_prefix(MARK).unwrap_or(&bytes) } else { &bytes }.trim_ascii();
        if row.is_empty() {
            continue;
        }
        let mut found = vec![None; T::COLUMNS.len()];
        let mut json = serde_json::Deserializer::from_slice(row);
        let read = Object { columns: T::COLUMNS, found: &mut found }.deserialize(&mut json).and_then(|()| json.end());
        if read.is_err() {
            // What stands behind the fault was not read; the key is looked for, so that its document goes with the row.
            for (column, found) in T::COLUMNS.iter().zip(&mut found) {
                *found =
                    found.take().or_else(|| T::KEY.contains(&column.name).then(|| member(row, column.name)).flatten());
            }
        }
        let texts: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
        match read {
            Ok(()) => sink.row(line, &texts)?,
            // An object is whole only with its last brace, so a cut one cannot parse.
            Err(error) if error.is_eof() && !bytes.ends_with(b"\n") => {
                return broken("the body ends within this row; it was not applied".to_owned());
            }
            Err(error) => {
                let text = error.to_string();
                // serde_json appends a position within the line, which means nothing beside the field.
                let reason = text.split(" at line ").next().unwrap_or(&text).to_owned();
                let (field, reason) = match reason.split_once('\u{1f}') {
                    Some((field, reason)) => (Some(field.to_owned()), reason.to_owned()),
                    None => (None, reason),
                };
                sink.refuse(&texts, RowError { line, field, reason })?;
            }
        }
    }
    Ok(None)
}

/// The text of a member of an object that cannot be parsed as a whole.
fn member(row: &[u8], name: &str) -> Option<String> {
    let row = String::from_utf8_lossy(row);
    let (_, rest) = row.split_once(&format!("\"{name}\""))?;
    let (text, _) = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?.split_once('"')?;
    Some(text.to_owned())
}

/// Takes an object's members as the texts of columns; what is no member that was declared is refused by its name.
struct Object<'a> {
    columns: &'static [Column],
    found: &'a mut Vec<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a member for each column")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut fault = None;
        while let Some(name) = members.next_key::<String>()? {
            let of_column = |reason: String| format!("{name}\u{1f}{reason}");
            let Some(at) = self.columns.iter().position(|column| column.name == name) else {
                members.next_value::<IgnoredAny>()?;
                let known: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
                fault = fault
                    .or_else(|| Some(of_column(format!("there is no such column; known are {}", known.join(", ")))));
                continue;
            };
            let value: Value = members.next_value()?;
            let text = text(&value, self.columns[at].form);
            if self.found[at].is_some() {
                fault = fault.or_else(|| Some(of_column("stands twice in this row".to_owned())));
            }
            match text {
                Ok(text) => self.found[at] = Some(text),
                Err(reason) => fault = fault.or_else(|| Some(of_column(reason.to_owned()))),
            }
        }
        fault.map_or(Ok(()), |fault| Err(A::Error::custom(fault)))
    }
}

/// The text that stands for a value in CSV.
fn text(value: &Value, form: Form) -> Result<String, &'static str> {
    match (value, form) {
        (Value::Null, _) => Ok(String::new()),
        (Value::String(text), Form::Text | Form::Decimal) => Ok(text.clone()),
        (Value::Number(number), Form::Whole | Form::Decimal) => Ok(number.to_string()),
        (Value::Bool(flag), Form::Flag) => Ok(flag.to_string()),
        (_, Form::Text) => Err("must be text"),
        (_, Form::Whole) => Err("must be a whole number, without quotes"),
        (_, Form::Decimal) => Err("must be a number, or one as text"),
        (_, Form::Flag) => Err("must be true or false, without quotes"),
    }
}
