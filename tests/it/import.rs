//! Imports. Here a million lines in one request: the service's memory does not grow with the body, and a repeat changes
//! nothing.

mod masters;
mod offline;
mod property;
mod refunds;
mod returns;
mod running;
mod sales;

use std::fmt::Write as _;

use futures_util::stream;
use reqwest::Body;
use serde_json::Value;
use system_tests::{Api, Stack};

/// Lines per imported sale, one of them odd, so that batches and documents end at different places.
const LINES: u64 = 3;
/// Sales written into one chunk of the body.
const CHUNK: u64 = 500;
/// Bytes by which the peak may differ between a short body and a long one: allocators keep some slack.
const SLACK: u64 = 24 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_flat_however_long_the_body() {
    let sales = system_tests::campaign(40_000, 350_000);
    let stack = Stack::builder().only(&["retail"]).start().await;
    let retail = stack.direct("retail");
    retail.import("/api/v1/stores/import", "code,name,city,time_zone\nS1,First,Berlin,Europe/Berlin\n").await;
    let pid = stack.state().services["retail"].pid;

    // The first body warms pools, caches and the allocator; it is long enough to fill every buffer once.
    let warm = import(&retail, "warm", 20_000).await;
    assert_eq!(warm["applied"], 20_000 * LINES);
    let before = peak(pid);
    let long = import(&retail, "long", sales).await;
    assert_eq!((&long["received"], &long["applied"]), (&(sales * LINES).into(), &(sales * LINES).into()), "{long}");
    assert_eq!(long["complete"], true);
    let after = peak(pid);
    assert!(after <= before + SLACK, "the peak grew from {before} to {after} bytes over {sales} sales");

    let again = import(&retail, "warm", 20_000).await;
    assert_eq!((&again["unchanged"], &again["applied"]), (&(20_000 * LINES).into(), &0.into()), "{again}");
}

/// Streams `sales` sales whose references begin with `prefix`; the report.
async fn import(retail: &Api, prefix: &'static str, sales: u64) -> Value {
    let header = "reference,kind,store_code,register_number,occurred_at,line_no,product_id,sku,product_name,category,\
                  quantity,unit_price_cents,unit_cost_cents\n";
    let chunks = (0..sales.div_ceil(CHUNK)).map(move |chunk| {
        let mut text = if chunk == 0 { header.to_owned() } else { String::new() };
        for sale in chunk * CHUNK..sales.min((chunk + 1) * CHUNK) {
            for line in 1..=LINES {
                let minute = sale % 60;
                writeln!(
                    text,
                    "{prefix}-{sale},sale,S1,1,2026-01-02T10:{minute:02}:00Z,{line},{line},SKU-{line},\"Product, {line}\",Tools,1,999,500"
                )
                .unwrap();
            }
        }
        Ok::<_, std::io::Error>(text)
    });
    let body = Body::wrap_stream(stream::iter(chunks));
    retail.import_body("/api/v1/sales/import", body).await
}

/// The most memory that a process has held, in bytes.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Rows of a report: received, applied, unchanged, refused.
pub(crate) fn counts(report: &Value) -> [i64; 4] {
    ["received", "applied", "unchanged", "refused"]
        .map(|name| report[name].as_i64().unwrap_or_else(|| panic!("{report}")))
}
