//! A small document with every kind, nulls and awkward text, for the encoders' tests.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use polars::prelude::{Column as Series, DataFrame, DataType, TimeUnit};

use crate::{Column, CsvProfile, Format, Kind, Provenance, Source, write};

pub(crate) fn all() -> (Provenance, Vec<Column>, DataFrame) {
    let kinds = [
        ("n32", Kind::Int32, "N32"),
        ("n64", Kind::Int64, "N64"),
        ("share", Kind::Float, "Share"),
        ("store", Kind::String, "Store"),
        ("open", Kind::Bool, "Open"),
        ("day", Kind::Date, "Day"),
        ("at", Kind::Timestamp, "At"),
        ("net", Kind::Money { decimals: 2 }, "Net"),
    ];
    let days = Series::new("day".into(), [Some(20_520_i32), Some(-1), None]).cast(&DataType::Date);
    let moments = Series::new("at".into(), [Some(1_772_955_000_000_001_i64), Some(0), None])
        .cast(&DataType::Datetime(TimeUnit::Microseconds, None));
    let series = vec![
        Series::new("n32".into(), [Some(-1_i32), Some(2), None]),
        Series::new("n64".into(), [Some((1_i64 << 53) - 1), Some(1 << 53), None]),
        Series::new("share".into(), [Some(0.5), Some(f64::NAN), None]),
        Series::new("store".into(), [Some("Zürich \"1\"\n=A1"), Some(""), None]),
        Series::new("open".into(), [Some(true), Some(false), None]),
        days.unwrap(),
        moments.unwrap(),
        Series::new("net".into(), [Some(123_450_i64), Some(-5), None]),
    ];
    let columns = kinds.map(|(name, kind, title)| Column { name: name.into(), kind, title: title.into() });
    (provenance(), columns.into(), DataFrame::new(3, series).unwrap())
}

/// One text column with one cell.
pub(crate) fn text(value: &str) -> (Provenance, Vec<Column>, DataFrame) {
    let columns = vec![Column { name: "text".into(), kind: Kind::String, title: "Text".into() }];
    let frame = DataFrame::new(1, vec![Series::new("text".into(), [value])]).unwrap();
    (provenance(), columns, frame)
}

/// What a reader of the CSV finds in the one cell of [`text`].
pub(crate) fn text_column(profile: CsvProfile, value: &str) -> String {
    let (provenance, columns, frame) = text(value);
    let mut bytes = Vec::new();
    write(Format::Csv(profile), &provenance, &columns, [Ok(frame)], &mut bytes).unwrap();
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let record = reader.records().next().unwrap().unwrap();
    record.get(0).unwrap().to_owned()
}

fn provenance() -> Provenance {
    let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc);
    Provenance {
        report: "sample".into(),
        title: "Sample".into(),
        parameters: BTreeMap::from([("from".to_owned(), "2026-03-08".into())]),
        snapshot: 7,
        revision: Some(2),
        state: Some("final".into()),
        currency: "EUR".into(),
        generated_at: at("2026-03-09T03:00:00Z"),
        sources: vec![Source {
            name: "retail".into(),
            complete_through: Some(at("2026-03-09T02:59:00Z")),
            age_seconds: Some(60),
            stale: false,
            absent: Vec::new(),
        }],
        row_count: None,
        outdated: None,
    }
}
