//! What the stock reports must find in the demo company: its drift, and what runs out.

use chrono::{Days, Utc};
use serde_json::Value;
use stack::seed::{self, Plan};
use system_tests::Stack;

use super::poll_all;

#[tokio::test]
async fn reconciliation_finds_the_deliberate_drift_and_the_inventory_status_what_runs_out() {
    let stack = Stack::start().await;
    let until = Utc::now().date_naive() - Days::new(2);
    let plan = Plan { days: 14, stores: 3, products: 24, customers: 40, seed: 5, until: Some(until) };
    seed::run(&stack.state(), &plan, &mut |_: &str| ()).await.unwrap();
    poll_all(&stack).await;
    let analyst = stack.api("analyst");
    let rows = async |path: &str| -> Vec<Value> {
        let report = analyst.get_json(&format!("/reporting/api/v1/reports/{path}")).await;
        report["rows"].as_array().unwrap_or_else(|| panic!("{report}")).clone()
    };

    let found = rows("stock_reconciliation").await;
    let of = |kind: &str| found.iter().filter(|row| row["finding"] == kind).collect::<Vec<_>>();
    let drift: Vec<&str> = of("drift").iter().map(|row| row["reference"].as_str().unwrap()).collect();
    let (too_many, lost) =
        (format!("sale-MTL-{}-002", until.format("%Y%m%d")), format!("sale-MTL-{}-lost", until.format("%Y%m%d")));
    assert_eq!(drift.iter().filter(|found| **found != too_many && **found != lost).count(), 0, "{found:?}");
    assert!(drift.contains(&too_many.as_str()) && drift.contains(&lost.as_str()), "{found:?}");
    let imported = of("imported");
    assert_eq!(imported.len(), 1, "{found:?}");
    assert_eq!(imported[0]["documents"], 1, "one imported sale never took its stock");

    let stock = rows("inventory_status").await;
    let of = |status: &str| stock.iter().filter(|row| row["status"] == status).collect::<Vec<_>>();
    let empty = of("out of stock");
    assert!(empty.iter().any(|row| row["sku"] == "SKU-00002" && row["location"] == "MTL"), "{empty:?}");
    for row in stock.iter().filter(|row| row["sold"].as_i64().is_some_and(|sold| sold > 0)) {
        let (on_hand, sold) = (row["on_hand"].as_i64().unwrap(), row["sold"].as_i64().unwrap());
        let wanted = i32::try_from(on_hand * 28).map(f64::from).unwrap() / i32::try_from(sold).map(f64::from).unwrap();
        let cover = row["days_of_cover"].as_f64().unwrap_or_else(|| panic!("{row}"));
        assert!((cover - wanted).abs() < 0.05, "{row}: {wanted}");
    }
}
