//! What is secret stands in no log, no row that tells of work, and no answer.

use std::collections::BTreeSet;

use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use system_tests::Stack;

use crate::jobs::desk::{ask, desk, jobs_file, run_job};
use crate::jobs::service::ended;

/// Stands in the path of an address, as the tokens of chat services do.
const MARKER: &str = "marker-7c1e0f5a2b";
/// Everything that tells of work.
const TABLES: [&str; 8] = [
    "jobs.run",
    "jobs.run_log",
    "jobs.attempt",
    "jobs.incident",
    "jobs.notice",
    "exports.delivery",
    "sync.source",
    "sync.poll",
];

/// What no text may hold: tokens, keys and passwords of every service, and the marker.
fn secrets(stack: &Stack, services: &[&str]) -> BTreeSet<String> {
    let mut secrets = BTreeSet::from([MARKER.to_owned()]);
    for (name, value) in services.iter().flat_map(|service| stack.environment(service)) {
        if ["_KEY", "_TOKEN", "_SECRET"].iter().any(|end| name.ends_with(end)) {
            secrets.insert(value);
        } else if let Some((_, password)) = value.split_once('@').and_then(|(login, _)| login.rsplit_once(':')) {
            secrets.insert(password.to_owned());
        }
    }
    secrets
}

async fn rows(pool: &PgPool, table: &str) -> String {
    let sql = format!("SELECT COALESCE(string_agg(t::text, E'\\n'), '') FROM {table} t");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_fails_tells_a_secret() {
    let services = ["retail", "inventory", "reporting"];
    // Nobody listens at either address.
    let file = jobs_file(&format!(
        r#"
        [export]
        reports = ["store_performance"]
        formats = ["csv"]
        webhook = "http://127.0.0.1:9/hooks/{MARKER}"
        [alerts]
        url = "http://127.0.0.1:9/hooks/{MARKER}?key={MARKER}"
        freshness = "1s"
        "#
    ));
    let builder = desk(&file).only(&services).env("reporting", "REPORTING_WEBHOOK_SECRET", "webhook-secret-0123456789");
    let mut stack = builder.start().await;
    run_job(&stack, "nightly", &json!({ "business_day": "2026-01-15", "wait": false })).await;
    run_job(&stack, "deliver", &json!({})).await;
    stack.kill("retail");
    let failed = ask(&stack, "poll-retail", &json!({})).await;
    let cancel = format!("/reporting/api/v1/jobs/runs/{}/cancel", failed["id"]);
    stack.api("operator").post(&cancel, &json!({})).await;
    ended(&stack, &failed).await;
    run_job(&stack, "watch", &json!({})).await;

    let secrets = secrets(&stack, &services);
    assert!(secrets.len() > 10, "{}", secrets.len());
    let mut texts: Vec<(String, String)> = Vec::new();
    for member in services.into_iter().chain(["gateway"]) {
        texts.push((format!("the log of {member}"), stack.log(member)));
    }
    let reporting = stack.pool("reporting_db").await;
    for table in TABLES {
        texts.push((table.to_owned(), rows(&reporting, table).await));
    }
    let analyst = stack.api("analyst");
    let runs: Vec<i64> = sqlx::query_scalar("SELECT id FROM jobs.run").fetch_all(&reporting).await.unwrap();
    let runs = runs.iter().map(|id| format!("jobs/runs/{id}"));
    for path in ["jobs", "jobs/incidents", "sources", "exports"].map(str::to_owned).into_iter().chain(runs) {
        let answer = analyst.get(&format!("/reporting/api/v1/{path}")).await.expect(200);
        texts.push((path, answer.text()));
    }
    let undelivered = texts.iter().filter(|(_, text)| text.contains("the webhook did not answer")).count();
    assert!(undelivered >= 3, "the messages failed, and it is told: {undelivered}");
    for (place, text) in &texts {
        for secret in &secrets {
            assert!(!text.contains(secret), "{place} holds a secret");
        }
    }
}
