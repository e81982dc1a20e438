//! Every SQL query of the dashboards on a year of published days, against the 200 ms in which a panel should appear.
//!
//! A company with a history is polled and published for one day; that day's revisions are then said again for each day
//! of the year before, as the nightly runs would have said them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use chrono::NaiveDate;
use sqlx::{AssertSqlSafe, PgPool};
use stack::seed::{self, Plan};
use stack::simulate::{self, Traffic};
use system_tests::Stack;
use system_tests::bench::{Row, Target};
use system_tests::grafana::{Board, Panel, Query, scene};

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
        rows += a_year_of(&owner, report).await.with_context(|| format!("a year of {report}"))?;
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
        out.extend(slowest.map(|(value, place)| Row {
            work: format!("slowest query: {place}"),
            value,
            unit: "ms",
            peer: format!("limit; {:.1} M rows published", f64::from(rows) / 1e6),
            beside: LIMIT_MS,
            target: Target::AtMost(1.0),
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

/// Says the newest day of a report again for each of the 364 days before it; the rows written.
async fn a_year_of(owner: &PgPool, report: &str) -> Result<u32> {
    let newest: (i64, NaiveDate, String) = sqlx::query_as(
        "SELECT r.revision_id, r.business_day, v.table_name FROM published.revision r
         JOIN published.report_version v USING (report, version) WHERE r.report = $1
         ORDER BY r.business_day DESC, r.revision DESC LIMIT 1",
    )
    .bind(report)
    .fetch_one(owner)
    .await?;
    let (model, day, table) = newest;
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(column_name) FROM information_schema.columns
         WHERE table_schema = 'published' AND table_name = $1 AND column_name NOT IN ('revision_id', 'day')
         ORDER BY ordinal_position",
    )
    .bind(&table)
    .fetch_all(owner)
    .await?;
    let days: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM information_schema.columns
         WHERE table_schema = 'published' AND table_name = $1 AND column_name = 'day')",
    )
    .bind(&table)
    .fetch_one(owner)
    .await?;
    // Rows join a revision only in the transaction that makes it.
    let mut tx = kit::db::begin(owner).await?;
    sqlx::query(
        "INSERT INTO published.revision (report, business_day, revision, version, state, missing, parameters, snapshot,
             sources, currency, row_count, digest, generated_at, published_at)
         SELECT report, business_day - back, 1, version, state, missing, parameters, snapshot, sources, currency,
             row_count, digest, generated_at - make_interval(days => back), published_at - make_interval(days => back)
         FROM published.revision CROSS JOIN generate_series(1, 364) AS back WHERE revision_id = $1",
    )
    .bind(model)
    .execute(&mut *tx)
    .await?;
    let list = columns.join(", ");
    let (day_to, day_from) = if days { (", day", ", r.business_day") } else { ("", "") };
    let rows = sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO published.{table} (revision_id, {list}{day_to})
         SELECT r.revision_id, {list}{day_from} FROM published.revision r CROSS JOIN published.{table} d
         WHERE r.report = $1 AND r.business_day < $2 AND d.revision_id = $3
         AND r.made_by = pg_current_xact_id()"
    )))
    .bind(report)
    .bind(day)
    .bind(model);
    let written = rows.execute(&mut *tx).await?.rows_affected();
    tx.commit().await?;
    Ok(u32::try_from(written)?)
}

/// The median of several, after one that warms the caches.
async fn median_ms(reader: &PgPool, sql: &str) -> Result<f64> {
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
