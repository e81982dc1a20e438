//! The night: one new day of fifty thousand lines comes on top of a year, is polled through the gateway, published in
//! every report of the catalogue, and written as an export pack. From the request of the run to its end.
//!
//! `TRIBUTARY_BENCH_ROWS` sets the lines of the year (11,000,000 unless told); they are laid into the lake as polls
//! would have left them.

use std::time::{Duration, Instant};

use aggregator::Aggregator;
use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, NaiveDate, Utc};
use kit::config::Vars;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use system_tests::bench::{Row, Target};
use system_tests::{Stack, wait_until};

use crate::reports::company;

const LINES: usize = 11_000_000;
/// What the night may take, in seconds.
const LIMIT: f64 = 15.0;
/// Documents of the new day, and the lines of each: 36,000 lines in store, 14,000 online.
const SALES: u64 = 9_000;
const ORDERS: u64 = 3_500;
const EACH: u64 = 4;
/// The new day's numbers begin beyond those of the year.
const FIRST: u64 = 100_000_000;
pub(crate) const SOURCES: [&str; 3] = ["inventory", "ecommerce", "retail"];

/// Seconds of the night and of its parts.
pub(crate) async fn run() -> Result<Vec<Row>> {
    let asked = Vars::from_env("TRIBUTARY_").optional("BENCH_ROWS", "lines of the year before the bench's night");
    let lines: usize = asked.context("TRIBUTARY_BENCH_ROWS is no number")?.unwrap_or(LINES);
    let stack = open().await?;
    // The sources are known and empty: what the night finds is the new day.
    for source in SOURCES {
        ended(&stack, &format!("/reporting/api/v1/sources/{source}/poll"), &json!({})).await?;
    }
    year(&stack, lines).await?;
    let day = company::last_day().succ_opt().context("a day after the last")?;
    // As on every morning before: the rows of views are kept of the year.
    ended(&stack, "/reporting/api/v1/jobs/keep/runs", &json!({})).await?;
    new_day(&stack, day).await?;

    let begun = Instant::now();
    let body = json!({ "business_day": day, "wait": false });
    let run = ended(&stack, "/reporting/api/v1/jobs/nightly/runs", &body).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let outcome = &run["outcome"];
    ensure!(outcome["failed"] == json!({}) && outcome["polls_failed"] == json!([]), "{run}");
    let quarantined = stack.pool("reporting_db").await;
    let quarantined: i64 = sqlx::query_scalar("SELECT count(*) FROM sync.quarantine").fetch_one(&quarantined).await?;
    ensure!(quarantined == 0, "{quarantined} rows of the new day are in quarantine");
    let (polled, published) = (logged_at(&run, "rows read")?, logged_at(&run, "reports looked at")?);
    let started = moment(&run["started_at"])?;
    let fresh = (SALES + ORDERS) * EACH;
    let reports = &outcome["revisions"];
    let part = |name: &str, value: f64| {
        Row::new(format!("of it: {name}"), (value, "s"), ("the night", seconds), Target::Informative)
    };
    let between = |from: DateTime<Utc>, to: DateTime<Utc>| (to - from).as_seconds_f64();
    Ok(vec![
        Row::new(
            format!("{reports} reports, {fresh} new lines on {lines}"),
            (seconds, "s"),
            ("limit", LIMIT),
            Target::AtMost(1.0),
        ),
        part("polls of three sources", between(started, polled)),
        part("computing and publishing", between(polled, published)),
        part("the export pack", between(published, moment(&run["finished_at"])?)),
    ])
}

/// The system, whose jobs run when they are asked for.
pub(crate) async fn open() -> Result<Stack> {
    let mut jobs = String::new();
    for name in ["nightly", "restate", "backfill", "export-pack", "housekeeping", "keep", "deliver", "watch"] {
        jobs.push_str(&format!("[[job]]\nname = \"{name}\"\n"));
    }
    for source in SOURCES {
        jobs.push_str(&format!("[[job]]\nname = \"poll-{source}\"\nevery = \"24h\"\ncatch_up = \"none\"\n"));
    }
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), jobs)?;
    Ok(Stack::builder().on_disk().env("reporting", "REPORTING_JOBS", &file.path().to_string_lossy()).start().await)
}

async fn year(stack: &Stack, lines: usize) -> Result<()> {
    let aggregator = Aggregator::open(stack.pool("reporting_db").await, company::settings(stack)).await?;
    company::fill(&aggregator, lines).await
}

/// The documents of one day and what they moved, written straight into the services' own databases.
async fn new_day(stack: &Stack, day: NaiveDate) -> Result<()> {
    // Moment, zone and local time; the triggers that would fill the last are left aside.
    let at = |documents: u64| {
        let moment = format!("timestamptz '{day} 10:00+00' + (interval '9 hours' / {documents}) * (g - {FIRST})");
        format!("{moment}, 'Europe/Paris', ({moment}) AT TIME ZONE 'Europe/Paris'")
    };
    let numbers = |documents: u64| format!("generate_series({FIRST}, {}) g", FIRST + documents - 1);
    let product = "1 + (g * 7 + l * 13) % 500";
    let lines = |table: &str, key: &str, documents: u64| {
        format!(
            "INSERT INTO {table} ({key}, line_no, product_id, sku, product_name, category, quantity, unit_price_cents,
                                  unit_cost_cents, discount_cents)
             SELECT g, l, p, 'SKU-' || lpad(p::text, 5, '0'), 'Product no. ' || p, 'Garden', 1 + (g + l) % 3,
                    199 + p * 37 % 9000, (199 + p * 37 % 9000) * 6 / 10, 0
             FROM {}, generate_series(1, {EACH}) l, LATERAL (SELECT {product} AS p) AS chosen",
            numbers(documents)
        )
    };
    let sales = format!(
        "INSERT INTO sales (id, reference, kind, status, receipt_number, store_id, register_id, occurred_at, time_zone, local_time,
                            total_cents, imported, location_id)
         OVERRIDING SYSTEM VALUE
         SELECT g, 'sale-' || g, 'sale', 'completed', 'R-' || g, 1 + g % 300, 4 * (1 + g % 300), {}, 1000,
                false, 1 + g % 300
         FROM {}",
        at(SALES),
        numbers(SALES)
    );
    let orders = format!(
        "INSERT INTO orders (id, reference, customer_id, status, payment_status, occurred_at, time_zone, local_time, confirmed_at,
                             total_cents, imported, location_id)
         OVERRIDING SYSTEM VALUE
         SELECT g, 'order-' || g, 1 + g % 100000, 'confirmed', 'paid', {}, now(), 1000, false, 301
         FROM {}",
        at(ORDERS),
        numbers(ORDERS)
    );
    let moved = |first: u64, kind: &str, place: &str, documents: u64| {
        format!(
            "INSERT INTO stock_movements (id, reference, product_id, location_id, quantity, reason, occurred_at, time_zone,
                                          local_time)
             OVERRIDING SYSTEM VALUE
             SELECT {first} + (g - {FIRST}) * {EACH} + l, '{kind}-' || g, {product}, {place}, -(1 + (g + l) % 3), 'sale',
                    {}
             FROM {}, generate_series(1, {EACH}) l",
            at(documents),
            numbers(documents)
        )
    };
    let (shop, online) = (moved(FIRST, "sale", "1 + g % 300", SALES), moved(FIRST * 2, "order", "301", ORDERS));
    for (database, statements) in [
        ("retail_db", [sales, lines("sale_lines", "sale_id", SALES)]),
        ("ecommerce_db", [orders, lines("order_lines", "order_id", ORDERS)]),
        ("inventory_db", [shop, online]),
    ] {
        // As the one role that may leave foreign keys aside: the year before is in the lake alone.
        let mut connection = PgConnection::connect(&stack.url(database, "postgres")).await?;
        let [first, second] = statements;
        let sql = format!("SET session_replication_role = replica; BEGIN; {first}; {second}; COMMIT; ANALYZE");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.with_context(|| database.to_owned())?;
    }
    Ok(())
}

/// Asks for a run and waits for its successful end.
pub(crate) async fn ended(stack: &Stack, path: &str, body: &Value) -> Result<Value> {
    let operator = stack.api("operator");
    let run = operator.post_json(path, body, 202).await;
    let path = format!("/reporting/api/v1/jobs/runs/{}", run["id"]);
    let ended = wait_until("the run to end", Duration::from_secs(3_600), async || {
        let run = operator.get_json(&path).await;
        (!run["finished_at"].is_null()).then_some(run)
    })
    .await;
    ensure!(ended["status"] == "succeeded", "{ended}");
    Ok(ended)
}

/// When a run last logged something.
fn logged_at(run: &Value, what: &str) -> Result<DateTime<Utc>> {
    let lines = run["log"].as_array().context("a log")?;
    let line = lines.iter().rfind(|it| it["line"].as_str().is_some_and(|line| line.contains(what)));
    moment(&line.with_context(|| format!("no line of the run says {what}: {run}"))?["at"])
}

pub(crate) fn moment(value: &Value) -> Result<DateTime<Utc>> {
    Ok(value.as_str().context("a moment")?.parse()?)
}
