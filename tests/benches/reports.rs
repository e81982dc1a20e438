//! Every report of the catalogue, not cached, over a year of eleven million lines, beside DuckDB in two versions: the same files, the
//! statement with all views put in place, the same two threads, in turn, each at its best of three; once through the rows of
//! views that are kept, and once from the lines alone. Those by store, category or channel also over the last month.
//!
//! `TRIBUTARY_BENCH_ROWS` sets another number of lines.

pub(crate) mod company;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::Arc;
use std::time::Instant;

use aggregator::Aggregator;
use aggregator::report::{Bounds, ParamType, Report};
use anyhow::{Context as _, Result, ensure};
use chrono::Days;
use kit::config::Vars;
use lake::snapshot;
use serde_json::json;
use system_tests::bench::{Row, Target};
use system_tests::{Stack, python};

const LINES: usize = 11_000_000;
const ROUNDS: usize = 3;
/// What people look at all day: asked for a month, too.
const BY_PLACE: [&str; 6] =
    ["category_mix", "channel_mix", "daily_sales", "register_performance", "store_performance", "store_ranking"];
/// The datasets of lines.
const LINES_OF: [&str; 3] = ["sale_lines", "order_lines", "refund_lines"];
/// The peers, by version: the newer is the one that targets are set against.
const PEERS: [&str; 2] = ["2.0.0", "1.5.5"];

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
    let mut peers = Vec::new();
    for version in PEERS {
        peers.push(Peer::start(&aggregator, version).await?);
    }
    let mut best: BTreeMap<Race, Times> = BTreeMap::new();
    for _ in 0..ROUNDS {
        // A newly opened aggregator has no cached result.
        let aggregator = Aggregator::with_workers(db.clone(), settings.clone(), company::workers()).await?;
        for report in aggregator.reports().catalogue().reports() {
            for span in [Span::Year, Span::Month] {
                if span == Span::Month && !BY_PLACE.contains(&report.name.as_str()) {
                    continue;
                }
                let times = race(&aggregator, report, span, &mut peers).await?;
                best.entry((report.name.clone(), span)).and_modify(|held| held.take(times)).or_insert(times);
            }
        }
    }
    rows.append(&mut raced(&best));
    let years: Vec<&Times> = best.iter().filter(|((_, span), _)| *span == Span::Year).map(|(_, it)| it).collect();
    let mean =
        |ratio: &dyn Fn(&Times) -> f64| (years.iter().map(|it| ratio(it).ln()).sum::<f64>() / years.len() as f64).exp();
    let what = format!("geometric mean of {} reports, {lines} lines", years.len());
    for (at, version) in PEERS.into_iter().enumerate() {
        let target = |most| if at == 0 { Target::AtMost(most) } else { Target::Informative };
        let row = |work, value, target| Row { work, value, unit: "x", peer: duckdb(version), beside: 1.0, target };
        rows.push(row(what.clone(), mean(&|it| it.ours / it.theirs[at]), target(0.15)));
        rows.push(row(format!("{what}, from the lines"), mean(&|it| it.from_lines / it.theirs[at]), target(1.0)));
    }
    Ok(rows)
}

/// A report, and over which time.
type Race = (String, Span);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Span {
    Year,
    Month,
}

fn duckdb(version: &str) -> String {
    format!("DuckDB {version}, 2 threads")
}

/// What each report took, the slowest beside the newer DuckDB first.
fn raced(best: &BTreeMap<Race, Times>) -> Vec<Row> {
    let mut rows = Vec::new();
    for ((name, span), it) in best {
        let work = if *span == Span::Month { format!("{name}, a month") } else { name.clone() };
        let most = match (it.reads_lines, BY_PLACE.contains(&name.as_str())) {
            (false, true) => 0.1,
            (false, false) => 0.5,
            (true, _) => 2.0,
        };
        let row = |work, ours: f64, most| {
            Row::new(work, (ours * 1e3, "ms"), (duckdb(PEERS[0]), it.theirs[0] * 1e3), Target::AtMost(most))
        };
        if it.reads_kept {
            rows.push(row(format!("{work}, from the lines"), it.from_lines, 2.0));
        }
        rows.push(row(work, it.ours, most));
    }
    rows.sort_by(|a, b| b.ratio().total_cmp(&a.ratio()));
    rows
}

/// Keeps the year's rows of every view: how long that takes, and how much larger the lake becomes.
async fn keep(aggregator: &Arc<Aggregator>) -> Result<Vec<Row>> {
    let (reports, begun) = (aggregator.reports(), Instant::now());
    let lock = aggregator.lake().keeping().await?;
    reports.tidy_rollups().await?;
    let as_of = reports.ended().await?;
    for (kept, due) in reports.to_keep(as_of).await? {
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
    let kept: i64 = rollups.iter().map(|it| it.bytes).sum();
    let mut rows = vec![
        Row::new(
            format!("keeping a year of {} views", rollups.len()),
            (seconds, "s"),
            ("a minute", 60.0),
            Target::Informative,
        ),
        Row::new(
            "bytes of the lake with kept rows",
            ((lines + kept) as f64 / 1e6, "MB"),
            ("without", lines as f64 / 1e6),
            Target::AtMost(1.25),
        ),
    ];
    for it in rollups {
        let work = format!("of it: {}, {} rows", it.view, it.rows);
        rows.push(Row::new(
            work,
            (it.bytes as f64 / 1e6, "MB"),
            ("the lines", lines as f64 / 1e6),
            Target::Informative,
        ));
    }
    Ok(rows)
}

/// Seconds that a report took, here and at each peer.
#[derive(Debug, Clone, Copy)]
struct Times {
    reads_kept: bool,
    reads_lines: bool,
    ours: f64,
    from_lines: f64,
    theirs: [f64; PEERS.len()],
}

impl Times {
    /// Keeps the best of both.
    fn take(&mut self, other: Self) {
        self.ours = self.ours.min(other.ours);
        self.from_lines = self.from_lines.min(other.from_lines);
        for (held, new) in self.theirs.iter_mut().zip(other.theirs) {
            *held = held.min(new);
        }
    }
}

async fn race(aggregator: &Arc<Aggregator>, report: &Report, span: Span, peers: &mut [Peer]) -> Result<Times> {
    let parameters = dates(report, span);
    let begun = Instant::now();
    let reports = aggregator.reports();
    let question = reports.ask(&report.name, &parameters, None).await?;
    let result = reports.compute(&question, Bounds::IN_BACKGROUND).await?;
    let ours = begun.elapsed().as_secs_f64();
    let (_, statement) = aggregator.reports().statement(&report.name, &parameters).await?;
    let mut theirs = [0.0; PEERS.len()];
    for (peer, took) in peers.iter_mut().zip(&mut theirs) {
        let (seconds, rows) = peer.run(&statement)?;
        ensure!(rows == result.frame.height(), "{}: {} rows, DuckDB has {rows}", report.name, result.frame.height());
        *took = seconds;
    }
    let (reads_kept, begun) = (!report.kept.is_empty(), Instant::now());
    if reads_kept {
        let again = reports.compute(&question.on_datasets(), Bounds::IN_BACKGROUND).await?;
        ensure!(again.frame.equals_missing(&result.frame), "{}: other rows from the lines", report.name);
    }
    let from_lines = if reads_kept { begun.elapsed().as_secs_f64() } else { ours };
    let reads_lines = !reads_kept || report.reads().iter().any(|dataset| LINES_OF.contains(&dataset.as_str()));
    Ok(Times { reads_kept, reads_lines, ours, from_lines, theirs })
}

/// The dates that span all lines, or those of the last 31 days; what else there is stays at its default.
fn dates(report: &Report, span: Span) -> BTreeMap<String, String> {
    let first = match span {
        Span::Year => company::first_day(),
        Span::Month => company::last_day() - Days::new(30),
    };
    let dates = report.params.iter().filter(|(_, parameter)| parameter.kind == ParamType::Date);
    let day = |name: &str| if ["from", "since"].contains(&name) { first } else { company::last_day() };
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
sys.path[:0] = sys.argv[2:]
import duckdb
assert duckdb.__version__ == sys.argv[1], duckdb.__version__
con = duckdb.connect()
con.execute("SET threads = 2")
con.execute("SET TimeZone = 'UTC'")
con.execute("SET enable_progress_bar = false")
for name, files in json.loads(sys.stdin.readline()).items():
    con.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({files!r})")
for line in sys.stdin:
    statement = json.loads(line)
    begun = time.perf_counter()
    rows = con.sql(statement).to_arrow_table().num_rows
    print(json.dumps([time.perf_counter() - begun, rows]), flush=True)
"#;

impl Peer {
    async fn start(aggregator: &Arc<Aggregator>, version: &str) -> Result<Self> {
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
        // The older is the judge of the tests; the newer lies beside it.
        let folder = python::folder("peers").to_string_lossy().into_owned();
        let args = if version == PEERS[0] { vec![version, &folder] } else { vec![version] };
        let mut process = python::conversation(PROGRAM, &args)?;
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
