//! A company with a history, last night's revisions, live traffic, a day that is not over and one that was restated.

use chrono::{Days, NaiveDate, Utc};
use serde_json::json;
use stack::seed::{self, Plan};
use stack::simulate::{self, Traffic};
use system_tests::Stack;
use tokio::sync::OnceCell;

use crate::main_job::{follow, poll_all};

/// Days of history: more than a week, so that a day can be held against the week before.
const DAYS: u32 = 10;
/// What is published for every day; the whole catalogue is for the last one only.
const EVERY_DAY: [&str; 3] = ["daily_sales", "store_performance", "product_performance"];

/// The system, with its history loaded once for all tests of this module; none of them changes it.
pub(super) async fn shared() -> &'static Stack {
    static SHARED: OnceCell<Stack> = OnceCell::const_new();
    SHARED.get_or_init(load).await
}

async fn load() -> Stack {
    let stack = Stack::start().await;
    let state = stack.state();
    let plan = Plan { days: DAYS, stores: 3, products: 24, customers: 40, seed: 5, until: None };
    seed::run(&state, &plan, &mut |_| ()).await.unwrap();
    shop(&stack, 1).await;
    poll_all(&stack).await;
    let zone: base::Tz = state.time_zone.parse().unwrap();
    let today = Utc::now().with_timezone(&zone).date_naive();
    let last = today - Days::new(1);
    take_back(&stack, last).await;
    poll_all(&stack).await;
    backfill(&stack, last - Days::new(u64::from(DAYS) - 1), last, &EVERY_DAY).await;
    let nightly = json!({"business_day": last, "wait": false});
    finish(&stack, "/jobs/nightly/runs", &nightly).await;

    // Today is not over, so it is provisional; then more is sold, and it is said again.
    backfill(&stack, today, today, &["daily_sales"]).await;
    shop(&stack, 2).await;
    poll_all(&stack).await;
    backfill(&stack, today, today, &["daily_sales"]).await;

    let analyst = stack.api("analyst");
    for format in ["json", "json", "csv", "parquet", "xlsx"] {
        analyst.get(&format!("/reporting/api/v1/reports/sales_by_week?format={format}")).await.expect(200);
    }
    analyst.get("/reporting/api/v1/reports/nothing_of_the_kind").await.expect(404);
    stack
}

/// Takes a piece of the day's first sale back on that day: whether the history has a return on it hangs on the date.
async fn take_back(stack: &Stack, day: NaiveDate) {
    let (sale, product, at): (i64, i64, chrono::DateTime<Utc>) = sqlx::query_as(
        "SELECT s.id, l.product_id, s.occurred_at FROM sales s JOIN sale_lines l ON l.sale_id = s.id
          WHERE s.business_day = $1 AND s.kind = 'sale' AND s.status = 'completed' AND l.quantity > 0
            AND NOT EXISTS (SELECT FROM sales r WHERE r.original_sale_id = s.id)
          ORDER BY s.id, l.line_no LIMIT 1",
    )
    .bind(day)
    .fetch_one(&stack.pool("retail_db").await)
    .await
    .unwrap();
    let back = json!({"occurred_at": at, "lines": [{"product_id": product, "quantity": 1}]});
    stack.api("pos").post_json(&format!("/retail/api/v1/sales/{sale}/returns"), &back, 201).await;
}

/// Shoppers and tills for two seconds: carts, orders and sales of today.
async fn shop(stack: &Stack, seed: u64) {
    let traffic =
        Traffic { rate: 20.0, length: std::time::Duration::from_secs(2), users: 4, seed, ..Traffic::default() };
    simulate::run(&stack.state(), &traffic, &mut |_| ()).await.unwrap();
}

async fn backfill(stack: &Stack, from: NaiveDate, to: NaiveDate, reports: &[&str]) {
    finish(stack, "/jobs/backfill/backfill", &json!({"from": from, "to": to, "reports": reports})).await;
}

async fn finish(stack: &Stack, path: &str, body: &serde_json::Value) {
    let run = stack.api("operator").post_json(&format!("/reporting/api/v1{path}"), body, 202).await;
    let run = follow(stack, &run).await;
    assert_eq!(run["status"], "succeeded", "{run}");
}
