//! A million sale lines in one request, beside a COPY of the same documents, sorted, into the real tables with their keys and
//! triggers.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures_util::{TryStreamExt as _, stream};
use reqwest::Body;
use sqlx::PgPool;
use sqlx::postgres::PgPoolCopyExt as _;
use system_tests::Stack;
use system_tests::bench::{Row, Target};

const SALES: u64 = 350_000;
const LINES: u64 = 3;
/// The store that sells.
const STORE: &str = "code,name,city,time_zone\nS1,First,Berlin,Europe/Berlin\n";
/// Sales written into one chunk of the body.
const CHUNK: u64 = 500;

/// Rows per second.
pub(crate) async fn run() -> Result<Vec<Row>> {
    let stack = Stack::builder().durable().only(&["retail"]).start().await;
    let rate = load(&stack).await?;
    let memory = peak_megabytes(stack.state().services["retail"].pid)?;
    let bare = Stack::builder().durable().only(&["retail"]).start().await;
    bare.direct("retail").import("/api/v1/stores/import", STORE).await;
    let copied = copy(&stack.pool("retail_db").await, &bare.pool("retail_db").await).await?;
    Ok(vec![
        Row {
            work: "import of 1.05 M sale lines in one request".to_owned(),
            value: rate,
            unit: "rows/s",
            peer: "sorted COPY into the same tables".to_owned(),
            beside: copied,
            target: Target::AtLeast(0.8),
        },
        Row {
            work: "most memory of the service meanwhile".to_owned(),
            value: memory,
            unit: "MB",
            peer: "limit".to_owned(),
            beside: 40.0,
            target: Target::AtMost(1.0),
        },
    ])
}

/// The most memory that a process has held.
fn peak_megabytes(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// Imports the sales; lines per second.
pub(crate) async fn load(stack: &Stack) -> Result<f64> {
    let retail = stack.direct("retail");
    retail.import("/api/v1/stores/import", STORE).await;
    let began = Instant::now();
    let report = retail.import_body("/api/v1/sales/import", Body::wrap_stream(stream::iter(chunks()))).await;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(report["applied"] == SALES * LINES, "{report}");
    Ok(rate(SALES * LINES, seconds))
}

#[expect(clippy::cast_precision_loss, reason = "a rate is read to three digits")]
pub(crate) fn rate(rows: u64, seconds: f64) -> f64 {
    rows as f64 / seconds
}

fn chunks() -> impl Iterator<Item = std::io::Result<String>> {
    (0..SALES.div_ceil(CHUNK)).map(|chunk| {
        let mut text = String::new();
        if chunk == 0 {
            text.push_str(
                "reference,kind,store_code,register_number,occurred_at,line_no,product_id,sku,product_name,category,\
                 quantity,unit_price_cents,unit_cost_cents\n",
            );
        }
        for sale in chunk * CHUNK..SALES.min((chunk + 1) * CHUNK) {
            for line in 1..=LINES {
                let (minute, product) = (sale % 60, (sale + line) % 500 + 1);
                writeln!(
                    text,
                    "b-{sale},sale,S1,1,2026-01-02T10:{minute:02}:00Z,{line},{product},SKU-{product},\"Product, {product}\",Tools,1,999,500"
                )
                .map_err(std::io::Error::other)?;
            }
        }
        Ok(text)
    })
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
    Ok(rate(SALES * LINES, copied))
}
