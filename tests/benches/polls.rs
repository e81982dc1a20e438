//! A year of sale and order lines on its way into the lake, through the gateway: the first poll beside a bare COPY of
//! the same query and beside dlt, which polls the same rows as JSON; then a poll that finds a thousand rows changed.
//!
//! `TRIBUTARY_BENCH_ROWS` sets the number of lines (10,000,000 unless told).

mod dlt;
mod fill;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::TryStreamExt as _;
use kit::config::Vars;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use system_tests::bench::{Row, Target};
use system_tests::{Stack, wait_until};

const ROWS: u64 = 10_000_000;
const SOURCES: [&str; 2] = ["retail", "ecommerce"];
/// Lines of each document, in the shop and online.
const LINES: u64 = 4;
const CHANGED: u64 = 1_000;
const MEBIBYTE: f64 = 1_048_576.0;

/// Polls run when the bench asks, and not besides.
const JOBS: &str = r#"
[[job]]
name = "poll-retail"
every = "24h"
catch_up = "none"
[[job]]
name = "poll-ecommerce"
every = "24h"
catch_up = "none"
[[job]]
name = "poll-inventory"
every = "24h"
catch_up = "none"
"#;

pub(crate) async fn run() -> Result<Vec<Row>> {
    let asked = Vars::from_env("TRIBUTARY_").optional("BENCH_ROWS", "lines that the bench of polls brings");
    let rows: u64 = asked.context("TRIBUTARY_BENCH_ROWS is no number")?.unwrap_or(ROWS);
    let few = {
        let shop = Shop::open(rows / 5).await?;
        shop.first_poll().await?;
        shop.peak_memory()?
    };
    let shop = Shop::open(rows).await?;
    let copied = shop.copy().await?;
    let first = shop.first_poll().await?;
    let peak = shop.peak_memory()?;
    let small = |changed: Changed| shop.small_poll(changed);
    let (recent, spread) = (small(Changed::LastDay).await?, small(Changed::AllYear).await?);
    let peer = dlt::rows_per_second(&shop.stack, rows / 50)?;

    let count = rows as f64;
    let seconds = first.as_secs_f64();
    let whole = format!("first poll of {rows} lines, source to snapshot");
    Ok(vec![
        Row::new(
            whole.clone(),
            (count / seconds, "rows/s"),
            ("bare COPY", count / copied.as_secs_f64()),
            Target::AtLeast(0.5),
        ),
        Row::new(whole, (count / seconds, "rows/s"), ("dlt 1.31, JSON", peer), Target::AtLeast(20.0)),
        Row::new(
            format!("poll of {CHANGED} lines changed on the last day"),
            (recent.as_secs_f64(), "s"),
            ("first poll", seconds),
            Target::AtMost(0.02),
        ),
        Row::new(
            format!("poll of {CHANGED} lines changed all over the year"),
            (spread.as_secs_f64(), "s"),
            ("first poll", seconds),
            Target::AtMost(0.02),
        ),
        Row::new(format!("peak memory, {rows} lines"), (peak, "MiB"), ("a fifth of them", few), Target::AtMost(1.2)),
    ])
}

/// Which lines change.
#[derive(Debug, Clone, Copy)]
enum Changed {
    LastDay,
    AllYear,
}

/// The two services with their history, and an empty lake.
struct Shop {
    stack: Stack,
    rows: u64,
}

impl Shop {
    async fn open(rows: u64) -> Result<Self> {
        let jobs = std::env::temp_dir().join(format!("tributary-bench-jobs-{}.toml", std::process::id()));
        std::fs::write(&jobs, JOBS)?;
        let builder = Stack::builder().on_disk().only(&["retail", "ecommerce", "reporting"]);
        let stack = builder.env("reporting", "REPORTING_JOBS", &jobs.to_string_lossy()).start().await;
        std::fs::remove_file(&jobs)?;
        fill::history(&stack, rows, LINES).await?;
        Ok(Self { stack, rows })
    }

    /// The time a bare COPY of the feeds' queries takes, one after the other.
    async fn copy(&self) -> Result<Duration> {
        let started = Instant::now();
        for (database, datasets, name) in
            [("retail_db", retail::DATASETS, "sale_lines"), ("ecommerce_db", ecommerce::DATASETS, "order_lines")]
        {
            let dataset = datasets.iter().find(|it| it.name == name).context("a dataset of the feed")?;
            let mut connection = self.stack.pool(database).await.acquire().await?;
            let mut rows = connection.copy_out_raw(&dataset.copy()).await?;
            while let Some(chunk) = rows.try_next().await? {
                ensure!(!chunk.is_empty(), "COPY sent an empty row");
            }
        }
        Ok(started.elapsed())
    }

    /// Both sources at once, from the request to the later one's snapshot.
    async fn first_poll(&self) -> Result<Duration> {
        let (took, read) = self.poll(&SOURCES).await?;
        ensure!(read >= self.rows, "{read} rows came, {} are there", self.rows);
        Ok(took)
    }

    async fn small_poll(&self, changed: Changed) -> Result<Duration> {
        let sales = CHANGED / LINES;
        let all = self.rows / 5 * 4 / LINES;
        let condition = match changed {
            Changed::LastDay => format!("id > {}", all - sales),
            Changed::AllYear => format!("id % {} = 1 AND id <= {}", all / (sales + 1), all - sales),
        };
        let sql = format!("UPDATE sales SET status = 'voided', voided_at = now() WHERE {condition}");
        sqlx::query(AssertSqlSafe(sql)).execute(&self.stack.pool("retail_db").await).await?;
        let (took, read) = self.poll(&["retail"]).await?;
        ensure!((CHANGED..CHANGED * 11 / 10).contains(&read), "{read} rows came instead of {CHANGED}");
        Ok(took)
    }

    /// Polls sources at once; the time of all, and the rows read.
    async fn poll(&self, sources: &[&str]) -> Result<(Duration, u64)> {
        let operator = self.stack.api("operator");
        let started = Instant::now();
        let mut runs = Vec::new();
        for source in sources {
            let path = format!("/reporting/api/v1/sources/{source}/poll");
            runs.push(operator.post_json(&path, &json!({}), 202).await);
        }
        let mut read = 0;
        for run in runs {
            let path = format!("/reporting/api/v1/jobs/runs/{}", run["id"]);
            let ended: Value = wait_until("the poll to end", Duration::from_secs(3_600), async || {
                let run = operator.get_json(&path).await;
                (!run["finished_at"].is_null()).then_some(run)
            })
            .await;
            ensure!(ended["status"] == "succeeded", "{ended}");
            ensure!(ended["outcome"]["rows_quarantined"] == 0, "{ended}");
            read += ended["outcome"]["rows_read"].as_u64().context("rows_read")?;
        }
        Ok((started.elapsed(), read))
    }

    /// The most memory that the reporting process has had, in MiB.
    fn peak_memory(&self) -> Result<f64> {
        let pid = self.stack.state().services.get("reporting").context("a pid")?.pid;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).context("VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1_024.0 / MEBIBYTE)
    }
}
