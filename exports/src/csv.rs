//! CSV in two profiles: `raw` for programs (RFC 4180) and `spreadsheet` for a double click.
//!
//! Both have a header of column names, CRLF line ends and UTF-8. A null and an empty text are both
//! an empty field: the format knows no difference.

use std::io::Write;

use csv::{QuoteStyle, Terminator, WriterBuilder};
use polars::prelude::DataFrame;

use crate::cells::Cells;
use crate::column::Column;
use crate::error::{Error, Result};
use crate::format::CsvProfile;
use crate::text::{push_date, push_float, push_int, push_money, push_timestamp};

/// Tells Excel that the file is UTF-8; without it every accent opens as two wrong letters.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

pub(crate) fn write(
    profile: CsvProfile,
    columns: &[Column],
    batches: impl Iterator<Item = Result<DataFrame>>,
    out: &mut impl Write,
) -> Result<u64> {
    if profile == CsvProfile::Spreadsheet {
        out.write_all(BYTE_ORDER_MARK).map_err(Error::Write)?;
    }
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .quote_style(QuoteStyle::Necessary)
        .buffer_capacity(128 * 1024)
        .from_writer(out);
    writer.write_record(columns.iter().map(|column| column.name.as_bytes())).map_err(failed)?;
    let mut rows = 0;
    let mut text = Vec::new();
    for batch in batches {
        let batch = batch?;
        let cells = Cells::of(&batch, columns)?;
        for row in 0..batch.height() {
            for cell in &cells {
                text.clear();
                let field = field(cell, row, profile, &mut text);
                writer.write_field(field).map_err(failed)?;
            }
            writer.write_record(None::<&[u8]>).map_err(failed)?;
        }
        rows += batch.height() as u64;
    }
    writer.flush().map_err(Error::Write)?;
    Ok(rows)
}

/// The text of a cell: borrowed from the column where it is text already, else built in `text`. A null is empty.
fn field<'a>(cells: &'a Cells<'_>, row: usize, profile: CsvProfile, text: &'a mut Vec<u8>) -> &'a [u8] {
    match cells {
        Cells::String(values) => match values.get(row) {
            Some(value) if profile == CsvProfile::Spreadsheet && is_formula(value) => {
                text.push(b'\'');
                text.extend_from_slice(value.as_bytes());
            }
            Some(value) => return value.as_bytes(),
            None => {}
        },
        Cells::Int32(values) => values.get(row).into_iter().for_each(|value| push_int(text, value.into())),
        Cells::Int64(values) => values.get(row).into_iter().for_each(|value| push_int(text, value)),
        Cells::Date(values) => values.get(row).into_iter().for_each(|days| push_date(text, days)),
        Cells::Float(values) => values.get(row).into_iter().for_each(|value| push_float(text, value)),
        Cells::Bool(values) => match values.get(row) {
            Some(true) => return b"true",
            Some(false) => return b"false",
            None => {}
        },
        Cells::Timestamp(values) => {
            values.get(row).into_iter().for_each(|value| push_timestamp(text, value, profile));
        }
        Cells::Money(values, decimals) => {
            values.get(row).into_iter().for_each(|value| push_money(text, value, *decimals));
        }
    }
    text
}

/// Whether a spreadsheet would run the text instead of showing it. It skips leading blanks, and
/// takes the full-width forms of the signs too.
fn is_formula(text: &str) -> bool {
    let first = text.chars().find(|character| *character != ' ');
    matches!(first, Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠'))
}

fn failed(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Error::Write(error),
        kind => Error::Rows(format!("{kind:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{CsvProfile, is_formula};
    use crate::{Format, samples, write};

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
    fn no_row_still_has_the_header() {
        assert_eq!(csv(CsvProfile::Raw, true), "n32,n64,share,store,open,day,at,net\r\n");
        assert_eq!(csv(CsvProfile::Spreadsheet, true), "\u{feff}n32,n64,share,store,open,day,at,net\r\n");
    }

    #[test]
    fn a_spreadsheet_runs_nothing_and_keeps_negative_numbers() {
        for dangerous in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"] {
            assert!(is_formula(dangerous), "{dangerous:?}");
            let text = samples::text_column(CsvProfile::Spreadsheet, dangerous);
            assert!(text.starts_with('\''), "{text:?}");
            assert_eq!(text.trim_start_matches('\''), dangerous);
            assert_eq!(samples::text_column(CsvProfile::Raw, dangerous), dangerous);
        }
        assert!(!is_formula("a=1"));
        assert!(csv(CsvProfile::Spreadsheet, false).contains(",-0.05\r\n"));
    }
}
