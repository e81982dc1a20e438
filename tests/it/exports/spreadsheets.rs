//! The CSV of a double click, opened by LibreOffice in two countries: each cell is what the report says, in type and value.

use std::path::Path;
use std::process::Command;

use exports::{Column, CsvProfile, DecimalMark, Format, Kind, write};
use polars::prelude::{Column as Series, DataFrame};
use serde_json::{Value, json};
use system_tests::python;

/// What spreadsheets take for a number, a date, a truth value or a formula, in one country or another.
const IDENTIFIERS: [&str; 24] = [
    "0012345678905",
    "3E5",
    "10-12",
    "MAR1",
    "1/2",
    "1.2.2026",
    "2026-03-08",
    "12:30",
    "1,5",
    "1.5",
    "1 234",
    "12 %",
    "$5",
    "5 €",
    "(7)",
    "TRUE",
    "=1+1",
    "+49 30 1234",
    "-12",
    "@SUM(A1)",
    "12345678901234567890",
    "a;b,c \"1\"",
    " 007 ",
    "9 mars",
];

/// Cells of a sheet as LibreOffice stores them: type, and value or text.
const CELLS: &str = r#"
import json, sys, xml.etree.ElementTree as tree
name = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}%s"
office, table, text = (lambda tag, of=of: name % (of, tag) for of in ("office", "table", "text"))
def joined(part):
    # Blanks at the ends of a text are elements of their own.
    inner = " " * int(part.get(text("c"), 1)) if part.tag == text("s") else part.text or ""
    return inner + "".join(joined(child) + (child.tail or "") for child in part)
def value(cell):
    kind = cell.get(office("value-type"))
    shown = "\n".join(joined(part) for part in cell.iter(text("p")))
    return [kind, {"float": cell.get(office("value")), "date": cell.get(office("date-value"))}.get(kind, shown)]
def cells(row):
    # Equal neighbours are stored once; what is repeated very often is the empty rest of a row.
    found = [(value(cell), int(cell.get(table("number-columns-repeated"), 1))) for cell in row.iter(table("table-cell"))]
    return [cell for cell, times in found if times < 1000 for _ in range(times)]
print(json.dumps([cells(row) for row in tree.parse(sys.argv[1]).getroot().iter(table("table-row"))]))
"#;

/// Opens a file as a user of that country does, by LibreOffice's number of the country's language.
fn opened(folder: &Path, mark: DecimalMark, language: u32) -> Value {
    let (provenance, mut columns, mut frame) = super::document(true);
    let identifiers = || IDENTIFIERS.iter().copied();
    let rows = frame.height();
    for (place, chunk) in IDENTIFIERS.chunks(rows).enumerate() {
        let name = format!("identifier{place}");
        assert_eq!(chunk.len(), rows, "as many identifiers as {} rows hold", identifiers().count() / rows);
        columns.push(Column { name: name.clone(), kind: Kind::String, title: name.clone() });
        frame.with_column(Series::new(name.into(), chunk)).unwrap();
    }
    let name = format!("{language}.csv");
    let mut file = std::fs::File::create(folder.join(&name)).unwrap();
    let rows: [exports::Result<DataFrame>; 1] = [Ok(frame)];
    write(Format::Csv(CsvProfile::Spreadsheet(mark)), &provenance, &columns, rows, &mut file).unwrap();
    let separator = if mark == DecimalMark::Comma { b';' } else { b',' };
    let converted = Command::new("soffice")
        .arg(format!("-env:UserInstallation=file://{}/profile", folder.display()))
        .args(["--headless", "--convert-to", "fods"])
        .arg(format!("--infilter=CSV:{separator},34,76,1,,{language}"))
        .args([&name, "--outdir", "."])
        .current_dir(folder)
        .output()
        .expect("LibreOffice is there: run `make setup` (the tests do not skip)");
    assert!(converted.status.success(), "{}", String::from_utf8_lossy(&converted.stderr));
    let sheet = folder.join(format!("{language}.fods"));
    serde_json::from_str(&python(CELLS, &[&sheet.to_string_lossy()])).unwrap()
}

#[test]
fn libreoffice_finds_what_the_report_says_in_either_country() {
    let folder = tempfile::tempdir().unwrap();
    for (mark, language) in [(DecimalMark::Point, 1_033), (DecimalMark::Comma, 1_036)] {
        let cells = opened(folder.path(), mark, language);
        let column = |place: usize| (1..=6).map(|row| cells[row][place].clone()).collect::<Vec<_>>();
        assert_eq!(cells[0][7], json!(["string", "net (EUR)"]), "{language}");
        assert_eq!(cells[0][6], json!(["string", "at (UTC)"]), "{language}");
        let number = |cell: &Value| (cell[0] == "float").then(|| cell[1].as_str().unwrap().parse::<f64>().unwrap());
        let numbers = |place| column(place).iter().map(number).collect::<Vec<_>>();
        assert_eq!(numbers(1), [Some(1.0), Some(-2_147_483_648.0), Some(2_147_483_647.0), None, Some(0.0), Some(7.0)]);
        assert_eq!(
            numbers(2),
            [Some(0.1), Some(-2.5), Some(1e-9), None, Some(100.0), Some(33.333_333_333_333_3)],
            "{language}: fifteen digits"
        );
        assert_eq!(numbers(7), [Some(1_234.5), Some(-0.05), Some(0.01), None, Some(0.0), Some(999_999_999.99)]);
        assert_eq!(cells[2][0], json!(["string", "9007199254740993"]), "{language}");
        assert_eq!(cells[1][5], json!(["date", "2026-03-08"]), "{language}");
        assert_eq!(cells[1][6], json!(["date", "2026-03-08T07:30:00"]), "{language}");
        let texts: Vec<Value> =
            super::TEXTS.iter().map(|text| text.map_or(json!([null, ""]), |text| json!(["string", text]))).collect();
        assert_eq!(column(3), texts, "{language}");
        for (place, chunk) in IDENTIFIERS.chunks(6).enumerate() {
            let expected: Vec<Value> = chunk.iter().map(|text| json!(["string", text])).collect();
            assert_eq!(column(8 + place), expected, "{language}");
        }
    }
}
