//! CSV in two profiles: `raw` for programs (RFC 4180) and `spreadsheet` for a double click.
//!
//! Both have a header, CRLF line ends and UTF-8. A null and an empty text are both an empty field: the format knows no
//! difference. A spreadsheet guesses what a field is, by the country of its user: so it gets the separators of that
//! country, units in the header, and text that it could take for a number, a date, a truth value or a formula as
//! `="text"`, which Excel, LibreOffice and Google Sheets show as that text and nothing else.

use std::io::Write;

use csv::{QuoteStyle, Terminator, WriterBuilder};
use polars::prelude::DataFrame;

use crate::cells::Cells;
use crate::column::{Column, Kind};
use crate::error::{Error, Result};
use crate::format::{CsvProfile, DecimalMark};
use crate::provenance::Provenance;
use crate::text::{push_date, push_float, push_int, push_money, push_spreadsheet_timestamp, push_timestamp};

/// Tells Excel that the file is UTF-8; without it every accent opens as two wrong letters.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// The longest text within a formula of Excel, in characters.
const LONGEST_LITERAL: usize = 255;
/// What a spreadsheet computes with: 15 decimal digits.
const LARGEST_EXACT: u64 = 1_000_000_000_000_000;

pub(crate) fn write(
    profile: CsvProfile,
    provenance: &Provenance,
    columns: &[Column],
    batches: impl Iterator<Item = Result<DataFrame>>,
    out: &mut impl Write,
) -> Result<u64> {
    let mut builder = WriterBuilder::new();
    builder.terminator(Terminator::CRLF).quote_style(QuoteStyle::Necessary).buffer_capacity(128 * 1024);
    if let CsvProfile::Spreadsheet(mark) = profile {
        out.write_all(BYTE_ORDER_MARK).map_err(Error::Write)?;
        builder.delimiter(if mark == DecimalMark::Comma { b';' } else { b',' });
    }
    let mut writer = builder.from_writer(out);
    writer.write_record(columns.iter().map(|column| heading(profile, column, provenance))).map_err(failed)?;
    let mut rows = 0;
    let mut text = Vec::new();
    for batch in batches {
        let batch = batch?;
        let cells = Cells::of(&batch, columns)?;
        for row in 0..batch.height() {
            for cell in &cells {
                text.clear();
                let field = match profile {
                    CsvProfile::Raw => field(cell, row, &mut text),
                    CsvProfile::Spreadsheet(mark) => spreadsheet_field(cell, row, mark, &mut text),
                };
                writer.write_field(field).map_err(failed)?;
            }
            writer.write_record(None::<&[u8]>).map_err(failed)?;
        }
        rows += batch.height() as u64;
    }
    writer.flush().map_err(Error::Write)?;
    Ok(rows)
}

/// The name of a column; for a person, with its unit, which no cell tells.
fn heading(profile: CsvProfile, column: &Column, provenance: &Provenance) -> String {
    match (profile, column.kind) {
        (CsvProfile::Spreadsheet(_), Kind::Money { .. }) => format!("{} ({})", column.name, provenance.currency),
        (CsvProfile::Spreadsheet(_), Kind::Timestamp) => format!("{} (UTC)", column.name),
        _ => column.name.clone(),
    }
}

/// The text of a cell: borrowed from the column where it is text already, else built in `text`. A null is empty.
fn field<'a>(cells: &'a Cells<'_>, row: usize, text: &'a mut Vec<u8>) -> &'a [u8] {
    match cells {
        Cells::String(values) => return values.get(row).unwrap_or_default().as_bytes(),
        Cells::Int32(values) => values.get(row).into_iter().for_each(|value| push_int(text, value.into())),
        Cells::Int64(values) => values.get(row).into_iter().for_each(|value| push_int(text, value)),
        Cells::Date(values) => values.get(row).into_iter().for_each(|days| push_date(text, days)),
        Cells::Float(values) => values.get(row).into_iter().for_each(|value| push_float(text, value)),
        Cells::Bool(values) => match values.get(row) {
            Some(true) => return b"true",
            Some(false) => return b"false",
            None => {}
        },
        Cells::Timestamp(values) => values.get(row).into_iter().for_each(|value| push_timestamp(text, value)),
        Cells::Money(values, decimals) => {
            values.get(row).into_iter().for_each(|value| push_money(text, value, *decimals));
        }
    }
    text
}

/// As [`field`], in the form in which a spreadsheet finds the same value.
fn spreadsheet_field<'a>(cells: &'a Cells<'_>, row: usize, mark: DecimalMark, text: &'a mut Vec<u8>) -> &'a [u8] {
    match cells {
        Cells::String(values) => match values.get(row) {
            Some(value) if may_be_taken_for_another(value) => push_literal(text, value),
            value => return value.unwrap_or_default().as_bytes(),
        },
        Cells::Int64(values) => match values.get(row) {
            Some(value) if value.unsigned_abs() >= LARGEST_EXACT => push_literal(text, &value.to_string()),
            value => value.into_iter().for_each(|value| push_int(text, value)),
        },
        Cells::Timestamp(values) => {
            values.get(row).into_iter().for_each(|value| push_spreadsheet_timestamp(text, value));
        }
        Cells::Float(_) | Cells::Money(..) => {
            field(cells, row, text);
            if mark == DecimalMark::Comma {
                text.iter_mut().filter(|byte| **byte == b'.').for_each(|byte| *byte = b',');
            }
        }
        Cells::Int32(_) | Cells::Date(_) | Cells::Bool(_) => return field(cells, row, text),
    }
    text
}

/// Whether a spreadsheet could show a text as something else. It runs what begins with a sign, after blanks too, in the
/// full-width forms too; numbers and dates have digits in every country (`0012`, `3E5`, `10-12`, `MAR1`, `1/2`).
fn may_be_taken_for_another(text: &str) -> bool {
    is_formula(text)
        || text.chars().any(char::is_numeric)
        || ["true", "false"].iter().any(|word| text.trim().eq_ignore_ascii_case(word))
}

fn is_formula(text: &str) -> bool {
    let first = text.chars().find(|character| *character != ' ');
    matches!(first, Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠'))
}

/// A text as a formula of just that text. One too long for it, or of several lines, which LibreOffice 7.4 does not take
/// for one, is no number either: only what would run is disarmed.
fn push_literal(out: &mut Vec<u8>, text: &str) {
    if text.chars().count() <= LONGEST_LITERAL && !text.contains(['\n', '\r']) {
        out.extend_from_slice(b"=\"");
        out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(if is_formula(text) { b"'" } else { b"" });
        out.extend_from_slice(text.as_bytes());
    }
}

fn failed(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Error::Write(error),
        kind => Error::Rows(format!("{kind:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{CsvProfile, DecimalMark};
    use crate::{Format, samples, write};

    const POINT: CsvProfile = CsvProfile::Spreadsheet(DecimalMark::Point);
    const COMMA: CsvProfile = CsvProfile::Spreadsheet(DecimalMark::Comma);

    fn csv(profile: CsvProfile, empty: bool) -> String {
        let (provenance, columns, frame) = samples::all();
        let frame = if empty { frame.clear() } else { frame };
        let mut bytes = Vec::new();
        write(Format::Csv(profile), &provenance, &columns, [Ok(frame)], &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn raw_is_rfc_4180() {
        let golden = "n32,n64,share,store,open,day,at,net\r\n\
            -1,9007199254740991,0.5,\"Zürich \"\"1\"\"\n=A1\",true,2026-03-08,2026-03-08T07:30:00.000001Z,1234.50\r\n\
            2,9007199254740992,,,false,1969-12-31,1970-01-01T00:00:00.000000Z,-0.05\r\n\
            ,,,,,,,\r\n";
        assert_eq!(csv(CsvProfile::Raw, false), golden);
    }

    #[test]
    fn a_spreadsheet_has_units_in_its_header_and_the_separators_of_its_country() {
        assert_eq!(csv(CsvProfile::Raw, true), "n32,n64,share,store,open,day,at,net\r\n");
        assert_eq!(csv(POINT, true), "\u{feff}n32,n64,share,store,open,day,at (UTC),net (EUR)\r\n");
        let golden = "\u{feff}n32;n64;share;store;open;day;at (UTC);net (EUR)\r\n\
            -1;\"=\"\"9007199254740991\"\"\";0,5;\"Zürich \"\"1\"\"\n=A1\";true;2026-03-08;2026-03-08 07:30:00;1234,50\r\n\
            2;\"=\"\"9007199254740992\"\"\";;;false;1969-12-31;1970-01-01 00:00:00;-0,05\r\n\
            ;;;;;;;\r\n";
        assert_eq!(csv(COMMA, false), golden);
    }

    #[test]
    fn a_spreadsheet_runs_nothing_and_keeps_texts_as_they_are() {
        for text in [
            "=1+1",
            "+1",
            "-a",
            "@SUM(A1)",
            "\t=1",
            " =a",
            "＝1",
            "0012",
            "3E5",
            "10-12",
            "MAR1",
            "½",
            "TRUE",
            "say \"1\"",
        ] {
            let literal = format!("=\"{}\"", text.replace('"', "\"\""));
            assert_eq!(samples::text_column(POINT, text), literal);
            assert_eq!(samples::text_column(CsvProfile::Raw, text), text);
        }
        for text in ["Ünder the hill", "a=b", "", "two\nlines 2"] {
            assert_eq!(samples::text_column(POINT, text), text);
        }
        let long = "=1+".repeat(100);
        for text in ["\r=1", "=1+\n1", &long] {
            assert_eq!(samples::text_column(POINT, text), format!("'{text}"));
        }
        assert_eq!(samples::text_column(POINT, &"7".repeat(256)), "7".repeat(256));
    }
}
