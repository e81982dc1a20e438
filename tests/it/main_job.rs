//! The main job: a sale at a till becomes last night's report, to the cent, in every form that people read.

use chrono::{DateTime, Days, NaiveDate, TimeZone, Utc};
use serde_json::json;
use system_tests::{Stack, duckdb, eventually, python};

use system_tests::runs::poll;
pub(crate) use system_tests::runs::{follow, nightly, poll_all};

use crate::company::{Company, toronto};

mod bad_input;
mod currency;
mod faults;
mod findings;

const REPORTS: [&str; 2] = ["store_performance", "product_performance"];

/// Noon of `day` in the store.
fn noon(day: NaiveDate) -> DateTime<Utc> {
    toronto().from_local_datetime(&day.and_hms_opt(12, 0, 0).unwrap()).unwrap().to_utc()
}

fn yesterday() -> NaiveDate {
    Utc::now().with_timezone(&toronto()).date_naive() - Days::new(1)
}

/// Type and values of the column in a Parquet file, as pyarrow reads them.
fn net_revenue(stack: &Stack, parquet: &[u8]) -> String {
    let file = stack.folder().join("report.parquet");
    std::fs::write(&file, parquet).unwrap();
    let program = "import sys, pyarrow.parquet as p\nt = p.read_table(sys.argv[1])\n\
                   print(t.schema.field('net_revenue').type, t['net_revenue'].to_pylist())";
    python(program, &[&file.to_string_lossy()]).trim().to_owned()
}

#[tokio::test]
async fn a_sale_reaches_every_form_of_the_report_to_the_cent() {
    let stack = Stack::start().await;
    let company = Company::found(&stack, 100).await;
    let day = yesterday();
    // 3 lamps at 12.50 less 0.05, and 7 bulbs at 0.99: 37.45 + 6.93.
    let sale = company.sell(&stack.api("pos"), noon(day), 3, 7, 5).await;
    assert_eq!(sale["total_cents"], 4438);
    let stock =
        stack.api("backoffice").get_all(&format!("/inventory/api/v1/stock?location_id={}", company.shop_id)).await;
    let on_hand = |product: i64| stock.iter().find(|row| row["product_id"] == product).unwrap()["on_hand"].clone();
    assert_eq!((on_hand(company.lamp), on_hand(company.bulb)), (json!(97), json!(93)));

    poll_all(&stack).await;
    nightly(&stack, day).await;

    let analyst = stack.api("analyst");
    let path = format!("/reporting/api/v1/reports/store_performance?from={day}&to={day}");
    let report = analyst.get_json(&path).await;
    assert_eq!(report["row_count"], 1, "{report}");
    assert_eq!(report["currency"].as_str().map(str::len), Some(3), "{report}");
    let body = analyst.get(&path).await.expect(200).text();
    assert!(body.contains("44.38"), "exact in JSON: {body}");

    let csv = analyst.get(&format!("{path}&format=csv")).await.expect(200);
    assert_eq!(csv.media_type(), "text/csv");
    assert!(csv.header("tributary-snapshot").is_some());
    assert_eq!(csv.headers.get_all("x-correlation-id").iter().count(), 1, "service and gateway tell the same id once");
    let mut rows = csv::Reader::from_reader(csv.body.as_slice());
    let column = rows.headers().unwrap().iter().position(|name| name == "net_revenue").expect("net_revenue");
    let records: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 1);
    assert_eq!(&records[0][column], "44.38");

    let parquet = analyst.get(&format!("{path}&format=parquet")).await.expect(200);
    assert_eq!(net_revenue(&stack, &parquet.body), "decimal128(18, 2) [Decimal('44.38')]");

    let published: Vec<(String, NaiveDate, i32)> =
        sqlx::query_as("SELECT net_revenue::text, business_day, revision FROM reports.store_performance")
            .fetch_all(&stack.pool_as("reporting_db", "grafana_reader").await)
            .await
            .unwrap();
    assert_eq!(published, [("44.38".to_owned(), day, 1)]);

    let exports = stack.state().exports.join(day.to_string());
    for report in REPORTS {
        for format in ["csv", "parquet", "xlsx"] {
            let file = exports.join(format!("{report}-r1.{format}"));
            assert!(file.metadata().is_ok_and(|file| file.len() > 0), "{}", file.display());
        }
    }
}

#[tokio::test]
async fn a_stranger_with_duckdb_finds_the_rows_and_cents_of_the_sources() {
    let stack = Stack::start().await;
    let company = Company::found(&stack, 100).await;
    let till = stack.api("pos");
    let day = yesterday();
    company.sell(&till, noon(day), 1, 1, 0).await;
    company.sell(&till, noon(day - Days::new(1)), 2, 3, 10).await;
    poll_all(&stack).await;
    // A second wave goes beyond the range of the first in every number.
    company.sell(&till, noon(day), 40, 50, 20_000).await;
    poll_all(&stack).await;

    let lines: (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*), sum(l.quantity)::bigint, sum(l.quantity * l.unit_price_cents - l.discount_cents)::bigint \
         FROM sale_lines l JOIN sales s ON s.id = l.sale_id",
    )
    .fetch_one(&stack.pool("retail_db").await)
    .await
    .unwrap();
    let seen = duckdb(&stack, "SELECT count(*), sum(quantity)::BIGINT, sum(net_cents)::BIGINT FROM sale_lines");
    assert_eq!(seen, [[json!(lines.0), json!(lines.1), json!(lines.2)]]);
    let beyond = duckdb(&stack, "SELECT quantity, discount_cents FROM sale_lines WHERE quantity > 3 ORDER BY quantity");
    assert_eq!(beyond, [[json!(40), json!(20_000)], [json!(50), json!(0)]]);

    let moved: (i64, i64) = sqlx::query_as("SELECT count(*), sum(quantity)::bigint FROM stock_movements")
        .fetch_one(&stack.pool("inventory_db").await)
        .await
        .unwrap();
    let seen = duckdb(&stack, "SELECT count(*), sum(quantity)::BIGINT FROM stock_movements");
    assert_eq!(seen, [[json!(moved.0), json!(moved.1)]]);
    let stock = duckdb(&stack, "SELECT sum(on_hand)::BIGINT FROM stock");
    assert_eq!(stock, [[json!(400 - 1 - 1 - 2 - 3 - 40 - 50)]]);
    let stores = duckdb(&stack, "SELECT code, time_zone FROM stores");
    assert_eq!(stores, [[json!("TOR1"), json!("America/Toronto")]]);
}

#[tokio::test]
async fn a_report_without_rows_keeps_its_header_and_schema() {
    let stack = Stack::start().await;
    poll_all(&stack).await;
    let analyst = stack.api("analyst");
    for report in REPORTS {
        let path = format!("/reporting/api/v1/reports/{report}?from=2026-01-01&to=2026-01-02");
        let json = analyst.get_json(&path).await;
        assert_eq!((json["row_count"].clone(), json["rows"].clone()), (json!(0), json!([])));
        let names: Vec<&str> =
            json["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
        let csv = analyst.get(&format!("{path}&format=csv")).await.expect(200).text();
        assert_eq!(csv.trim_end(), names.join(","), "{report}");
        let parquet = analyst.get(&format!("{path}&format=parquet")).await.expect(200);
        let file = stack.folder().join(format!("{report}.parquet"));
        std::fs::write(&file, &parquet.body).unwrap();
        let read = python(
            "import sys, pyarrow.parquet as p\nt = p.read_table(sys.argv[1])\nprint(t.num_rows, ','.join(t.column_names))",
            &[&file.to_string_lossy()],
        );
        assert_eq!(read.trim(), format!("0 {}", names.join(",")));
    }
}

#[tokio::test]
async fn a_poll_with_nothing_new_makes_no_snapshot_and_moves_complete_through() {
    let stack = Stack::start().await;
    Company::found(&stack, 10).await;
    poll_all(&stack).await;
    let snapshots = || async { duckdb(&stack, "SELECT count(*), max(snapshot_id) FROM ducklake_snapshots('lake')") };
    let complete_through = || async {
        let sources = stack.api("analyst").get_json("/reporting/api/v1/sources").await;
        let sources = sources.as_array().or(sources["items"].as_array()).expect("a list of sources").clone();
        let retail = sources.into_iter().find(|source| source["name"] == "retail").expect("retail");
        retail["complete_through"].as_str().expect("a moment").parse::<DateTime<Utc>>().unwrap()
    };
    let (count, moment) = (snapshots().await, complete_through().await);
    poll(&stack, "retail").await;
    assert_eq!(snapshots().await, count);
    eventually("complete_through to move", async || complete_through().await > moment).await;
}
