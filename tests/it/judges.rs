//! Two engines, one answer: every report of the catalogue, with several parameter sets, is computed by us and by
//! DuckDB, from the same statement on the same lake, over a company with the awkward data of real life.

mod company;
mod own_reports;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aggregator::poll::Drops;
use aggregator::report::{ColumnType, ParamType, Report, ReportColumn, Workers};
use aggregator::{Aggregator, Settings};
use chrono::DateTime;
use polars::prelude::AnyValue;
use serde_json::Value;
use system_tests::python::ATTACH;
use system_tests::source::FeedSource;
use system_tests::{Stack, python};

/// Runs many statements in one DuckDB, attached to the lake as any user would; rows as JSON arrays.
const JUDGE: &str = r#"
from decimal import Decimal
con.execute("SET TimeZone = 'UTC'")
def plain(value):
    if isinstance(value, Decimal):
        return float(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
answers = []
for sql in json.load(open(asked)):
    try:
        rows = con.execute(sql).fetchall()
        names = [column[0] for column in con.description]
        answers.append({"names": names, "rows": [[plain(value) for value in row] for row in rows]})
    except Exception as error:
        answers.append({"error": str(error)})
print(json.dumps(answers))
"#;

/// A lake filled from three sources that serve the awkward company.
struct Court {
    stack: Stack,
    aggregator: Arc<Aggregator>,
    folder: tempfile::TempDir,
}

impl Court {
    async fn open() -> Self {
        let stack = Stack::builder().start_databases().await;
        let db = stack.pool("reporting_db").await;
        let repository = system_tests::binaries::repository();
        let migrator = sqlx::migrate::Migrator::new(repository.join("migrations/reporting")).await.unwrap();
        migrator.run(&db).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let declarations = company::declarations(&repository.join("aggregator/sources"));
        for (file, text) in &declarations {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let feed = FeedSource::start(company::model(&declarations)).await;
        let settings = Settings {
            gateway_url: feed.url().to_owned(),
            gateway_key: "key".to_owned(),
            lake_dir: stack.state().lake,
            days: "America/Toronto".parse::<base::Tz>().unwrap().into(),
            currency: "EUR".parse().unwrap(),
            sources_dir: Some(folder.path().to_owned()),
            catalogue_dir: Some(folder.path().join("own")),
            clock_tolerance: std::time::Duration::from_secs(120),
        };
        // As the service computes: in processes of its own program.
        let workers = Workers { program: system_tests::binaries::program("reporting"), memory: 2 << 30 };
        let aggregator = Aggregator::with_workers(db, settings, workers).await.unwrap();
        for source in ["inventory", "ecommerce", "retail"] {
            aggregator.poller().poll(source, Drops::Guarded).await.unwrap();
        }
        Self { stack, aggregator, folder }
    }

    /// The user's own reports.
    fn own_reports(&self) -> PathBuf {
        self.folder.path().join("own/reports")
    }

    /// Keeps the rows of views, as the job does; DuckDB finds in each table what the view of its name gives.
    async fn keep_rows(&self) {
        let (reports, lake) = (self.aggregator.reports(), self.aggregator.lake());
        let lock = lake.keeping().await.unwrap();
        reports.tidy_rollups().await.unwrap();
        let as_of = reports.ended().await.unwrap();
        for (kept, due) in reports.to_keep(as_of).await.unwrap() {
            reports.keep(&lock, as_of.0, &kept, &due.days).await.unwrap();
        }
        lock.release().await;
        let rollups = reports.rollups().await.unwrap();
        assert_eq!(rollups.len(), 9);
        assert!(rollups.iter().all(|it| it.days > 20 && it.outdated == 0 && !it.reports.is_empty()), "{rollups:?}");
        let difference = |one: &str, two: &str| format!("(FROM {one} EXCEPT ALL FROM {two})");
        let statements: Vec<String> = rollups
            .iter()
            .map(|it| {
                let (table, view) = (format!("kept.{}", it.table), &it.view);
                let differences = format!("{} UNION ALL {}", difference(&table, view), difference(view, &table));
                format!("SELECT (SELECT count(*) FROM {table}), count(*) FROM ({differences})")
            })
            .collect();
        for (rollup, verdict) in rollups.iter().zip(self.judge(&statements)) {
            assert_eq!(verdict["rows"][0], serde_json::json!([rollup.rows, 0]), "{}: {verdict}", rollup.view);
        }
    }

    fn judge(&self, statements: &[String]) -> Vec<Value> {
        judge(&self.stack, statements)
    }
}

/// What one DuckDB says to each statement over a stack's lake: names and rows, or its error.
pub(crate) fn judge(stack: &Stack, statements: &[String]) -> Vec<Value> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_string(statements).unwrap()).unwrap();
    let url = stack.url("reporting_db", "lake_reader");
    let lake = stack.state().lake;
    let answer = python(&format!("{ATTACH}{JUDGE}"), &[&url, &lake.to_string_lossy(), &file.path().to_string_lossy()]);
    serde_json::from_str(&answer).unwrap()
}

/// Periods to ask every report for: all of it, a week, the night the clocks change, a year ago's leap, and nothing.
const PERIODS: [(&str, &str); 5] = [
    ("2025-01-01", "2026-03-31"),
    ("2026-03-02", "2026-03-08"),
    ("2026-03-08", "2026-03-08"),
    ("2025-03-09", "2025-11-02"),
    ("2024-01-01", "2024-01-07"),
];

/// Parameter sets of a report: its dates over every period, and each choice and bound in turn.
fn parameter_sets(report: &Report) -> Vec<BTreeMap<String, String>> {
    let mut sets = Vec::new();
    for (from, to) in PERIODS {
        let mut set = BTreeMap::new();
        for (name, parameter) in &report.params {
            if parameter.kind == ParamType::Date {
                let day = if name == "from" || name == "since" { from } else { to };
                set.insert(name.clone(), day.to_owned());
            }
        }
        sets.push(set);
    }
    let whole = sets[0].clone();
    for (name, parameter) in &report.params {
        let others: Vec<String> = match parameter.kind {
            ParamType::Choice => parameter.choices.clone(),
            ParamType::Int => [&parameter.min, &parameter.max].into_iter().flatten().map(ToString::to_string).collect(),
            ParamType::Date | ParamType::Decimal | ParamType::String | ParamType::Bool | ParamType::List => Vec::new(),
        };
        for other in others {
            let mut set = whole.clone();
            set.insert(name.clone(), other);
            sets.push(set);
        }
    }
    sets.dedup();
    sets
}

#[tokio::test(flavor = "multi_thread")]
async fn every_report_is_what_duckdb_says() {
    let court = Court::open().await;
    let catalogue = court.aggregator.reports().catalogue();
    assert!(catalogue.broken().is_empty(), "{:?}", catalogue.broken());
    let mut cases = Vec::new();
    let mut statements = Vec::new();
    for report in catalogue.reports() {
        for set in parameter_sets(report) {
            let (_, sql) = court.aggregator.reports().statement(&report.name, &set).await.unwrap();
            statements.push(sql);
            cases.push((report, set));
        }
    }
    let verdicts = court.judge(&statements);
    let (mut differences, mut rows, mut from_lines) = (Vec::new(), 0, Vec::new());
    for ((report, set), verdict) in cases.iter().zip(&verdicts) {
        let ours = court.aggregator.reports().run(&report.name, set, None).await.unwrap();
        rows += ours.frame.height();
        from_lines.push(ours.frame.clone());
        if let Err(difference) = compare(&ours.frame, &report.columns, verdict) {
            differences.push(format!("{} {set:?}: {difference}", report.name));
        }
    }
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), cases.len(), differences.join("\n"));
    // A court that hears nothing agrees with everybody.
    assert!(cases.len() > 150 && rows > 3_000, "{} cases, {rows} rows", cases.len());
    court.keep_rows().await;
    for ((report, set), before) in cases.iter().zip(&from_lines).filter(|((report, _), _)| !report.kept.is_empty()) {
        let ours = court.aggregator.reports().run(&report.name, set, None).await.unwrap();
        assert!(ours.frame.equals_missing(before), "{} {set:?}: {} is not {before}", report.name, ours.frame);
    }
}

/// Whether DuckDB's answer has the rows of ours, in the same order.
pub(crate) fn compare(
    frame: &polars::prelude::DataFrame,
    columns: &[ReportColumn],
    verdict: &Value,
) -> Result<(), String> {
    if let Some(error) = verdict["error"].as_str() {
        return Err(format!("DuckDB refuses it: {error}"));
    }
    let names: Vec<&str> = verdict["names"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let declared: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    if names != declared {
        return Err(format!("columns {names:?}, not {declared:?}"));
    }
    let theirs = verdict["rows"].as_array().unwrap();
    if theirs.len() != frame.height() {
        return Err(format!("{} rows, DuckDB has {}", frame.height(), theirs.len()));
    }
    for (number, row) in theirs.iter().enumerate() {
        for (place, column) in columns.iter().enumerate() {
            let ours = frame.columns()[place].get(number).unwrap();
            if !same(&ours, &row[place], column.kind) {
                return Err(format!("row {number}, {}: {ours:?}, DuckDB has {}", column.name, row[place]));
            }
        }
    }
    Ok(())
}

/// Everything is equal to the last cent and letter; floats to the last digits but two, for the engines add averages
/// in different orders.
fn same(ours: &AnyValue<'_>, theirs: &Value, kind: ColumnType) -> bool {
    match (ours, kind) {
        (AnyValue::Null, _) => theirs.is_null() || theirs.as_f64().is_some_and(|value| !value.is_finite()),
        (AnyValue::Int64(cents), ColumnType::Money) => match theirs.as_i64() {
            Some(whole) => *cents == whole,
            // A division of cents: half to even, as the edge rounds.
            None => theirs.as_f64().is_some_and(|value| value.round_ties_even() == *cents as f64),
        },
        (AnyValue::Int64(value), _) => theirs.as_i64() == Some(*value) || theirs.as_f64() == Some(*value as f64),
        (AnyValue::Int32(value), _) => theirs.as_f64() == Some(f64::from(*value)),
        (AnyValue::Float64(value), _) => {
            theirs.as_f64().is_some_and(|it| (it - value).abs() <= 1e-12 * value.abs().max(1.0))
        }
        (AnyValue::Boolean(value), _) => theirs.as_bool() == Some(*value),
        (AnyValue::String(text), _) => theirs.as_str() == Some(text),
        (AnyValue::StringOwned(text), _) => theirs.as_str() == Some(text.as_str()),
        (AnyValue::Date(days), _) => {
            chrono::NaiveDate::from_epoch_days(*days).map(|day| day.to_string()).as_deref() == theirs.as_str()
        }
        (AnyValue::Datetime(micros, ..) | AnyValue::DatetimeOwned(micros, ..), _) => {
            let theirs = theirs.as_str().and_then(|it| DateTime::parse_from_str(it, "%Y-%m-%d %H:%M:%S%.f%:z").ok());
            theirs.is_some_and(|it| it.timestamp_micros() == *micros)
        }
        _ => false,
    }
}
