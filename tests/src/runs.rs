//! Runs of the reporting service's jobs, asked for as an operator does and followed to their end.

use std::time::Duration;

use chrono::NaiveDate;
use serde_json::{Value, json};

use crate::stack::Stack;
use crate::wait::wait_until;

/// Follows a run until it has ended, and says how.
pub async fn follow(stack: &Stack, run: &Value) -> Value {
    let operator = stack.api("operator");
    let path = format!("/reporting/api/v1/jobs/runs/{}", run["id"].as_i64().expect("a run has an id"));
    wait_until("the run to end", Duration::from_secs(120), async || {
        let run = operator.get_json(&path).await;
        matches!(run["status"].as_str(), Some("succeeded" | "failed" | "skipped" | "cancelled")).then_some(run)
    })
    .await
}

/// Polls one source, which must succeed.
pub async fn poll(stack: &Stack, source: &str) {
    succeed(stack, &format!("/reporting/api/v1/sources/{source}/poll"), &json!({})).await;
}

/// Polls the three sources, one after the other.
pub async fn poll_all(stack: &Stack) {
    for source in ["inventory", "ecommerce", "retail"] {
        poll(stack, source).await;
    }
}

/// Publishes the whole catalogue for a day, without waiting for its data to be complete.
pub async fn nightly(stack: &Stack, day: NaiveDate) {
    succeed(stack, "/reporting/api/v1/jobs/nightly/runs", &json!({"business_day": day, "wait": false})).await;
}

async fn succeed(stack: &Stack, path: &str, body: &Value) {
    let run = stack.api("operator").post_json(path, body, 202).await;
    let run = follow(stack, &run).await;
    assert_eq!(run["status"], "succeeded", "{run}");
}
