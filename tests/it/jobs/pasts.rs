//! A source whose database went back: an incident says what became another, and a dataset that lost too much stops alone.

use serde_json::{Value, json};
use sqlx::PgPool;
use system_tests::Stack;

use super::desk::{desk, jobs_file, poll_all, run_job};
use super::restatement::past_day;
use crate::company::{Company, created};

/// The incidents of a kind.
async fn incidents(stack: &Stack, kind: &str) -> Vec<Value> {
    run_job(stack, "watch", &json!({})).await;
    let all = stack.api("analyst").get_all("/reporting/api/v1/jobs/incidents").await;
    all.into_iter().filter(|it| it["kind"] == kind).collect()
}

/// Statements that the database's triggers do not see.
async fn past_the_triggers(db: &PgPool, statements: &str) {
    let statements = format!("BEGIN; SET LOCAL session_replication_role = replica; {statements}; COMMIT");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(db).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_went_back_is_an_incident_and_holds_one_dataset_back() {
    let file = jobs_file("");
    let stack = desk(&file).start().await;
    let company = Company::found(&stack, 50).await;
    let office = stack.api("backoffice");
    for number in 2..=4 {
        let store = json!({
            "code": format!("TOR{number}"), "name": format!("Toronto {number}"), "city": "Toronto",
            "time_zone": "America/Toronto",
        });
        created(&office, "/retail/api/v1/stores", &store).await;
    }
    let (day, noon) = past_day(4);
    for _ in 0..6 {
        company.sell(&stack.api("pos"), noon, 1, 1, 0).await;
    }
    poll_all(&stack).await;
    run_job(&stack, "nightly", &json!({ "business_day": day, "wait": false })).await;
    assert!(
        incidents(&stack, "history_rewritten").await.is_empty() && incidents(&stack, "dataset_held").await.is_empty()
    );

    // One line and two of four stores are not there any more, and the witness of what was sent neither.
    let retail = stack.pool_as("retail_db", "postgres").await;
    past_the_triggers(
        &retail,
        "DELETE FROM sale_lines WHERE (sale_id, line_no) = (SELECT max(sale_id), 1 FROM sale_lines);
         DELETE FROM stores WHERE code IN ('TOR3', 'TOR4'); DELETE FROM feed_witness",
    )
    .await;
    let run = run_job(&stack, "poll-retail", &json!({})).await;
    assert_eq!((&run["outcome"]["rewritten"], &run["outcome"]["rows_removed"]), (&json!(true), &json!(1)), "{run}");
    assert_eq!(run["outcome"]["held"][0]["dataset"], "stores", "{run}");

    let rewritten = incidents(&stack, "history_rewritten").await;
    assert_eq!(rewritten.len(), 1, "{rewritten:?}");
    let facts = &rewritten[0]["facts"];
    assert_eq!(facts["published_days"], json!([day]), "{facts}");
    assert_eq!(facts["datasets"], json!({ "sale_lines": { "added": 0, "changed": 0, "removed": 1, "days": [day] } }));
    let summary = rewritten[0]["summary"].as_str().unwrap();
    assert!(summary.contains("sale_lines: 1 rows vanished, 0 came") && summary.contains(&day.to_string()), "{summary}");
    let held = incidents(&stack, "dataset_held").await;
    assert_eq!((held.len(), &held[0]["subject"], &held[0]["closed_at"]), (1, &json!("stores"), &Value::Null));

    // What is sold comes, while figures of the stores are provisional and say how old they are.
    company.sell(&stack.api("pos"), noon, 1, 1, 0).await;
    let run = run_job(&stack, "poll-retail", &json!({})).await;
    assert_eq!((&run["outcome"]["rows_added"], &run["outcome"]["rewritten"]), (&json!(2), &Value::Null), "{run}");
    let sources = stack.api("analyst").get_all("/reporting/api/v1/sources").await;
    let source = sources.iter().find(|it| it["name"] == "retail").unwrap();
    let instant = |it: &Value| it.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert!(instant(&source["held"]["stores"]) < instant(&source["complete_through"]), "{source}");

    // The operator's word ends it.
    run_job(&stack, "poll-retail", &json!({ "allow_drops": true })).await;
    assert!(incidents(&stack, "dataset_held").await.iter().all(|it| !it["closed_at"].is_null()));
    assert_eq!(incidents(&stack, "history_rewritten").await.len(), 1, "once");
}
