//! What is published of a day that changes afterwards: a new revision, the old one as it was, and the difference.

use chrono::{DateTime, Days, NaiveDate, TimeZone, Utc};
use chrono_tz::America::Toronto;
use serde_json::{Value, json};
use system_tests::Stack;

use super::desk::{desk, jobs_file, run_job};
use crate::company::Company;

/// A day that ended everywhere long ago, and noon of it in the store.
pub(super) fn past_day(back: u64) -> (NaiveDate, DateTime<Utc>) {
    let day = Utc::now().with_timezone(&Toronto).date_naive() - Days::new(back);
    (day, Toronto.from_local_datetime(&day.and_hms_opt(12, 0, 0).unwrap()).unwrap().to_utc())
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

    // Two of the three lamps come back, told long after their day was published.
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

    // The next day's figures compare with that day, so they are told again too; its own rows did not change.
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
