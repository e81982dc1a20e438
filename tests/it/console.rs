//! The console as people meet it: in a real browser, through the gateway.

mod figures;
mod looks;
mod operator;
mod plain;
mod refusals;
mod sources;

use chrono::{DateTime, Days, NaiveDate, TimeZone, Utc};
use serde_json::{Value, json};
use system_tests::{Browser, Stack, wait_until};

use crate::company::{Company, toronto};

/// Noon of a day in the store, so many days ago: it has ended everywhere.
fn noon(back: u64) -> (NaiveDate, DateTime<Utc>) {
    let day = Utc::now().with_timezone(&toronto()).date_naive() - Days::new(back);
    (day, toronto().from_local_datetime(&day.and_hms_opt(12, 0, 0).unwrap()).unwrap().to_utc())
}

/// Runs a job to its successful end.
async fn run_job(stack: &Stack, job: &str, arguments: &Value) {
    let api = stack.api("operator");
    let run = api.post_json(&format!("/reporting/api/v1/jobs/{job}/runs"), arguments, 202).await;
    let path = format!("/reporting/api/v1/jobs/runs/{}", run["id"]);
    let run = wait_until("the run to end", std::time::Duration::from_secs(120), async || {
        let run = api.get_json(&path).await;
        (!run["finished_at"].is_null()).then_some(run)
    })
    .await;
    assert_eq!(run["status"], "succeeded", "{run}");
}

/// Reads every source.
async fn poll_all(stack: &Stack) {
    for source in ["inventory", "ecommerce", "retail"] {
        run_job(stack, &format!("poll-{source}"), &json!({})).await;
    }
}

/// A company that sold on the two days before yesterday, and had the later one published.
async fn open_shop() -> (Stack, Company) {
    let stack = Stack::start().await;
    let company = Company::found(&stack, 500).await;
    let till = stack.api("pos");
    company.sell(&till, noon(3).1, 2, 4, 0).await;
    company.sell(&till, noon(2).1, 3, 7, 5).await;
    poll_all(&stack).await;
    run_job(&stack, "nightly", &json!({"business_day": noon(2).0, "wait": false})).await;
    (stack, company)
}

/// URL of a page.
fn page(stack: &Stack, path: &str) -> String {
    format!("{}/reporting{path}", stack.gateway())
}

/// A browser in which a consumer has signed in.
async fn signed_in(stack: &Stack, consumer: &str) -> Browser {
    let browser = Browser::start().await;
    browser.open(&page(stack, "/")).await;
    browser.write("#key", &stack.state().keys[consumer]).await;
    browser.click("button.primary").await;
    browser.sees("Last night").await;
    browser
}

/// The cells of a column of the rows' table, as shown.
async fn column(browser: &Browser, title: &str) -> Vec<String> {
    let script = format!(
        "const heads = [...document.querySelectorAll('.rows thead th')].map(it => it.innerText.trim());
         const at = heads.findIndex(it => it.startsWith({}));
         return [...document.querySelectorAll('.rows tbody tr')].map(row => row.children[at].innerText.trim());",
        json!(title)
    );
    serde_json::from_value(browser.run(&script).await).unwrap()
}
