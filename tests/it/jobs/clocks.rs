//! Clocks that disagree, and days that go on: nothing expires, and what is not over has one revision.

use chrono::{NaiveDate, Utc};
use serde_json::json;
use sqlx::PgPool;
use system_tests::eventually;

use super::desk::{ask, desk, jobs_file, poll_all, run_job};
use super::replicas::skewing_library;
use super::restatement::revisions;
use super::service::ended;
use crate::company::Company;

async fn count(pool: &PgPool, of: &'static str) -> i64 {
    sqlx::query_scalar(of).fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_goes_on_has_one_revision_and_a_replica_a_day_ahead_lets_nothing_expire() {
    const SNAPSHOTS: &str = "SELECT count(*) FROM lake.ducklake_snapshot";
    const CHANGED: &str = "SELECT count(*) FROM sync.changed_day";
    let file = jobs_file("[[job]]\nname = \"housekeeping\"\nwith = { keep_snapshots = \"1h\" }\n");
    let mut stack = desk(&file).start().await;
    let company = Company::found(&stack, 100).await;
    let (pos, pool) = (stack.api("pos"), stack.pool("reporting_db").await);
    company.sell(&pos, Utc::now(), 2, 1, 0).await;
    poll_all(&stack).await;
    let day: NaiveDate =
        sqlx::query_scalar("SELECT max(business_day) FROM sync.changed_day").fetch_one(&pool).await.unwrap();
    run_job(&stack, "nightly", &json!({ "business_day": day, "wait": false })).await;
    let published = revisions(&stack, "store_performance", day).await;
    assert_eq!((published.len(), &published[0]["state"]), (1, &json!("provisional")));
    company.sell(&pos, Utc::now(), 1, 1, 0).await;
    poll_all(&stack).await;
    let run = run_job(&stack, "restate", &json!({})).await;
    assert_eq!(run["outcome"]["looked_at"], 0, "{run}");
    assert_eq!(revisions(&stack, "store_performance", day).await.len(), 1);

    let before = (count(&pool, SNAPSHOTS).await, count(&pool, CHANGED).await);
    let library = skewing_library(stack.folder());
    let (library, jobs) = (library.to_string_lossy(), file.path().to_string_lossy());
    let ahead = [("LD_PRELOAD", library.as_ref()), ("SKEW_SECONDS", "86400"), ("REPORTING_JOBS", jobs.as_ref())];
    stack.restart_with("reporting", &ahead).await;
    let api = stack.api("operator");
    let run = ask(&stack, "housekeeping", &json!({})).await;
    let path = format!("/reporting/api/v1/jobs/runs/{}", run["id"]);
    eventually("the run to wait until the clocks agree", async || {
        api.get_json(&path).await["note"].as_str().is_some_and(|note| note.starts_with("nothing expires"))
    })
    .await;
    assert_eq!((count(&pool, SNAPSHOTS).await, count(&pool, CHANGED).await), before);
    let gauges = stack.direct("reporting").get("/metrics").await.text();
    assert!(gauges.contains("tributary_clock_ahead_seconds{clock=\"reporting_db\"} -86"), "{gauges}");
    api.post(&format!("{path}/cancel"), &json!({})).await;
    ended(&stack, &run).await;
}
