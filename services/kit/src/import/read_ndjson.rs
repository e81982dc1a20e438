//! NDJSON to rows: one JSON object per line; empty lines are skipped.

use std::io::{BufRead as _, BufReader, Read as _};

use serde_json::Value;

use super::group::{Gone, Sink};
use super::source::{ROW_BYTES, Source};
use super::{Record, RowError};
use crate::json::{self, ObjectsOnly};

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads `source` to its end, or until nobody listens.
pub(super) fn read<T: Record>(source: Source, sink: &mut Sink<T>) -> Result<(), Gone> {
    sink.begin()?;
    let mut reader = BufReader::with_capacity(64 * 1024, source);
    let (mut bytes, mut offset) = (Vec::new(), 0_u64);
    for line in 1_u64.. {
        bytes.clear();
        let broken = |reason: String| Some(RowError { line, field: None, reason });
        match (&mut reader).take(ROW_BYTES as u64 + 1).read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(count) if count > ROW_BYTES => {
                return sink.end(broken("the line is longer than 1 MiB; nothing was read from here on".to_owned()));
            }
            Ok(count) => offset += count as u64,
            Err(error) => {
                return sink.end(broken(format!("the body broke off; nothing was read from here on: {error}")));
            }
        }
        reader.get_mut().row_began(offset);
        let row = if line == 1 { bytes.strip_prefix(MARK).unwrap_or(&bytes) } else { &bytes }.trim_ascii();
        if row.is_empty() {
            continue;
        }
        match json::from_slice::<T>(row) {
            Ok(value) => sink.row(line, value)?,
            // An object is whole only with its last brace, so a cut one cannot parse.
            Err(error) if error.is_eof() && !bytes.ends_with(b"\n") => {
                return sink.end(broken("the body ends within this row; it was not applied".to_owned()));
            }
            Err(_) => refuse(line, row, sink)?,
        }
    }
    sink.end(None)
}

/// Reads the row once more, slowly, to say what is wrong with it.
fn refuse<T: Record>(line: u64, row: &[u8], sink: &mut Sink<T>) -> Result<(), Gone> {
    let mut json = serde_json::Deserializer::from_slice(row);
    let error = match serde_path_to_error::deserialize::<_, T>(ObjectsOnly(&mut json)) {
        Ok(_) => RowError { line, field: None, reason: "something follows the object".to_owned() },
        Err(error) => {
            let path = error.path().to_string();
            let text = error.inner().to_string();
            // serde_json appends a position within the line, which means nothing beside the field.
            let reason = text.split(" at line ").next().unwrap_or(&text).to_owned();
            RowError { line, field: named_field(&reason).or_else(|| (path != ".").then_some(path)), reason }
        }
    };
    let value: Option<Value> = serde_json::from_slice(row).ok();
    let key = T::DOCUMENT.and_then(|name| value.as_ref()?.get(name)?.as_str());
    sink.refuse(key, error)
}

/// The field that serde names in its message, if it does.
pub(super) fn named_field(reason: &str) -> Option<String> {
    let starts = ["missing field `", "unknown field `", "duplicate field `"];
    let rest = starts.iter().find_map(|start| reason.strip_prefix(start))?;
    rest.split('`').next().map(ToOwned::to_owned)
}
