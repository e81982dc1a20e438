//! Every SQL query of the dashboards on a year of published days, against the 200 ms in which a panel should appear.
//!
//! A company with a history is polled and published for one day; that day's revisions are then said again for each day
//! of the year before, as the nightly runs would have said them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sqlx::{AssertSqlSafe, PgPool};
use stack::seed::{self, Plan};
use stack::simulate::{self, Traffic};
use system_tests::Stack;
use system_tests::bench::{Row, Target};
use system_tests::grafana::{Board, Panel, Query, scene};

use crate::history;

const LIMIT_MS: f64 = 200.0;
const REPEATS: usize = 5;
const PLAN: Plan = Plan { days: 30, stores: 12, products: 300, customers: 2_000, seed: 2026, until: None };

/// A row for the slowest query of each board, in milliseconds.
pub(crate) async fn run() -> Result<Vec<Row>> {
    let stack = Stack::start().await;
    let state = stack.state();
    seed::run(&state, &PLAN, &mut |_| ()).await?;
    let traffic = Traffic { rate: 20.0, length: Duration::from_secs(5), users: 8, ..Traffic::default() };
    simulate::run(&state, &traffic, &mut |_| ()).await?;
    let published = stack.cli("reporting", &["publish"]).await;
    ensure!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    let owner = stack.pool("reporting_db").await;
    let boards = Board::all();
    let read: BTreeSet<String> = boards.iter().flat_map(Board::panels).flat_map(|panel| reports_of(&panel)).collect();
    let mut rows = 0;
    for report in &read {
        rows += history::say_again(&owner, report, 1..=364).await.with_context(|| format!("a year of {report}"))?;
    }
    // What autovacuum does in the course of a year.
    sqlx::query("VACUUM ANALYZE").execute(&owner).await?;

    let reader = stack.pool_as("reporting_db", "grafana_reader").await;
    let mut out = Vec::new();
    for board in &boards {
        let scene = scene(board, &reader, Some("365d")).await;
        let mut slowest: Option<(f64, String)> = None;
        for panel in board.panels() {
            for target in &panel.targets {
                let Query::Sql { text, .. } = &target.query else { continue };
                let sql = scene.sql(text).map_err(|unknown| anyhow::anyhow!("{}: {unknown:?}", panel.place))?;
                let took = median_ms(&reader, &sql).await.with_context(|| panel.place.clone())?;
                if slowest.as_ref().is_none_or(|(worst, _)| took > *worst) {
                    slowest = Some((took, panel.place.clone()));
                }
            }
        }
        out.extend(slowest.map(|(value, place)| {
            Row::new(
                format!("slowest query: {place}"),
                (value, "ms"),
                (format!("limit; {:.1} M rows published", f64::from(rows) / 1e6), LIMIT_MS),
                Target::AtMost(1.0),
            )
        }));
    }
    Ok(out)
}

/// The reports that a panel reads.
fn reports_of(panel: &Panel) -> Vec<String> {
    let mut names = Vec::new();
    for target in &panel.targets {
        let Query::Sql { text, .. } = &target.query else { continue };
        for rest in text.split("reports.").skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if !name.starts_with('_') {
                names.push(name);
            }
        }
    }
    names
}

/// The median of several, after one that warms the caches.
pub(crate) async fn median_ms(reader: &PgPool, sql: &str) -> Result<f64> {
    let mut took = Vec::new();
    for _ in 0..=REPEATS {
        let began = Instant::now();
        sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(reader).await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let mut warm = took.split_off(1);
    warm.sort_by(f64::total_cmp);
    Ok(warm.get(REPEATS / 2).copied().unwrap_or(f64::NAN))
}
