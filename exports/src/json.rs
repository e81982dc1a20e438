//! JSON: the envelope of a report with its rows as objects.
//!
//! Rows and envelope can be written apart, so that a cache may keep encoded rows and still give
//! every answer its own age and freshness.

use std::io::Write;

use polars::prelude::DataFrame;
use serde::Serialize;

use crate::cells::Cells;
use crate::column::Column;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::provenance::{Outdated, Provenance, Source};
use crate::text::{push_date, push_float, push_int, push_money, push_timestamp};

/// The largest integer that JavaScript reads exactly; beyond it an `int64` is written as a string.
pub const LARGEST_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The envelope without its rows, in the order in which it is written.
#[derive(Serialize)]
struct Head<'a> {
    report: &'a str,
    parameters: &'a std::collections::BTreeMap<String, serde_json::Value>,
    snapshot: i64,
    revision: Option<i32>,
    state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outdated: Option<&'a Outdated>,
    currency: &'a str,
    generated_at: chrono::DateTime<chrono::Utc>,
    sources: &'a [Source],
    columns: &'a [Column],
    #[serde(skip_serializing_if = "Option::is_none")]
    row_count: Option<u64>,
}

/// Writes a whole document: envelope and rows. `row_count` stands before the rows when the
/// provenance announces it, else after them.
pub(crate) fn write(
    provenance: &Provenance,
    columns: &[Column],
    batches: impl Iterator<Item = Result<DataFrame>>,
    out: &mut impl Write,
) -> Result<u64> {
    write_head(provenance, columns, provenance.row_count, out)?;
    let rows = write_rows(columns, batches, out)?;
    match provenance.row_count {
        Some(announced) if announced != rows => {
            return Err(Error::RowCount { announced, found: rows });
        }
        Some(_) => out.write_all(TAIL),
        None => writeln!(out, ",\"row_count\":{rows}}}"),
    }
    .map_err(Error::Write)?;
    Ok(rows)
}

/// The document up to its rows, for rows that were encoded before: [`encode_rows`] and [`TAIL`] follow.
///
/// # Errors
/// When the envelope cannot be encoded.
pub fn head(provenance: &Provenance, columns: &[Column], row_count: u64) -> Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1_024);
    write_head(provenance, columns, Some(row_count), &mut head)?;
    Ok(head)
}

/// What ends a document after its rows.
pub const TAIL: &[u8] = b"}\n";

/// Encodes rows as a JSON array of objects, without the envelope.
///
/// # Errors
/// When a value does not fit its declared kind, or the writer refuses.
pub fn encode_rows(columns: &[Column], frame: DataFrame, out: &mut impl Write) -> Result<u64> {
    let batches = crate::rows::Batches::new(columns, std::iter::once(Ok(frame)), Format::Json.batch_rows());
    write_rows(columns, batches, out)
}

fn write_head(provenance: &Provenance, columns: &[Column], row_count: Option<u64>, out: &mut impl Write) -> Result<()> {
    let head = Head {
        report: &provenance.report,
        parameters: &provenance.parameters,
        snapshot: provenance.snapshot,
        revision: provenance.revision,
        state: provenance.state.as_deref(),
        outdated: provenance.outdated.as_ref(),
        currency: &provenance.currency,
        generated_at: provenance.generated_at,
        sources: &provenance.sources,
        columns,
        row_count,
    };
    let mut text = serde_json::to_string(&head).map_err(|error| Error::Rows(Box::new(error)))?;
    // Reopen the object: the rows follow as its next member.
    text.pop();
    text.push_str(",\"rows\":");
    out.write_all(text.as_bytes()).map_err(Error::Write)
}

/// Writes the array of rows, one object per line.
fn write_rows(
    columns: &[Column],
    batches: impl Iterator<Item = Result<DataFrame>>,
    out: &mut impl Write,
) -> Result<u64> {
    let keys = keys(columns);
    let mut rows = 0_u64;
    let mut text = b"[".to_vec();
    for batch in batches {
        let batch = batch?;
        let cells = Cells::of(&batch, columns)?;
        for row in 0..batch.height() {
            text.extend_from_slice(if rows == 0 { b"\n" } else { b",\n" });
            push_object(&mut text, &keys, &cells, row);
            rows += 1;
            hand_over(&mut text, out)?;
        }
    }
    text.extend_from_slice(if rows == 0 { b"]" } else { b"\n]" });
    out.write_all(&text).map_err(Error::Write)?;
    Ok(rows)
}

/// Passes on what has gathered, once it is worth it.
pub(crate) fn hand_over(text: &mut Vec<u8>, out: &mut impl Write) -> Result<()> {
    /// Bytes that are written at once.
    const GATHERED: usize = 64 * 1024;
    if text.len() >= GATHERED {
        out.write_all(text).map_err(Error::Write)?;
        text.clear();
    }
    Ok(())
}

/// `"name":` of each column, escaped once.
pub(crate) fn keys(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| format!("{}:", serde_json::Value::from(column.name.as_str()))).collect()
}

pub(crate) fn push_object(text: &mut Vec<u8>, keys: &[String], cells: &[Cells<'_>], row: usize) {
    let mut separator = b'{';
    for (key, cell) in keys.iter().zip(cells) {
        text.push(separator);
        text.extend_from_slice(key.as_bytes());
        push_value(text, cell, row);
        separator = b',';
    }
    text.extend_from_slice(if keys.is_empty() { b"{}" } else { b"}" });
}

fn push_value(text: &mut Vec<u8>, cells: &Cells<'_>, row: usize) {
    let pushed = match cells {
        Cells::Int32(values) => values.get(row).map(|value| push_int(text, value.into())),
        Cells::Int64(values) => values.get(row).map(|value| {
            if value.unsigned_abs() > LARGEST_SAFE_INTEGER {
                quoted(text, |text| push_int(text, value));
            } else {
                push_int(text, value);
            }
        }),
        Cells::Float(values) => values.get(row).map(|value| push_float(text, value)),
        Cells::String(values) => values.get(row).map(|value| quoted(text, |text| push_escaped(text, value))),
        Cells::Bool(values) => {
            values.get(row).map(|value| text.extend_from_slice(if value { b"true" } else { b"false" }))
        }
        Cells::Date(values) => values.get(row).map(|value| quoted(text, |text| push_date(text, value))),
        Cells::Timestamp(values) => values.get(row).map(|value| quoted(text, |text| push_timestamp(text, value))),
        Cells::Money(values, decimals) => values.get(row).map(|value| push_money(text, value, *decimals)),
    };
    if pushed.is_none() {
        text.extend_from_slice(b"null");
    }
}

fn quoted(text: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>)) {
    text.push(b'"');
    push(text);
    text.push(b'"');
}

/// The inside of a JSON string. Only what RFC 8259 demands is escaped; the rest stays readable UTF-8.
fn push_escaped(text: &mut Vec<u8>, value: &str) {
    let mut rest = value.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        let (plain, tail) = rest.split_at(at);
        text.extend_from_slice(plain);
        let Some((byte, tail)) = tail.split_first() else { break };
        match byte {
            b'"' => text.extend_from_slice(b"\\\""),
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            control => text.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        rest = tail;
    }
    text.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::samples;
    use crate::{Format, write};

    #[test]
    fn the_document_is_the_envelope_with_exact_values() {
        let (provenance, columns, frame) = samples::all();
        let mut bytes = Vec::new();
        let written = write(Format::Json, &provenance, &columns, [Ok(frame)], &mut bytes).unwrap();
        assert_eq!((written.rows, written.bytes), (3, bytes.len() as u64));
        let text = String::from_utf8(bytes).unwrap();
        let golden = concat!(
            "{\"report\":\"sample\",\"parameters\":{\"from\":\"2026-03-08\"},\"snapshot\":7,\"revision\":2,",
            "\"state\":\"final\",\"currency\":\"EUR\",\"generated_at\":\"2026-03-09T03:00:00Z\",\"sources\":[{\"name\":\"retail\",",
            "\"complete_through\":\"2026-03-09T02:59:00Z\",\"age_seconds\":60,\"stale\":false}],\"columns\":[",
            "{\"name\":\"n32\",\"type\":\"int32\",\"title\":\"N32\"},{\"name\":\"n64\",\"type\":\"int64\",\"title\":\"N64\"},",
            "{\"name\":\"share\",\"type\":\"float\",\"title\":\"Share\"},{\"name\":\"store\",\"type\":\"string\",\"title\":\"Store\"},",
            "{\"name\":\"open\",\"type\":\"bool\",\"title\":\"Open\"},{\"name\":\"day\",\"type\":\"date\",\"title\":\"Day\"},",
            "{\"name\":\"at\",\"type\":\"timestamp\",\"title\":\"At\"},{\"name\":\"net\",\"type\":\"money\",\"title\":\"Net\"}],",
            "\"rows\":[\n",
            "{\"n32\":-1,\"n64\":9007199254740991,\"share\":0.5,\"store\":\"Zürich \\\"1\\\"\\n=A1\",\"open\":true,",
            "\"day\":\"2026-03-08\",\"at\":\"2026-03-08T07:30:00.000001Z\",\"net\":1234.50},\n",
            "{\"n32\":2,\"n64\":\"9007199254740992\",\"share\":null,\"store\":\"\",\"open\":false,",
            "\"day\":\"1969-12-31\",\"at\":\"1970-01-01T00:00:00.000000Z\",\"net\":-0.05},\n",
            "{\"n32\":null,\"n64\":null,\"share\":null,\"store\":null,\"open\":null,\"day\":null,\"at\":null,\"net\":null}\n",
            "],\"row_count\":3}\n",
        );
        assert_eq!(text, golden);
        let strict: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(strict["rows"][1]["net"], json!(-0.05));
    }

    #[test]
    fn no_row_still_has_the_columns() {
        let (mut provenance, columns, frame) = samples::all();
        provenance.row_count = Some(0);
        let mut bytes = Vec::new();
        write(Format::Json, &provenance, &columns, [Ok(frame.clear())], &mut bytes).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(document["rows"], json!([]));
        assert_eq!(document["row_count"], 0);
        assert_eq!(document["columns"].as_array().unwrap().len(), 8);
    }

    #[test]
    fn a_wrong_announcement_is_an_error() {
        let (mut provenance, columns, frame) = samples::all();
        provenance.row_count = Some(4);
        assert!(write(Format::Json, &provenance, &columns, [Ok(frame)], &mut Vec::new()).is_err());
    }

    #[test]
    fn cached_rows_make_the_same_document() {
        let (mut provenance, columns, frame) = samples::all();
        provenance.row_count = Some(3);
        let mut whole = Vec::new();
        write(Format::Json, &provenance, &columns, [Ok(frame.clone())], &mut whole).unwrap();
        let mut again = super::head(&provenance, &columns, 3).unwrap();
        super::encode_rows(&columns, frame, &mut again).unwrap();
        again.extend_from_slice(super::TAIL);
        assert_eq!(whole, again);
    }
}
