//! A full read of a million sale lines from the change feed, page by page, beside a bare `COPY (same query) TO STDOUT`.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures_util::TryStreamExt as _;
use reqwest::Method;
use sqlx::PgPool;
use sqlx::postgres::PgPoolCopyExt as _;
use system_tests::bench::{Row, Target};
use system_tests::{Api, Stack};

use crate::import;

const PAGE: &str = "250000";

/// Rows per second.
pub(crate) async fn run() -> Result<Vec<Row>> {
    let stack = Stack::builder().durable().only(&["retail"]).start().await;
    import::load(&stack).await?;
    let database = stack.pool("retail_db").await;
    sqlx::query("VACUUM ANALYZE sales, sale_lines").execute(&database).await?;
    // In turn, and each once before it counts, so that both find the same pages in memory.
    copy(&database).await?;
    let copied = copy(&database).await?;
    let retail = stack.direct("retail");
    read(&retail).await?;
    let fed = read(&retail).await?;
    Ok(vec![Row::new(
        "change feed: 1.05 M sale lines, 22 columns, CSV",
        (fed, "rows/s"),
        ("COPY (same query) TO STDOUT", copied),
        Target::AtLeast(0.5),
    )])
}

/// Every page of the dataset; rows per second.
async fn read(retail: &Api) -> Result<f64> {
    let began = Instant::now();
    let (mut after, mut rows) = (None::<String>, 0_u64);
    loop {
        let mut call = retail.call(Method::GET, "/api/v1/changes/sale_lines").header("accept", "text/csv");
        call = call.query(&[("limit", PAGE)]);
        if let Some(after) = &after {
            call = call.query(&[("after", after)]);
        }
        let page = call.send().await.expect(200);
        let announced: u64 = page.header("tributary-rows").context("a page tells its rows")?.parse()?;
        let lines = page.body.iter().filter(|byte| **byte == b'\n').count();
        ensure!(u64::try_from(lines)? == announced + 1, "{lines} lines for {announced} rows and a header");
        rows += announced;
        match page.header("tributary-next") {
            Some(next) => after = Some(next.to_owned()),
            None => return Ok(import::rate(rows, began.elapsed().as_secs_f64())),
        }
    }
}

/// The dataset's query, all of it at once; rows per second.
async fn copy(database: &PgPool) -> Result<f64> {
    let lines = retail::DATASETS.iter().find(|dataset| dataset.name == "sale_lines").context("a dataset")?;
    let query = lines.copy();
    let began = Instant::now();
    let rows = database.copy_out_raw(&query).await?.try_fold(0_u64, |rows, _| async move { Ok(rows + 1) }).await?;
    Ok(import::rate(rows, began.elapsed().as_secs_f64()))
}
