//! A stack whose jobs run only when a test asks, so that nothing happens beside what it looks at.

use std::io::Write;

use serde_json::{Value, json};
use sqlx::PgPool;
use system_tests::{Stack, stack::Builder};
use tempfile::NamedTempFile;

use super::service::ended;

/// A cron line that comes once in four years.
const RARELY: &str = "0 0 29 2 *";

/// A jobs file without any cadence but those that `more` gives.
pub(crate) fn jobs_file(more: &str) -> NamedTempFile {
    let mut text = more.to_owned();
    let declared = |name: &str| more.contains(&format!("name = \"{name}\""));
    for name in ["nightly", "restate", "backfill", "export-pack", "housekeeping", "keep", "deliver", "watch"] {
        if !declared(name) {
            text.push_str(&format!("[[job]]\nname = \"{name}\"\n"));
        }
    }
    for source in ["inventory", "ecommerce", "retail"] {
        let name = format!("poll-{source}");
        if !declared(&name) {
            text.push_str(&format!("[[job]]\nname = \"{name}\"\ncron = \"{RARELY}\"\n"));
        }
    }
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// A stack on such a file, with a lease of two seconds.
pub(crate) fn desk(file: &NamedTempFile) -> Builder {
    Stack::builder().env("reporting", "REPORTING_JOBS", &file.path().to_string_lossy()).env(
        "reporting",
        "REPORTING_LEASE_SECONDS",
        "2",
    )
}

/// Asks for a run; the run.
pub(crate) async fn ask(stack: &Stack, job: &str, arguments: &Value) -> Value {
    stack.api("operator").post_json(&format!("/reporting/api/v1/jobs/{job}/runs"), arguments, 202).await
}

/// Runs a job to its successful end; the run.
pub(crate) async fn run_job(stack: &Stack, job: &str, arguments: &Value) -> Value {
    let run = ended(stack, &ask(stack, job, arguments).await).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    run
}

/// Polls every source.
pub(super) async fn poll_all(stack: &Stack) {
    for source in ["inventory", "ecommerce", "retail"] {
        run_job(stack, &format!("poll-{source}"), &json!({})).await;
    }
}

/// How many sessions wait for a lock on a table.
pub(super) async fn waiting_for(db: &PgPool, table: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass")
        .bind(table)
        .fetch_one(db)
        .await
        .unwrap()
}
