//! A million sale lines in one request, beside a bare COPY of the same rows into a table without keys or triggers.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Result, ensure};
use futures_util::{TryStreamExt as _, stream};
use reqwest::{Body, Method};
use sqlx::PgPool;
use sqlx::postgres::PgPoolCopyExt as _;
use system_tests::Stack;
use system_tests::bench::{Row, Target};

const SALES: u64 = 350_000;
const LINES: u64 = 3;
/// Sales written into one chunk of the body.
const CHUNK: u64 = 500;

/// Rows per second.
pub(crate) async fn run() -> Result<Vec<Row>> {
    let stack = Stack::builder().durable().only(&["retail"]).start().await;
    let rate = load(&stack).await?;
    let copied = copy(&stack.pool("retail_db").await).await?;
    Ok(vec![Row {
        work: "import of 1.05 M sale lines in one request".to_owned(),
        value: rate,
        unit: "rows/s",
        peer: "bare COPY of the lines".to_owned(),
        beside: copied,
        target: Target::Told,
    }])
}

/// Imports the sales; lines per second.
pub(crate) async fn load(stack: &Stack) -> Result<f64> {
    let retail = stack.direct("retail");
    retail.import("/api/v1/stores/import", "code,name,city,time_zone\nS1,First,Berlin,Europe/Berlin\n").await;
    let call = retail.call(Method::POST, "/api/v1/sales/import").header("content-type", "text/csv");
    let began = Instant::now();
    let report = call.body(Body::wrap_stream(stream::iter(chunks()))).send().await.expect(200).json();
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

/// Copies the lines out and into a table of their columns; lines per second on the way in.
async fn copy(retail: &PgPool) -> Result<f64> {
    let columns = "sale_id, line_no, product_id, sku, product_name, category, quantity, unit_price_cents, \
                   unit_cost_cents, discount_cents";
    let rows = retail.copy_out_raw(&format!("COPY sale_lines ({columns}) TO STDOUT")).await?;
    let rows: Vec<u8> = rows
        .try_fold(Vec::new(), |mut all, row| async move {
            all.extend_from_slice(&row);
            Ok(all)
        })
        .await?;
    sqlx::query("CREATE TABLE bare_lines (sale_id bigint, line_no integer, product_id bigint, sku text, product_name text, \
                 category text, quantity bigint, unit_price_cents bigint, unit_cost_cents bigint, discount_cents bigint)")
        .execute(retail)
        .await?;
    let began = Instant::now();
    let mut into = retail.copy_in_raw(&format!("COPY bare_lines ({columns}) FROM STDIN")).await?;
    into.send(rows).await?;
    let copied = into.finish().await?;
    Ok(rate(copied, began.elapsed().as_secs_f64()))
}
