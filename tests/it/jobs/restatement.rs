//! What is published of a day that changes afterwards: a new revision, the old one as it was, and the difference.

use chrono::{DateTime, Days, NaiveDate, TimeZone, Utc};
use serde_json::{Value, json};
use system_tests::{Api, Browser, Stack, eventually};

use super::desk::{desk, jobs_file, run_job};
use crate::company::{Company, toronto};

/// A day that ended everywhere long ago, and noon of it in the store.
pub(super) fn past_day(back: u64) -> (NaiveDate, DateTime<Utc>) {
    let day = Utc::now().with_timezone(&toronto()).date_naive() - Days::new(back);
    (day, toronto().from_local_datetime(&day.and_hms_opt(12, 0, 0).unwrap()).unwrap().to_utc())
}

async fn publish(stack: &Stack, day: NaiveDate) {
    let run = run_job(stack, "nightly", &json!({ "business_day": day, "wait": false })).await;
    assert_eq!(run["outcome"]["failed"], json!({}), "{run}");
}

pub(super) async fn revisions(stack: &Stack, report: &str, day: NaiveDate) -> Vec<Value> {
    let path = format!("/reporting/api/v1/reports/{report}/revisions?business_day={day}");
    stack.api("analyst").get_json(&path).await["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_return_makes_revision_two_and_leaves_revision_one_byte_for_byte() {
    let file = jobs_file("");
    let stack = desk(&file).start().await;
    let company = Company::found(&stack, 100).await;
    let (day, noon) = past_day(4);
    let (after, _) = past_day(3);
    let sale = company.sell(&stack.api("pos"), noon, 3, 7, 5).await;
    publish(&stack, day).await;
    publish(&stack, after).await;
    let analyst = stack.api("analyst");
    let first = async |format: &str| {
        let path = format!("/reporting/api/v1/reports/store_performance?business_day={day}&revision=1&format={format}");
        analyst.get(&path).await.expect(200).body
    };
    let formats = ["csv", "parquet", "xlsx", "json"];
    let mut before = Vec::new();
    for format in formats {
        before.push(first(format).await);
    }
    let file = stack.state().exports.join(day.to_string()).join("store_performance-r1.parquet");
    let exported = std::fs::read(&file).unwrap();

    // Two of the three lamps come back, sent long after their day was published.
    let back = json!({ "occurred_at": noon, "lines": [{ "product_id": company.lamp, "quantity": 2 }] });
    stack.api("pos").post_json(&format!("/retail/api/v1/sales/{}/returns", sale["id"]), &back, 201).await;
    run_job(&stack, "poll-retail", &json!({})).await;
    run_job(&stack, "restate", &json!({})).await;

    let found = revisions(&stack, "store_performance", day).await;
    assert_eq!(found.iter().map(|it| it["revision"].clone()).collect::<Vec<_>>(), [json!(2), json!(1)]);
    assert_eq!(found[0]["state"], "final");
    let path = format!("/reporting/api/v1/reports/store_performance/revisions/diff?business_day={day}");
    let diff = analyst.get(&path).await.expect(200);
    let text = diff.text();
    let diff = diff.json();
    assert_eq!(diff["counts"], json!({ "added": 0, "removed": 0, "changed": 1, "unchanged": 0 }), "{diff}");
    assert_eq!(diff["changed"][0]["key"], json!({ "store": "TOR1" }));
    let changes = diff["changed"][0]["changes"].as_array().unwrap();
    let change = |column: &str| changes.iter().find(|it| it["column"] == column).unwrap_or_else(|| panic!("{diff}"));
    assert_eq!(change("pieces"), &json!({ "column": "pieces", "from": 10, "to": 8, "by": -2 }));
    // 2 of 3 lamps at 12.50 less their share of the five cents: 24.97 back. Two decimals, also in the text.
    let revenue = change("net_revenue");
    assert_eq!((&revenue["from"], &revenue["to"]), (&json!(44.38), &json!(19.41)), "{diff}");
    assert!(text.contains(r#""by":-24.97"#), "{text}");
    let cause = diff["causes"][0]["cause"].as_array().unwrap();
    let lines = cause.iter().find(|it| it["dataset"] == "sale_lines").unwrap_or_else(|| panic!("{diff}"));
    assert_eq!((&lines["source"], &lines["added"]), (&json!("retail"), &json!(1)), "{diff}");

    // The next day's figures compare with that day, so they are published again too; its own rows did not change.
    let next = revisions(&stack, "store_performance", after).await;
    assert_eq!(next.len(), 2, "{next:?}");
    assert_eq!(revisions(&stack, "daily_sales", after).await.len(), 1);

    for (format, before) in formats.iter().zip(before) {
        assert!(first(format).await == before, "revision 1 as {format} has changed");
    }
    assert!(std::fs::read(&file).unwrap() == exported, "the export file of revision 1 has changed");
    assert!(file.with_file_name("store_performance-r2.parquet").exists());
    run_job(&stack, "restate", &json!({})).await;
    assert_eq!(revisions(&stack, "store_performance", day).await.len(), 2, "nothing new, no revision");

    wrong_differences_are_refused(&analyst, day).await;
}

async fn wrong_differences_are_refused(analyst: &Api, day: NaiveDate) {
    for (query, status) in [
        ("business_day=2026-01-01", 404),
        (&*format!("business_day={day}&from=2&to=2"), 400),
        (&*format!("business_day={day}&to=1"), 404),
        (&*format!("business_day={day}&to={}", i32::MIN), 400),
        (&*format!("business_day={day}&from=1&to=9"), 404),
        ("", 400),
    ] {
        let path = format!("/reporting/api/v1/reports/store_performance/revisions/diff?{query}");
        let reply = analyst.get(&path).await.expect(status);
        assert!(reply.problem().is_some(), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_sale_of_a_year_ago_restates_the_day_that_is_held_against_it() {
    let file = jobs_file("");
    let stack = desk(&file).start().await;
    let company = Company::found(&stack, 100).await;
    let (day, noon) = past_day(4);
    let till = stack.api("pos");
    company.sell(&till, noon, 3, 7, 5).await;
    publish(&stack, day).await;

    // A lamp and a bulb on the same weekday 52 weeks before.
    company.sell(&till, past_day(4 + 364).1, 1, 1, 0).await;
    run_job(&stack, "poll-retail", &json!({})).await;
    run_job(&stack, "restate", &json!({})).await;
    assert_eq!(revisions(&stack, "store_performance", day).await.len(), 2);
    let path = format!("/reporting/api/v1/reports/store_performance/revisions/diff?business_day={day}");
    let diff = stack.api("analyst").get_json(&path).await;
    let changes = diff["changed"][0]["changes"].as_array().unwrap();
    let change = |column: &str| changes.iter().find(|it| it["column"] == column);
    let year_ago = json!({ "column": "year_ago_revenue", "from": 0.0, "to": 13.49, "by": 13.49 });
    assert_eq!(change("year_ago_revenue"), Some(&year_ago), "{diff}");
    assert_eq!(change("net_revenue"), None, "{diff}");
    let cause = diff["causes"][0]["cause"].as_array().unwrap();
    let lines = cause.iter().find(|it| it["dataset"] == "sale_lines").unwrap_or_else(|| panic!("{diff}"));
    assert_eq!((&lines["added"], &lines["source"]), (&json!(2), &json!("retail")), "{diff}");
    // What is held against nothing has no reason to be told again.
    assert_eq!(revisions(&stack, "daily_sales", day).await.len(), 1);
}

/// A lamp of a sale comes back, told long after its day was published.
async fn return_a_lamp(stack: &Stack, company: &Company, sale: &Value, at: DateTime<Utc>) {
    let back = json!({ "occurred_at": at, "lines": [{ "product_id": company.lamp, "quantity": 1 }] });
    stack.api("pos").post_json(&format!("/retail/api/v1/sales/{}/returns", sale["id"]), &back, 201).await;
    run_job(stack, "poll-retail", &json!({})).await;
    run_job(stack, "poll-inventory", &json!({})).await;
}

/// The kinds and subjects of what is wrong now.
async fn open_incidents(stack: &Stack) -> Vec<(String, String)> {
    run_job(stack, "watch", &json!({})).await;
    let open = stack.api("analyst").get_all("/reporting/api/v1/jobs/incidents?open=true").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    open.iter().map(|it| (text(&it["kind"]), text(&it["subject"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_beyond_the_window_is_marked_until_one_call_restates_it_and_a_new_name_is_no_news() {
    let file = jobs_file("[[job]]\nname = \"restate\"\nwith = { window_days = 2 }\n");
    let stack = desk(&file).start().await;
    let company = Company::found(&stack, 100).await;
    let (day, noon) = past_day(4);
    let sale = company.sell(&stack.api("pos"), noon, 5, 7, 0).await;
    publish(&stack, day).await;

    // A store has another name: a label, and no part of what was published for the day.
    let renamed = "code,name,city,time_zone\nTOR1,Union Station,Toronto,America/Toronto\n";
    stack.api("backoffice").import("/retail/api/v1/stores/import", renamed).await;
    run_job(&stack, "poll-retail", &json!({})).await;
    let again = run_job(&stack, "backfill", &json!({ "from": day, "to": day })).await;
    assert_eq!(again["outcome"]["revisions"], 0, "{again}");
    run_job(&stack, "restate", &json!({})).await;
    assert_eq!(open_incidents(&stack).await, []);

    // The figures stay what they were, and say that they are outdated, since when and by what.
    return_a_lamp(&stack, &company, &sale, noon).await;
    let marks = run_job(&stack, "restate", &json!({})).await["outcome"]["outdated"].as_u64().unwrap();
    assert!(marks > 10, "{marks}");
    assert_eq!(run_job(&stack, "restate", &json!({})).await["outcome"]["outdated"], 0, "what is marked is no news");
    let found = revisions(&stack, "store_performance", day).await;
    assert_eq!((found.len(), &found[0]["state"]), (1, &json!("final")), "{found:?}");
    let late = json!([{ "source": "retail", "dataset": "sale_lines", "added": 1, "changed": 0, "removed": 0 }]);
    assert_eq!(found[0]["outdated"]["by"], late, "{found:?}");
    let analyst = stack.api("analyst");
    let answer =
        analyst.get(&format!("/reporting/api/v1/reports/store_performance?business_day={day}")).await.expect(200);
    assert_eq!(answer.json()["outdated"], found[0]["outdated"]);
    let since: DateTime<Utc> = found[0]["outdated"]["since"].as_str().unwrap().parse().unwrap();
    assert_eq!(answer.header("tributary-outdated").unwrap().parse::<DateTime<Utc>>().unwrap(), since);
    assert_eq!(revisions(&stack, "reference_check", day).await[0]["outdated"]["by"], late);
    assert!(open_incidents(&stack).await.contains(&("outdated".to_owned(), "retail".to_owned())));

    // By the API: a new revision, whose cause names the set with the new name too; what is the same is confirmed.
    run_job(&stack, "restate", &json!({ "outdated": true })).await;
    let found = revisions(&stack, "store_performance", day).await;
    assert_eq!((found.len(), &found[0]["outdated"]), (2, &Value::Null), "{found:?}");
    let cause = found[0]["cause"].as_array().unwrap();
    let datasets: Vec<&str> = cause.iter().map(|it| it["dataset"].as_str().unwrap()).collect();
    assert_eq!(datasets, ["sale_lines", "stores"], "{cause:?}");
    let found = revisions(&stack, "reference_check", day).await;
    assert_eq!((found.len(), &found[0]["outdated"]), (1, &Value::Null), "{found:?}");
    assert_eq!(open_incidents(&stack).await, []);

    // By the console.
    return_a_lamp(&stack, &company, &sale, noon).await;
    run_job(&stack, "restate", &json!({})).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/reporting/", stack.gateway())).await;
    browser.write("#key", &stack.state().keys["operator"]).await;
    browser.click("button.primary").await;
    browser.sees("outdated").await;
    browser.click("form[action='/reporting/jobs/restate/runs'] button").await;
    eventually("a third revision", async || revisions(&stack, "store_performance", day).await.len() == 3).await;

    // By the command line.
    return_a_lamp(&stack, &company, &sale, noon).await;
    let output = stack.cli("reporting", &["restate"]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("1 days before the window"), "{said}");
    // Long after, when the snapshots of then have expired and with them what they changed.
    sqlx::query("DELETE FROM sync.changed_day").execute(&stack.pool("reporting_db").await).await.unwrap();
    let output = stack.cli("reporting", &["restate", "--outdated"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = revisions(&stack, "store_performance", day).await;
    assert_eq!((found.len(), &found[0]["outdated"]), (4, &Value::Null), "{found:?}");
}
