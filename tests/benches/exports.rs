//! Files of many rows beside DuckDB, which writes the same rows from memory; and what the process holds meanwhile.
//!
//! The encoder runs in a process of its own (this program, called again), fed with batches as a report would be, so
//! that its peak memory is its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use exports::{Column, CsvProfile, Format, Kind, Provenance, write};
use kit::config::Vars;
use polars::prelude::{Column as Series, DataFrame, DataType, TimeUnit};
use system_tests::bench::{Row, Target};
use system_tests::python;

/// What the peak of the process may be, in megabytes.
const MOST_MB: f64 = 600.0;
/// Rows that are made and handed over at a time.
const BATCH: usize = 100_000;

/// Rows in seconds and megabytes.
pub(crate) fn run() -> Result<Vec<Row>> {
    let rows = Vars::from_env("TRIBUTARY_").optional("BENCH_ROWS", "rows of the files")?.unwrap_or(10_000_000_u64);
    let folder = tempfile::tempdir()?;
    let mut table = Vec::new();
    for (format, copy, target) in [
        (Format::Parquet, "FORMAT parquet, COMPRESSION zstd", 1.2),
        (Format::Csv(CsvProfile::Raw), "FORMAT csv, HEADER", 2.0),
    ] {
        let small = encode_apart(format, rows / 10, folder.path())?;
        let ours = encode_apart(format, rows, folder.path())?;
        let duckdb = copy_by_duckdb(copy, rows, folder.path())?;
        let name = format.name();
        table.push(Row::new(
            format!("{name} of {rows} rows, encoding alone"),
            (ours.seconds, "s"),
            ("DuckDB's COPY", duckdb),
            Target::AtMost(target),
        ));
        table.push(Row::new(
            format!("peak memory of the process, {name}"),
            (ours.peak_mb, "MB"),
            ("limit", MOST_MB),
            Target::AtMost(1.0),
        ));
        table.push(Row::new(
            format!("peak memory at ten times the rows, {name}"),
            (ours.peak_mb, "MB"),
            (format!("{} rows", rows / 10), small.peak_mb),
            Target::AtMost(1.1),
        ));
    }
    Ok(table)
}

/// What an encoding took.
struct Taken {
    seconds: f64,
    peak_mb: f64,
}

/// Encodes in a process of its own.
fn encode_apart(format: Format, rows: u64, folder: &Path) -> Result<Taken> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--encode", format.name(), &rows.to_string()])
        .arg(folder.join("ours"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let (seconds, peak) = text.trim().split_once(' ').context("two figures")?;
    Ok(Taken { seconds: seconds.parse()?, peak_mb: peak.parse()? })
}

/// The process apart: encodes, and prints the seconds of encoding and its peak in megabytes.
#[expect(clippy::print_stdout, reason = "what the bench reads")]
pub(crate) fn encode(arguments: &[String]) -> Result<()> {
    let [format, rows, path] = arguments else { anyhow::bail!("format, rows, file") };
    let format = Format::from_name(format).context("a format")?;
    let (columns, batches) = (columns(), rows.parse::<usize>()? / BATCH);
    let mut made = std::time::Duration::ZERO;
    let began = Instant::now();
    let frames = (0..batches).map(|batch| {
        let began = Instant::now();
        let frame = frame(batch * BATCH);
        made += began.elapsed();
        Ok(frame)
    });
    let mut out = BufWriter::with_capacity(1 << 16, File::create(path)?);
    let written = write(format, &provenance(), &columns, frames, &mut out)?;
    drop(out.into_inner()?);
    let seconds = (began.elapsed() - made).as_secs_f64();
    ensure!(written.rows == (batches * BATCH) as u64, "{} rows were written", written.rows);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("a peak")?;
    let peak: f64 = peak.trim().trim_end_matches("kB").trim().parse()?;
    println!("{seconds} {}", peak / 1_024.0);
    Ok(())
}

/// The same rows by DuckDB, from a table in memory; the seconds of COPY alone.
fn copy_by_duckdb(options: &str, rows: u64, folder: &Path) -> Result<f64> {
    let answer = python(DUCKDB, &[&rows.to_string(), options, &folder.join("theirs").to_string_lossy()]);
    Ok(answer.trim().parse()?)
}

const DUCKDB: &str = r#"
import sys, time
import duckdb
rows, options, path = sys.argv[1:]
con = duckdb.connect()
con.execute("SET threads = 2")
con.execute("SET enable_progress_bar = false")
con.execute(f"""
CREATE TABLE t AS SELECT i AS id, (i % 40)::INTEGER AS store_id, DATE '2026-01-01' + (i % 365)::INTEGER AS business_day,
  TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_seconds(i) AS occurred_at, 'Store ' || (i % 40) AS store,
  'SKU-' || (i % 5000) AS sku, (1 + i % 7)::INTEGER AS quantity, ((i * 37) % 100000 / 100.0)::DECIMAL(18,2) AS net,
  (i % 1000) / 7.0 AS share, i % 3 = 0 AS online FROM range({rows}) r(i)""")
began = time.monotonic()
con.execute(f"COPY t TO '{path}' ({options})")
print(time.monotonic() - began)
"#;

fn columns() -> Vec<Column> {
    [
        ("id", Kind::Int64),
        ("store_id", Kind::Int32),
        ("business_day", Kind::Date),
        ("occurred_at", Kind::Timestamp),
        ("store", Kind::String),
        ("sku", Kind::String),
        ("quantity", Kind::Int32),
        ("net", Kind::Money { decimals: 2 }),
        ("share", Kind::Float),
        ("online", Kind::Bool),
    ]
    .map(|(name, kind)| Column { name: name.to_owned(), kind, title: name.to_owned() })
    .to_vec()
}

/// The rows from `first` on.
fn frame(first: usize) -> DataFrame {
    let ids = || (first..first + BATCH).map(|id| i64::try_from(id).unwrap_or_default());
    let int = |id: i64| i32::try_from(id).unwrap_or_default();
    let moment = |id: i64| (1_767_225_600 + id) * 1_000_000;
    let utc = DataType::Datetime(TimeUnit::Microseconds, None);
    let series = vec![
        Series::new("id".into(), ids().collect::<Vec<i64>>()),
        Series::new("store_id".into(), ids().map(|id| int(id % 40)).collect::<Vec<i32>>()),
        Series::new("business_day".into(), ids().map(|id| 20_454 + int(id % 365)).collect::<Vec<i32>>())
            .cast(&DataType::Date)
            .expect("days are dates"),
        Series::new("occurred_at".into(), ids().map(moment).collect::<Vec<i64>>())
            .cast(&utc)
            .expect("micros are moments"),
        Series::new("store".into(), ids().map(|id| format!("Store {}", id % 40)).collect::<Vec<String>>()),
        Series::new("sku".into(), ids().map(|id| format!("SKU-{}", id % 5_000)).collect::<Vec<String>>()),
        Series::new("quantity".into(), ids().map(|id| int(1 + id % 7)).collect::<Vec<i32>>()),
        Series::new("net".into(), ids().map(|id| id * 37 % 100_000).collect::<Vec<i64>>()),
        Series::new("share".into(), ids().map(|id| f64::from(int(id % 1_000)) / 7.0).collect::<Vec<f64>>()),
        Series::new("online".into(), ids().map(|id| id % 3 == 0).collect::<Vec<bool>>()),
    ];
    DataFrame::new(BATCH, series).expect("columns of one height")
}

fn provenance() -> Provenance {
    Provenance {
        report: "bench".to_owned(),
        title: "Bench".to_owned(),
        parameters: BTreeMap::new(),
        snapshot: 1,
        revision: None,
        state: None,
        currency: "EUR".to_owned(),
        generated_at: chrono::Utc::now(),
        sources: Vec::new(),
        row_count: None,
        outdated: None,
    }
}
