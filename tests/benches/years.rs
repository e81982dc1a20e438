//! Three years later: every dashboard, the console's home, `restate`, `watch` and the night, with three years of published
//! days beside the same with three months of them. A third of the days was restated.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::json;
use sqlx::PgPool;
use stack::seed::{self, Plan};
use system_tests::Stack;
use system_tests::bench::{Row, Target};
use system_tests::grafana::{Board, Query, scene};

use crate::console::Console;
use crate::dashboards::median_ms;
use crate::{history, nightly};

const PLAN: Plan = Plan { days: 30, stores: 12, products: 300, customers: 2_000, seed: 2026, until: None };
const MONTHS: i32 = 90;
const YEARS: i32 = 1_096;
/// What three years may take of the time of three months.
const MAY_TAKE: f64 = 1.3;
const REPEATS: usize = 7;

/// Times in milliseconds, and the size of the database.
pub(crate) async fn run() -> Result<Vec<Row>> {
    let stack = nightly::open().await?;
    seed::run(&stack.state(), &PLAN, &mut |_| ()).await?;
    for source in nightly::SOURCES {
        nightly::ended(&stack, &format!("/reporting/api/v1/sources/{source}/poll"), &json!({})).await?;
    }
    nightly::ended(&stack, "/reporting/api/v1/jobs/nightly/runs", &json!({})).await?;
    let owner = stack.pool("reporting_db").await;
    let reports: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT report FROM published.revision ORDER BY report").fetch_all(&owner).await?;
    for report in &reports {
        history::say_again(&owner, report, 1..=MONTHS).await?;
    }
    let (months, small) = (times(&stack, &owner).await?, size(&owner).await?);
    let mut rows = 0;
    for report in &reports {
        rows += history::say_again(&owner, report, MONTHS + 1..=YEARS).await?;
    }
    let (years, large) = (times(&stack, &owner).await?, size(&owner).await?);
    let row = |work: &String, value: &f64| -> Option<Row> {
        Some(Row::new(work.clone(), (*value, "ms"), ("three months", *months.get(work)?), Target::AtMost(MAY_TAKE)))
    };
    let mut out: Vec<Row> = years.iter().filter_map(|(work, value)| row(work, value)).collect();
    out.push(Row::new(
        format!("reporting_db, growth a year ({} reports, {rows} rows of {} days)", reports.len(), YEARS - MONTHS),
        ((large - small) / f64::from(YEARS - MONTHS) * 365.0 / 1e6, "MB"),
        ("three months", small / 1e6),
        Target::Informative,
    ));
    Ok(out)
}

async fn size(owner: &PgPool) -> Result<f64> {
    let bytes: i64 = sqlx::query_scalar("SELECT pg_database_size(current_database())").fetch_one(owner).await?;
    #[expect(clippy::cast_precision_loss, reason = "a database of less than 2^52 bytes")]
    Ok(bytes as f64)
}

/// How long each takes, in milliseconds: the median of several.
async fn times(stack: &Stack, owner: &PgPool) -> Result<BTreeMap<String, f64>> {
    // What autovacuum does in the course of time.
    sqlx::query("VACUUM ANALYZE").execute(owner).await?;
    let mut times = BTreeMap::new();
    let reader = stack.pool_as("reporting_db", "grafana_reader").await;
    for board in &Board::all() {
        let scene = scene(board, &reader, None).await;
        let (mut sum, mut name) = (0.0, String::new());
        for panel in board.panels() {
            for target in &panel.targets {
                let Query::Sql { text, .. } = &target.query else { continue };
                let sql = scene.sql(text).map_err(|unknown| anyhow::anyhow!("{}: {unknown:?}", panel.place))?;
                sum += median_ms(&reader, &sql).await.with_context(|| panel.place.clone())?;
                name = panel.place.split('/').next().unwrap_or_default().trim().to_owned();
            }
        }
        if sum > 0.0 {
            times.insert(format!("dashboard {name}, all queries"), sum);
        }
    }
    times.insert("console, home".to_owned(), home(stack).await?);
    for (job, arguments) in
        [("restate", json!({})), ("watch", json!({})), ("housekeeping", json!({})), ("nightly", json!({}))]
    {
        let mut took = Vec::new();
        for _ in 0..REPEATS {
            let run = nightly::ended(stack, &format!("/reporting/api/v1/jobs/{job}/runs"), &arguments).await?;
            let (from, to) = (nightly::moment(&run["started_at"])?, nightly::moment(&run["finished_at"])?);
            took.push((to - from).as_seconds_f64() * 1e3);
        }
        times.insert(format!("job {job}"), median(took));
    }
    Ok(times)
}

async fn home(stack: &Stack) -> Result<f64> {
    let console = Console::sign_in(&stack.state()).await?;
    let mut took = Vec::new();
    for _ in 0..REPEATS * 3 {
        let began = Instant::now();
        console.home().await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(took))
}

fn median(mut took: Vec<f64>) -> f64 {
    took.sort_by(f64::total_cmp);
    took.get(took.len() / 2).copied().unwrap_or(f64::NAN)
}
