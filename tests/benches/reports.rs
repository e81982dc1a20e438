//! Every report of the catalogue, not cached, over a year of eleven million lines, beside DuckDB: the same files, the
//! same statement, the same two threads, in turn, each at its best of three; once through the rows of views that are kept, and
//! once from the lines alone.
//!
//! `TRIBUTARY_BENCH_ROWS` sets another number of lines.

pub(crate) mod company;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::Arc;
use std::time::Instant;

use aggregator::Aggregator;
use aggregator::report::{Bounds, ParamType, Report};
use anyhow::{Context as _, Result, ensure};
use kit::config::Vars;
use lake::snapshot;
use serde_json::json;
use system_tests::bench::{Row, Target};
use system_tests::{Stack, python};

const LINES: usize = 11_000_000;
const ROUNDS: usize = 3;

/// Seconds of each report, and the geometric mean of their ratios.
pub(crate) async fn run() -> Result<Vec<Row>> {
    let asked = Vars::from_env("TRIBUTARY_").optional("BENCH_ROWS", "lines that the bench of reports reads");
    let lines: usize = asked.context("TRIBUTARY_BENCH_ROWS is no number")?.unwrap_or(LINES);
    let stack = Stack::builder().on_disk().start_databases().await;
    let settings = company::settings(&stack);
    let db = stack.pool("reporting_db").await;
    let migrations = system_tests::binaries::repository().join("migrations/reporting");
    sqlx::migrate::Migrator::new(migrations).await?.run(&db).await?;
    let aggregator = Aggregator::with_workers(db.clone(), settings.clone(), company::workers()).await?;
    company::fill(&aggregator, lines).await?;

    let mut rows = keep(&aggregator).await?;
    let mut peer = Peer::start(&aggregator).await?;
    let mut best: BTreeMap<String, Times> = BTreeMap::new();
    for _ in 0..ROUNDS {
        // A newly opened aggregator has no cached result.
        let aggregator = Aggregator::with_workers(db.clone(), settings.clone(), company::workers()).await?;
        for report in aggregator.reports().catalogue().reports() {
            let times = race(&aggregator, report, &mut peer).await?;
            let held =
                best.entry(report.name.clone()).or_insert(Times { reads_kept: times.reads_kept, ..Times::ENDLESS });
            held.ours = held.ours.min(times.ours);
            held.from_lines = held.from_lines.min(times.from_lines);
            held.theirs = held.theirs.min(times.theirs);
        }
    }
    let mean = |of: fn(&Times) -> f64| {
        (best.values().map(|it| (of(it) / it.theirs).ln()).sum::<f64>() / best.len() as f64).exp()
    };
    let (mean, mean_of_lines) = (mean(|it| it.ours), mean(|it| it.from_lines));
    let row = |work: String, value, unit, beside, target| Row {
        work,
        value,
        unit,
        peer: "DuckDB 1.5.5, 2 threads".to_owned(),
        beside,
        target: Target::AtMost(target),
    };
    let mut raced = Vec::new();
    for (name, it) in &best {
        let target = if it.reads_kept { 0.5 } else { 2.0 };
        raced.push(row(name.clone(), it.ours * 1e3, "ms", it.theirs * 1e3, target));
        if it.reads_kept {
            raced.push(row(format!("{name}, from the lines"), it.from_lines * 1e3, "ms", it.theirs * 1e3, 2.0));
        }
    }
    raced.sort_by(|a, b| b.ratio().total_cmp(&a.ratio()));
    rows.append(&mut raced);
    rows.push(row(format!("geometric mean of {} reports, {lines} lines", best.len()), mean, "x", 1.0, 0.15));
    rows.push(row("the same from the lines".to_owned(), mean_of_lines, "x", 1.0, 1.0));
    Ok(rows)
}

/// Keeps the year's rows of every view: how long that takes, and how much larger the lake becomes.
async fn keep(aggregator: &Arc<Aggregator>) -> Result<Vec<Row>> {
    let (reports, begun) = (aggregator.reports(), Instant::now());
    let lock = aggregator.lake().keeping().await?;
    reports.tidy_rollups().await?;
    let as_of = reports.ended().await?;
    while let Some((kept, due)) = reports.next_to_keep(as_of, &BTreeSet::new()).await? {
        reports.keep(&lock, as_of.0, &kept, &due.days).await?;
    }
    lock.release().await;
    let seconds = begun.elapsed().as_secs_f64();
    let (rollups, newest) = (reports.rollups().await?, snapshot::current(aggregator.db()).await?);
    let mut lines = 0;
    for dataset in aggregator.lake().datasets() {
        let table = aggregator.lake().table(dataset)?.table_id;
        let files = snapshot::files(aggregator.db(), newest, table, None).await?;
        lines += files.iter().map(|file| file.file_size_bytes).sum::<i64>();
    }
    let row = |work: String, value, unit, peer: &str, beside, target| Row {
        work,
        value,
        unit,
        peer: peer.to_owned(),
        beside,
        target,
    };
    let kept: i64 = rollups.iter().map(|it| it.bytes).sum();
    let mut rows = vec![
        row(format!("keeping a year of {} views", rollups.len()), seconds, "s", "a minute", 60.0, Target::Informative),
        row(
            "bytes of the lake with kept rows".to_owned(),
            (lines + kept) as f64 / 1e6,
            "MB",
            "without",
            lines as f64 / 1e6,
            Target::AtMost(1.25),
        ),
    ];
    for it in rollups {
        let work = format!("of it: {}, {} rows", it.view, it.rows);
        rows.push(row(work, it.bytes as f64 / 1e6, "MB", "the lines", lines as f64 / 1e6, Target::Informative));
    }
    Ok(rows)
}

/// Seconds that a report took.
struct Times {
    reads_kept: bool,
    ours: f64,
    from_lines: f64,
    theirs: f64,
}

impl Times {
    const ENDLESS: Self = Self { reads_kept: false, ours: f64::MAX, from_lines: f64::MAX, theirs: f64::MAX };
}

/// Seconds that a report took here and there.
async fn race(aggregator: &Arc<Aggregator>, report: &Report, peer: &mut Peer) -> Result<Times> {
    let parameters = whole_year(report);
    let begun = Instant::now();
    let reports = aggregator.reports();
    let question = reports.ask(&report.name, &parameters, None).await?;
    let result = reports.compute(&question, Bounds::IN_BACKGROUND).await?;
    let ours = begun.elapsed().as_secs_f64();
    let (_, statement) = aggregator.reports().statement(&report.name, &parameters).await?;
    let (theirs, rows) = peer.run(&statement)?;
    ensure!(rows == result.frame.height(), "{}: {} rows, DuckDB has {rows}", report.name, result.frame.height());
    let (reads_kept, begun) = (!report.kept.is_empty(), Instant::now());
    if reads_kept {
        let again = reports.compute(&question.on_datasets(), Bounds::IN_BACKGROUND).await?;
        ensure!(again.frame.equals_missing(&result.frame), "{}: other rows from the lines", report.name);
    }
    let from_lines = if reads_kept { begun.elapsed().as_secs_f64() } else { ours };
    Ok(Times { reads_kept, ours, from_lines, theirs })
}

/// The dates that span all lines; what else there is stays at its default.
fn whole_year(report: &Report) -> BTreeMap<String, String> {
    let dates = report.params.iter().filter(|(_, parameter)| parameter.kind == ParamType::Date);
    let day = |name: &str| if ["from", "since"].contains(&name) { company::first_day() } else { company::last_day() };
    dates.map(|(name, _)| (name.clone(), day(name).to_string())).collect()
}

/// One DuckDB in one process, warm, with a view per dataset over its files.
struct Peer {
    process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// A statement a line in; its seconds and number of rows out. Arrow is what DuckDB gives without making Python objects.
const PROGRAM: &str = r#"
import json, sys, time
import duckdb
con = duckdb.connect()
con.execute("SET threads = 2")
con.execute("SET TimeZone = 'UTC'")
con.execute("SET enable_progress_bar = false")
for name, files in json.loads(sys.stdin.readline()).items():
    con.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({files!r})")
for line in sys.stdin:
    statement = json.loads(line)
    begun = time.perf_counter()
    rows = con.execute(statement).fetch_arrow_table().num_rows
    print(json.dumps([time.perf_counter() - begun, rows]), flush=True)
"#;

impl Peer {
    async fn start(aggregator: &Arc<Aggregator>) -> Result<Self> {
        let newest = snapshot::current(aggregator.db()).await?;
        let mut views = serde_json::Map::new();
        for dataset in aggregator.lake().datasets() {
            let folder = aggregator.lake().dir().join("main").join(dataset);
            let files =
                lake::snapshot::files(aggregator.db(), newest, aggregator.lake().table(dataset)?.table_id, None)
                    .await?;
            let paths: Vec<_> = files.iter().map(|file| folder.join(&file.path)).collect();
            views.insert(dataset.to_owned(), json!(paths));
        }
        let mut process = python::conversation(PROGRAM, &[])?;
        let ask = process.stdin.take().context("a pipe to the peer")?;
        let answers = BufReader::new(process.stdout.take().context("a pipe from the peer")?);
        let mut peer = Self { process, ask, answers };
        peer.say(&json!(views))?;
        Ok(peer)
    }

    fn run(&mut self, statement: &str) -> Result<(f64, usize)> {
        self.say(&json!(statement))?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        serde_json::from_str(&answer).context("DuckDB failed; what it said is above")
    }

    fn say(&mut self, what: &serde_json::Value) -> Result<()> {
        writeln!(self.ask, "{what}")?;
        Ok(self.ask.flush()?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
