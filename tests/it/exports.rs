//! The encoders, read back by programs that nobody here wrote: types, nulls, unicode and cents are the same in all.

mod javascript;
mod spreadsheets;

use std::collections::BTreeMap;
use std::path::Path;

use ::exports::{Column, CsvProfile, DecimalMark, Format, Kind, Provenance, write};
use polars::prelude::{Column as Series, DataFrame, DataType, TimeUnit};
use serde_json::{Value, json};
use system_tests::python;

/// Texts that have broken exports before.
const TEXTS: [Option<&str>; 6] =
    [Some("Zürich, \"alt\""), Some("two\nlines"), Some("=1+1"), Some("絨毯 🧸"), Some(" lead'ing "), None];

fn document(rows: bool) -> (Provenance, Vec<Column>, DataFrame) {
    let columns = [
        ("number", Kind::Int64),
        ("small", Kind::Int32),
        ("share", Kind::Float),
        ("text", Kind::String),
        ("good", Kind::Bool),
        ("day", Kind::Date),
        ("at", Kind::Timestamp),
        ("net", Kind::Money { decimals: 2 }),
    ];
    let columns: Vec<Column> =
        columns.map(|(name, kind)| Column { name: name.into(), kind, title: name.to_uppercase() }).into();
    let days = Series::new("day".into(), [Some(20_520_i32), Some(0), Some(11_016), None, Some(20_521), Some(1)]);
    let moments = [Some(1_772_955_000_000_001_i64), Some(0), Some(951_782_400_000_000), None, Some(1), Some(1_000_000)];
    let series = vec![
        Series::new("number".into(), [Some(1_i64), Some(9_007_199_254_740_993), Some(-5), None, Some(0), Some(7)]),
        Series::new("small".into(), [Some(1_i32), Some(i32::MIN), Some(i32::MAX), None, Some(0), Some(7)]),
        Series::new(
            "share".into(),
            [Some(0.1), Some(-2.5), Some(1e-9), None, Some(100.0), Some(33.333_333_333_333_336)],
        ),
        Series::new("text".into(), TEXTS),
        Series::new("good".into(), [Some(true), Some(false), Some(true), None, Some(false), Some(true)]),
        days.cast(&DataType::Date).unwrap(),
        Series::new("at".into(), moments).cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap(),
        Series::new("net".into(), [Some(123_450_i64), Some(-5), Some(1), None, Some(0), Some(99_999_999_999)]),
    ];
    let frame = DataFrame::new(6, series).unwrap();
    let provenance = Provenance {
        report: "sample".into(),
        title: "Sample".into(),
        parameters: BTreeMap::from([("from".to_owned(), "2026-03-08".into())]),
        snapshot: 7,
        revision: Some(2),
        state: Some("final".into()),
        currency: "EUR".into(),
        generated_at: "2026-03-09T03:00:00Z".parse().unwrap(),
        sources: Vec::new(),
        row_count: None,
        outdated: None,
    };
    (provenance, columns, if rows { frame } else { frame.clear() })
}

fn files(folder: &Path, rows: bool) {
    let (provenance, columns, frame) = document(rows);
    for format in Format::ALL {
        let name = match format {
            Format::Csv(CsvProfile::Spreadsheet(DecimalMark::Point)) => "spreadsheet.csv".to_owned(),
            Format::Csv(CsvProfile::Spreadsheet(DecimalMark::Comma)) => "spreadsheet-comma.csv".to_owned(),
            other => format!("raw.{}", other.extension()),
        };
        let mut file = std::fs::File::create(folder.join(name)).unwrap();
        write(format, &provenance, &columns, [Ok(frame.clone())], &mut file).unwrap();
    }
}

const READERS: &str = r#"
import csv, decimal, json, sys
import duckdb, openpyxl, pyarrow as pa, pyarrow.feather as feather, pyarrow.parquet as pq
folder = sys.argv[1]
def path(name): return f"{folder}/{name}"
parquet = pq.read_table(path("raw.parquet"))
arrow = feather.read_table(path("raw.arrow"))
raw = list(csv.reader(open(path("raw.csv"), newline="", encoding="utf-8")))
sheet = open(path("spreadsheet.csv"), "rb").read()
spread = list(csv.reader(open(path("spreadsheet.csv"), newline="", encoding="utf-8-sig")))
book = openpyxl.load_workbook(path("raw.xlsx"))
rows = [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
text = open(path("raw.json"), encoding="utf-8").read()
strict = json.loads(text, parse_float=decimal.Decimal)
lines = [json.loads(line) for line in open(path("raw.ndjson"), encoding="utf-8")]
found = duckdb.sql(f"SELECT sum(net)::VARCHAR, count(*), count(net) FROM '{path('raw.parquet')}'").fetchone()
def cents(values): return str(sum(decimal.Decimal(str(value)) for value in values if value not in (None, "")))
net = [column["name"] for column in strict["columns"]].index("net")
print(json.dumps({
    "types": [str(field.type) for field in parquet.schema],
    "utc": str(pq.ParquetFile(path("raw.parquet")).schema.column(6).logical_type),
    "arrow_types": [str(field.type) for field in arrow.schema],
    "snapshot": (pq.read_metadata(path("raw.parquet")).metadata or {}).get(b"tributary.snapshot", b"").decode(),
    "texts": {
        "parquet": parquet["text"].to_pylist(), "arrow": arrow["text"].to_pylist(),
        "csv": [row[3] or None for row in raw[1:]], "json": [row["text"] for row in strict["rows"]],
        "ndjson": [row["text"] for row in lines], "xlsx": [row[3] for row in rows[1:]],
    },
    "spreadsheet_texts": [row[3] for row in spread[1:]],
    "cents": {
        "parquet": str(sum((value for value in parquet["net"].to_pylist() if value is not None), decimal.Decimal("0.00"))),
        "duckdb": found[0], "csv": cents(row[net] for row in raw[1:]), "json": cents(row["net"] for row in strict["rows"]),
        "xlsx": cents(round(decimal.Decimal(row[net]), 2) for row in rows[1:] if row[net] is not None),
    },
    "money_text": [line.split('"net":')[1].rstrip("},") for line in text.splitlines() if '"net":' in line],
    "large": [strict["rows"][1]["number"] if strict["rows"] else None, raw[2][0] if len(raw) > 2 else None, rows[2][0] if len(rows) > 2 else None],
    "bom": sheet.startswith(b"\xef\xbb\xbf"),
    "header": [raw[0], spread[0], rows[0]],
    "days": {"parquet": [str(day) if day else None for day in parquet["day"].to_pylist()],
             "xlsx": [day.strftime("%Y-%m-%d") if day else None for day in (row[5] for row in rows[1:])]},
    "frozen": book.worksheets[0].freeze_panes, "sheets": book.sheetnames,
    "counts": [parquet.num_rows, arrow.num_rows, len(raw) - 1, len(rows) - 1, strict["row_count"], len(lines), found[1]],
}))
"#;

/// The libraries in which analysts open a file; each reads types by its own lights where none are given.
const FRAMES: &str = r#"
import decimal, json, sys
import duckdb, pandas as pd, polars as pl
folder = sys.argv[1]
csv, parquet = f"{folder}/raw.csv", f"{folder}/raw.parquet"
typed = "types={'number': 'BIGINT', 'text': 'VARCHAR', 'net': 'DECIMAL(18,2)', 'at': 'TIMESTAMPTZ'}"
duckdb.sql("SET TimeZone = 'UTC'")
def plain(value):
    if value is None or value is pd.NA or value is pd.NaT or value != value: return None
    if hasattr(value, "isoformat"): return value.isoformat(timespec="microseconds") if hasattr(value, "hour") else value.isoformat()
    if isinstance(value, decimal.Decimal): return str(value)
    return value.item() if hasattr(value, "item") else value
def columns(rows, names): return {name: [plain(row[place]) for row in rows] for place, name in enumerate(names)}
def of_duckdb(relation): return columns(relation.fetchall(), relation.columns)
def of_polars(frame): return columns(frame.rows(), frame.columns)
def of_pandas(frame): return {name: [plain(value) for value in frame[name].astype(object)] for name in frame.columns}
money = pl.Decimal(18, 2)
print(json.dumps({
    "duckdb, csv": of_duckdb(duckdb.sql(f"SELECT * FROM read_csv('{csv}', header=true, {typed})")),
    "duckdb, parquet": of_duckdb(duckdb.sql(f"SELECT * FROM '{parquet}'")),
    "polars, csv": of_polars(pl.read_csv(csv, try_parse_dates=True, schema_overrides={"number": pl.Int64, "net": money})),
    "polars, parquet": of_polars(pl.read_parquet(parquet)),
    "pandas, csv": of_pandas(pd.read_csv(csv, dtype={"number": "Int64", "small": "Int64", "good": "boolean"},
                                         converters={"net": lambda text: decimal.Decimal(text) if text else None})),
    "pandas, parquet": of_pandas(pd.read_parquet(parquet, dtype_backend="pyarrow")),
}))
"#;

fn read_by(readers: &str, rows: bool) -> Value {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path(), rows);
    serde_json::from_str(&python(readers, &[&folder.path().to_string_lossy()])).unwrap()
}

fn read(rows: bool) -> Value {
    read_by(READERS, rows)
}

#[test]
fn duckdb_polars_and_pandas_find_the_same_in_csv_and_parquet() {
    let found = read_by(FRAMES, true);
    let moments = ["2026-03-08T07:30:00.000001", "1970-01-01T00:00:00.000000", "2000-02-29T00:00:00.000000"];
    for (reader, columns) in found.as_object().unwrap() {
        assert_eq!(columns["number"], json!([1, 9_007_199_254_740_993_i64, -5, null, 0, 7]), "{reader}");
        assert_eq!(columns["small"], json!([1, i32::MIN, i32::MAX, null, 0, 7]), "{reader}");
        assert_eq!(columns["share"], json!([0.1, -2.5, 1e-9, null, 100.0, 33.333_333_333_333_336]), "{reader}");
        assert_eq!(columns["text"], json!(TEXTS), "{reader}");
        assert_eq!(columns["good"], json!([true, false, true, null, false, true]), "{reader}");
        assert_eq!(columns["net"], json!(["1234.50", "-0.05", "0.01", null, "0.00", "999999999.99"]), "{reader}");
        for (place, (day, moment)) in ["2026-03-08", "1970-01-01", "2000-02-29"].iter().zip(moments).enumerate() {
            assert_eq!(columns["day"][place], *day, "{reader}");
            // With or without the offset of UTC, as each writes it.
            assert!(columns["at"][place].as_str().unwrap().starts_with(moment), "{reader}: {}", columns["at"]);
        }
        assert_eq!((&columns["day"][3], &columns["at"][3]), (&Value::Null, &Value::Null), "{reader}");
    }
}

#[test]
fn duckdb_polars_and_pandas_open_a_file_without_rows() {
    for (reader, columns) in read_by(FRAMES, false).as_object().unwrap() {
        let names: Vec<&String> = columns.as_object().unwrap().keys().collect();
        assert_eq!(names, ["number", "small", "share", "text", "good", "day", "at", "net"], "{reader}");
        assert!(columns.as_object().unwrap().values().all(|values| *values == json!([])), "{reader}");
    }
}

#[test]
fn every_reader_finds_the_same_values() {
    let found = read(true);
    let texts = json!(TEXTS);
    for (reader, read) in found["texts"].as_object().unwrap() {
        assert_eq!(*read, texts, "{reader}");
    }
    for (reader, cents) in found["cents"].as_object().unwrap() {
        assert_eq!(cents, "1000001234.45", "{reader}");
    }
    assert_eq!(found["counts"], json!([6, 6, 6, 6, 6, 6, 6]));
    assert_eq!(found["types"][7], "decimal128(18, 2)");
    assert_eq!(found["types"][5], "date32[day]");
    assert_eq!(found["types"][6], "timestamp[us, tz=UTC]");
    assert!(found["utc"].as_str().unwrap().contains("isAdjustedToUTC=true"), "{}", found["utc"]);
    assert_eq!(found["arrow_types"][7], "decimal128(18, 2)");
    assert_eq!(found["snapshot"], "7");
    assert_eq!(found["money_text"], json!(["1234.50", "-0.05", "0.01", "null", "0.00", "999999999.99"]));
    // JavaScript and Excel would lose the last digit: both get the number as text.
    assert_eq!(found["large"], json!(["9007199254740993", "9007199254740993", "9007199254740993"]));
    assert_eq!(found["spreadsheet_texts"][2], "=\"=1+1\"");
    assert_eq!(found["bom"], true);
    assert_eq!(
        found["days"]["parquet"],
        json!(["2026-03-08", "1970-01-01", "2000-02-29", null, "2026-03-09", "1970-01-02"])
    );
    assert_eq!(found["days"]["xlsx"], found["days"]["parquet"]);
    assert_eq!(found["frozen"], "A2");
    assert_eq!(found["sheets"], json!(["Sample", "About"]));
}

#[test]
fn a_document_without_rows_is_whole_for_every_reader() {
    let (found, full) = (read(false), read(true));
    assert_eq!(found["counts"], json!([0, 0, 0, 0, 0, 0, 0]));
    for part in ["types", "arrow_types", "header"] {
        assert_eq!(found[part], full[part], "{part}");
    }
}
