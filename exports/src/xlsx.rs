//! XLSX: typed cells under a styled, frozen header, and an About sheet with the provenance.
//!
//! Rows go to a temporary file as they come, so a worksheet of a million rows costs no memory.

use std::io::Write;

use polars::prelude::DataFrame;
use rust_xlsxwriter::{Color, Format, FormatBorder, Workbook, Worksheet};

use crate::cells::Cells;
use crate::column::{Column, Kind};
use crate::error::{Error, Result};
use crate::provenance::Provenance;

mod about;

/// Rows of a worksheet, its header included.
const EXCEL_ROWS: u32 = 1_048_576;
/// Characters of a cell (UTF-16 units, as Excel counts).
const EXCEL_TEXT: usize = 32_767;
/// Excel shows fifteen digits; a longer number would silently lose its last ones.
const EXCEL_DIGITS: u64 = 999_999_999_999_999;
/// Days from Excel's day zero (1899-12-30) to 1970-01-01.
const EXCEL_EPOCH: i32 = 25_569;
const MICROS_PER_DAY: i64 = 86_400_000_000;

pub(crate) fn write(
    provenance: &Provenance,
    columns: &[Column],
    batches: impl Iterator<Item = Result<DataFrame>>,
    out: &mut (impl Write + Send),
) -> Result<u64> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet_with_constant_memory().map_err(Error::Workbook)?;
    sheet.set_name(sheet_name(&provenance.title)).map_err(Error::Workbook)?;
    header(sheet, columns).map_err(Error::Workbook)?;
    let mut row = 0;
    for batch in batches {
        let batch = batch?;
        let cells = Cells::of(&batch, columns)?;
        for index in 0..batch.height() {
            row += 1;
            if row >= EXCEL_ROWS {
                let detail = format!("a worksheet holds {} rows and this result has more", EXCEL_ROWS - 1);
                return Err(Error::BeyondExcel { detail });
            }
            for (place, cell) in (0_u16..).zip(&cells) {
                write_cell(sheet, (row, place), cell, index)?;
            }
        }
    }
    about::write(&mut workbook, provenance, columns, u64::from(row)).map_err(Error::Workbook)?;
    workbook.save_to_writer(out).map_err(|error| match error {
        rust_xlsxwriter::XlsxError::IoError(error) => Error::Write(error),
        other => Error::Workbook(other),
    })?;
    Ok(u64::from(row))
}

/// The columns, with the formats of their cells: looking one up for each cell took a tenth of a workbook's time.
fn header(sheet: &mut Worksheet, columns: &[Column]) -> std::result::Result<(), rust_xlsxwriter::XlsxError> {
    let format = header_format();
    for (place, column) in (0_u16..).zip(columns) {
        sheet.set_column_width(place, width(column))?;
        sheet.set_column_format(place, &cell_format(column.kind))?;
        sheet.write_string_with_format(0, place, &column.title, &format)?;
    }
    sheet.set_freeze_panes(1, 0)?;
    Ok(())
}

fn header_format() -> Format {
    Format::new()
        .set_bold()
        .set_background_color(Color::RGB(0x1F_3B_57))
        .set_font_color(Color::White)
        .set_border_bottom(FormatBorder::Thin)
}

fn cell_format(kind: Kind) -> Format {
    match kind {
        Kind::Int32 | Kind::Int64 => Format::new().set_num_format("0"),
        Kind::Float => Format::new().set_num_format("0.00####"),
        Kind::Date => Format::new().set_num_format("yyyy-mm-dd"),
        Kind::Timestamp => Format::new().set_num_format("yyyy-mm-dd hh:mm:ss"),
        Kind::Money { decimals: 0 } => Format::new().set_num_format("#,##0"),
        Kind::Money { decimals } => Format::new().set_num_format(format!("#,##0.{}", "0".repeat(decimals.into()))),
        Kind::String | Kind::Bool => Format::new(),
    }
}

/// Characters that a column shows: enough for its title and for its kind of value.
fn width(column: &Column) -> f64 {
    let values = match column.kind {
        Kind::Bool => 8_u32,
        Kind::Int32 | Kind::Int64 | Kind::Float | Kind::Date => 12,
        Kind::Money { .. } => 14,
        Kind::Timestamp => 20,
        Kind::String => 26,
    };
    let title = u32::try_from(column.title.chars().count()).unwrap_or(u32::MAX).saturating_add(2);
    f64::from(values.max(title).min(48))
}

fn write_cell(sheet: &mut Worksheet, place: (u32, u16), cells: &Cells<'_>, index: usize) -> Result<()> {
    let (row, column) = place;
    let number = |sheet: &mut Worksheet, value: f64| sheet.write_number(row, column, value).map(drop);
    let text = |sheet: &mut Worksheet, value: &str| sheet.write_string(row, column, value).map(drop);
    let written = match cells {
        Cells::Int32(values) => values.get(index).map(|value| number(sheet, f64::from(value))),
        Cells::Int64(values) => values.get(index).map(|value| match digits(value) {
            Some(value) => number(sheet, value),
            None => text(sheet, &value.to_string()),
        }),
        Cells::Money(values, decimals) => values.get(index).map(|minor| match digits(minor) {
            Some(value) => number(sheet, value / 10_f64.powi((*decimals).into())),
            None => text(sheet, &crate::text::money(minor, *decimals)),
        }),
        Cells::Float(values) => values.get(index).map(|value| number(sheet, value)),
        Cells::Bool(values) => values.get(index).map(|value| sheet.write_boolean(row, column, value).map(drop)),
        Cells::Date(values) => values.get(index).map(|days| match serial_day(days) {
            Some(serial) => number(sheet, serial),
            None => text(sheet, &crate::text::date(days).map_or_else(String::new, |date| date.to_string())),
        }),
        Cells::Timestamp(values) => values.get(index).map(|micros| number(sheet, serial_moment(micros))),
        Cells::String(values) => match values.get(index) {
            Some(value) if value.encode_utf16().count() > EXCEL_TEXT => {
                let detail = format!("a cell holds {EXCEL_TEXT} characters and row {row} has a longer text");
                return Err(Error::BeyondExcel { detail });
            }
            value => value.map(|value| text(sheet, value)),
        },
    };
    written.unwrap_or(Ok(())).map_err(Error::Workbook)
}

/// The number, if Excel keeps all its digits.
fn digits(value: i64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "fifteen digits fit the 53 bits of the mantissa")]
    let exact = value as f64;
    (value.unsigned_abs() <= EXCEL_DIGITS).then_some(exact)
}

/// Excel's number of a day; it has none before 1900-03-01 that all programs agree on.
fn serial_day(days: i32) -> Option<f64> {
    let serial = days.checked_add(EXCEL_EPOCH)?;
    (serial > 60).then(|| f64::from(serial))
}

/// Excel's number of a moment, in UTC.
fn serial_moment(micros: i64) -> f64 {
    let days = i32::try_from(micros.div_euclid(MICROS_PER_DAY)).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "less than a day in microseconds is below 2^53")]
    let part = micros.rem_euclid(MICROS_PER_DAY) as f64 / MICROS_PER_DAY as f64;
    f64::from(days) + f64::from(EXCEL_EPOCH) + part
}

/// The title as a sheet's name: at most 31 characters, without those that Excel forbids.
fn sheet_name(title: &str) -> String {
    let name: String = title.chars().filter(|character| !"[]:*?/\\'".contains(*character)).take(31).collect();
    let name = name.trim();
    if name.is_empty() || name.eq_ignore_ascii_case("about") || name.eq_ignore_ascii_case("history") {
        return "Report".to_owned();
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::{digits, serial_day, serial_moment, sheet_name};
    use crate::{Format, samples, write};

    #[test]
    fn a_workbook_is_a_zip_with_two_sheets() {
        let (provenance, columns, frame) = samples::all();
        for frame in [frame.clone(), frame.clear()] {
            let mut bytes = Vec::new();
            write(Format::Xlsx, &provenance, &columns, [Ok(frame)], &mut bytes).unwrap();
            assert!(bytes.starts_with(b"PK"));
            let names = String::from_utf8_lossy(&bytes);
            assert!(names.contains("xl/worksheets/sheet1.xml") && names.contains("xl/worksheets/sheet2.xml"));
        }
    }

    #[test]
    fn more_text_than_a_cell_holds_is_refused() {
        let (provenance, columns, frame) = samples::text(&"x".repeat(40_000));
        let refused = write(Format::Xlsx, &provenance, &columns, [Ok(frame)], &mut Vec::new()).unwrap_err();
        assert!(refused.is_callers(), "{refused}");
    }

    #[test]
    fn serials_and_names_are_excels() {
        assert_eq!(serial_day(0), Some(25_569.0));
        assert_eq!(serial_day(-25_569), None);
        assert!((serial_moment(43_200_000_000) - 25_569.5).abs() < f64::EPSILON);
        assert_eq!(digits(999_999_999_999_999), Some(999_999_999_999_999.0));
        assert_eq!(digits(1_000_000_000_000_000), None);
        assert_eq!(sheet_name("Sales: by [day]"), "Sales by day");
        assert_eq!(sheet_name("About"), "Report");
        assert_eq!(sheet_name(&"x".repeat(40)).len(), 31);
    }
}
