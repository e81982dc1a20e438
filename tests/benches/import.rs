//! Sales, returns, orders, refunds and movements, each in one request: sales beside a COPY of the same documents, sorted, into the
//! real tables with their keys and triggers; the others beside sales; all of them beside an older build, where the
//! variable `BEFORE` names the folder of its programs.

mod before;
mod files;

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures_util::TryStreamExt as _;
use sqlx::PgPool;
use sqlx::postgres::PgPoolCopyExt as _;
use system_tests::Stack;
use system_tests::bench::{Row, Target};

use files::{File, MOVEMENTS, ORDERS, REFUNDS, RETURNS, SALES, STORE};

/// Those that import documents.
const SERVICES: [&str; 3] = ["inventory", "ecommerce", "retail"];

/// Rows per second of each file.
struct Rates {
    sales: f64,
    returns: f64,
    orders: f64,
    movements: f64,
}

/// Rows per second.
pub(crate) async fn run() -> Result<Vec<Row>> {
    let stack = Stack::builder().as_installed().only(&SERVICES).start().await;
    let sales = load(&stack).await?;
    let bare = Stack::builder().as_installed().only(&["retail"]).start().await;
    bare.direct("retail").import("/api/v1/stores/import", STORE).await;
    let copied = copy(&stack.pool("retail_db").await, &bare.pool("retail_db").await).await?;
    drop(bare);
    let rates = rest(&stack, sales).await?;
    // The older build has none.
    let refunds = timed(&stack, REFUNDS).await?;
    let row = |work, value, peer, beside, target| Row::new(work, (value, "rows/s"), (peer, beside), target);
    let mut rows = vec![
        row(
            "import of 1.05 M sale lines in one request",
            rates.sales,
            "sorted COPY into the same tables",
            copied,
            Target::AtLeast(0.8),
        ),
        row("300,000 lines of returns", rates.returns, "sale lines", rates.sales, Target::AtLeast(0.5)),
        row("300,000 lines of orders", rates.orders, "sale lines", rates.sales, Target::AtLeast(0.5)),
        row("100,000 refunds of a line each", refunds, "sale lines", rates.sales, Target::Informative),
        row("300,000 movements", rates.movements, "sale lines", rates.sales, Target::AtLeast(0.5)),
    ];
    for service in SERVICES {
        rows.push(Row::new(
            format!("most memory of {service} meanwhile"),
            (peak_megabytes(stack.state().services[service].pid)?, "MB"),
            ("limit", 40.0),
            Target::AtMost(1.0),
        ));
    }
    drop(stack);
    if let Some(older) = before::start().await? {
        let sales = load(&older.stack).await?;
        let older = rest(&older.stack, sales).await?;
        rows.extend([
            row("sale lines", rates.sales, "the older build", older.sales, Target::AtLeast(1.5)),
            row("lines of returns", rates.returns, "the older build", older.returns, Target::Informative),
            row("lines of orders", rates.orders, "the older build", older.orders, Target::Informative),
            row("movements", rates.movements, "the older build", older.movements, Target::Informative),
        ]);
    }
    Ok(rows)
}

/// Imports the sales; lines per second.
pub(crate) async fn load(stack: &Stack) -> Result<f64> {
    stack.direct("retail").import("/api/v1/stores/import", STORE).await;
    timed(stack, SALES).await
}

/// Imports everything else.
async fn rest(stack: &Stack, sales: f64) -> Result<Rates> {
    let returns = timed(stack, RETURNS).await?;
    stack.direct("ecommerce").import("/api/v1/customers/import", files::customers()).await;
    let orders = timed(stack, ORDERS).await?;
    let inventory = stack.direct("inventory");
    inventory.import("/api/v1/products/import", files::products()).await;
    let location = serde_json::json!({"code": "S1", "name": "First", "kind": "warehouse"});
    inventory.post_json("/api/v1/locations", &location, 201).await;
    let movements = timed(stack, MOVEMENTS).await?;
    Ok(Rates { sales, returns, orders, movements })
}

/// Imports a file; rows per second.
async fn timed(stack: &Stack, file: File) -> Result<f64> {
    let api = stack.direct(file.service);
    let began = Instant::now();
    let report = api.import_body(file.path, file.body()).await;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(report["applied"] == file.rows(), "{}: {report}", file.path);
    Ok(rate(file.rows(), seconds))
}

#[expect(clippy::cast_precision_loss, reason = "a rate is read to three digits")]
pub(crate) fn rate(rows: u64, seconds: f64) -> f64 {
    rows as f64 / seconds
}

/// The most memory that a process has held.
fn peak_megabytes(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// Copies the documents of one database into the tables of another; lines per second on the way in.
async fn copy(from: &PgPool, into: &PgPool) -> Result<f64> {
    let registers = "id, store_id, number";
    let sales = "id, reference, kind, status, receipt_number, store_id, register_id, occurred_at, time_zone, total_cents, \
                 imported, settled_at, import_id";
    let lines = "sale_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents, unit_cost_cents, \
                 discount_cents";
    let mut copied = 0.0;
    for (table, columns, key) in
        [("registers", registers, "id"), ("sales", sales, "id"), ("sale_lines", lines, "sale_id, line_no")]
    {
        let out = format!("COPY (SELECT {columns} FROM {table} ORDER BY {key}) TO STDOUT");
        let mut rows: Vec<u8> = Vec::new();
        let mut told = from.copy_out_raw(&out).await?;
        while let Some(piece) = told.try_next().await? {
            rows.extend_from_slice(&piece);
        }
        let began = Instant::now();
        let mut copy = into.copy_in_raw(&format!("COPY {table} ({columns}) FROM STDIN")).await?;
        copy.send(rows).await?;
        copy.finish().await?;
        copied += began.elapsed().as_secs_f64();
    }
    Ok(rate(SALES.rows(), copied))
}
