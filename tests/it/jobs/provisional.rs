//! A day whose data is not all there: published as provisional at the deadline, as final when the rest has come.

use chrono::NaiveDate;
use serde_json::{Value, json};
use system_tests::{Stack, wait_until};

use super::desk::{ask, desk, jobs_file, run_job};
use super::restatement::{past_day, revisions};
use super::service::{PATIENCE, ended};
use crate::company::Company;

/// The days that dashboards and their alert still wait for.
async fn provisional_days(stack: &Stack, report: &str) -> Vec<NaiveDate> {
    sqlx::query_scalar("SELECT business_day FROM reports._revisions WHERE owed AND report = $1 ORDER BY 1")
        .bind(report)
        .fetch_all(&stack.pool("reporting_db").await)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_down_through_the_deadline_is_named_and_its_return_makes_the_day_final() {
    let file = jobs_file(
        r#"
        [export]
        reports = ["store_performance"]
        formats = ["csv"]
        [[job]]
        name = "nightly"
        with = { deadline = "4h" }
        "#,
    );
    let mut stack = desk(&file).start().await;
    let company = Company::found(&stack, 100).await;
    let (day, noon) = past_day(2);
    company.sell(&stack.api("pos"), noon, 2, 1, 0).await;
    stack.kill("retail");

    // The night before met the same; what it says of its moment is overtaken by the next.
    let (before, _) = past_day(3);
    run_job(&stack, "nightly", &json!({ "business_day": before, "wait": false })).await;
    let run = ask(&stack, "nightly", &json!({ "business_day": day })).await;
    waiting(&stack, &run).await;
    pass_the_deadline(&stack, &run).await;
    let run = ended(&stack, &run).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    assert!(run["outcome"]["polls_failed"][0].as_str().unwrap().starts_with("retail"), "{run}");
    let endings: Vec<&str> =
        run["attempts"].as_array().unwrap().iter().map(|it| it["ending"].as_str().unwrap()).collect();
    assert_eq!(endings.first(), Some(&"postponed"), "it waited for its data: {run}");
    assert_eq!(endings.last(), Some(&"succeeded"), "{run}");
    let waited = run["attempts"][0]["reason"].as_str().unwrap();
    assert!(waited.contains("retail: never read"), "{waited}");
    let lines: Vec<&str> = run["log"].as_array().unwrap().iter().map(|it| it["line"].as_str().unwrap()).collect();
    assert!(lines.iter().any(|line| line.starts_with("publishing without: retail")), "{lines:?}");

    let found = revisions(&stack, "store_performance", day).await;
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["state"], &found[0]["row_count"]), (&json!("provisional"), &json!(0)));
    assert_eq!(found[0]["missing"], json!([{ "source": "retail", "reason": "incomplete" }]));
    for day in [before, day] {
        let moment = revisions(&stack, "data_freshness", day).await;
        assert_eq!((moment.len(), &moment[0]["state"]), (1, &json!("provisional")), "{moment:?}");
    }
    assert_eq!(provisional_days(&stack, "store_performance").await, [before, day]);
    assert_eq!(provisional_days(&stack, "data_freshness").await, [day], "the moment before is overtaken");
    // What needs no shop is final all the same.
    assert_eq!(revisions(&stack, "order_funnel", day).await[0]["state"], "final");
    // As long as the same is missing, there is nothing to publish again.
    let run = run_job(&stack, "restate", &json!({})).await;
    assert_eq!((&run["outcome"]["looked_at"], &run["outcome"]["revisions"]), (&json!(0), &json!(0)), "{run}");

    stack.restart("retail").await;
    run_job(&stack, "poll-retail", &json!({})).await;
    run_job(&stack, "restate", &json!({})).await;
    let found = revisions(&stack, "store_performance", day).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        (&found[0]["state"], &found[0]["missing"], &found[0]["row_count"]),
        (&json!("final"), &json!([]), &json!(1))
    );
    // A report of a moment too, as of now: the newest, for which nothing later was said.
    let moment = revisions(&stack, "data_freshness", day).await;
    assert_eq!(moment.iter().map(|it| &it["state"]).collect::<Vec<_>>(), ["final", "provisional"], "{moment:?}");
    assert_eq!(moment[0]["missing"], json!([]));
    assert_eq!(provisional_days(&stack, "data_freshness").await, []);
    assert_eq!(provisional_days(&stack, "store_performance").await, []);
    let passed = revisions(&stack, "data_freshness", before).await;
    assert_eq!((passed.len(), &passed[0]["state"]), (1, &json!("provisional")), "{passed:?}");
    assert_eq!(revisions(&stack, "store_performance", before).await[0]["state"], "final");
    let again = run_job(&stack, "restate", &json!({})).await;
    assert_eq!((&again["outcome"]["looked_at"], &again["outcome"]["revisions"]), (&json!(0), &json!(0)), "{again}");
    let path = format!("/reporting/api/v1/reports/store_performance/revisions/diff?business_day={day}");
    let diff = stack.api("analyst").get_json(&path).await;
    assert_eq!(diff["added"][0]["store"], "TOR1", "{diff}");
    assert_eq!((&diff["from"]["state"], &diff["to"]["state"]), (&json!("provisional"), &json!("final")));
    let exports = stack.state().exports.join(day.to_string());
    assert!(exports.join("store_performance-r2.csv").exists());

    a_quiet_day_is_final(&stack).await;
}

/// Until the run waits for its data, by its own row.
async fn waiting(stack: &Stack, run: &Value) {
    let path = format!("/reporting/api/v1/jobs/runs/{}", run["id"]);
    wait_until("the run to wait for its data", PATIENCE, async || {
        let run = stack.api("operator").get_json(&path).await;
        (run["status"] == "waiting").then_some(())
    })
    .await;
}

/// Four hours in no time: the night was due five hours ago, and is to be looked at again now.
async fn pass_the_deadline(stack: &Stack, run: &Value) {
    let moved = "UPDATE jobs.run
                    SET scheduled_for = scheduled_for - interval '5 h', not_before = clock_timestamp()
                  WHERE id = $1 AND status = 'waiting'";
    let reporting = stack.pool("reporting_db").await;
    let moved = sqlx::query(moved).bind(run["id"].as_i64()).execute(&reporting).await.unwrap();
    assert_eq!(moved.rows_affected(), 1);
}

async fn a_quiet_day_is_final(stack: &Stack) {
    let (day, _) = past_day(9);
    let run: Value = run_job(stack, "nightly", &json!({ "business_day": day })).await;
    assert_eq!(run["attempt"], 1, "nothing to wait for: {run}");
    let found = revisions(stack, "daily_sales", day).await;
    assert_eq!((&found[0]["state"], &found[0]["row_count"]), (&json!("final"), &json!(0)));
}
