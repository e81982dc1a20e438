//! A night that is killed or cancelled at its worst moments: the next start ends in the right state.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};
use system_tests::{Api, Stack, campaign, eventually, seed, wait_until};
use tempfile::NamedTempFile;

use super::delivery::check_pack;
use super::desk::{ask, desk, jobs_file, poll_all, run_job, waiting_for};
use super::restatement::past_day;
use super::service::ended;
use crate::company::Company;
use crate::reporting::workers::{kill, workers};

const REPORTS: [&str; 5] =
    ["store_performance", "daily_sales", "product_performance", "order_funnel", "data_freshness"];
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Publishes five reports a night and exports three of them.
fn jobs() -> NamedTempFile {
    jobs_file(&format!(
        r#"
        [export]
        reports = ["store_performance", "daily_sales", "data_freshness"]
        [[job]]
        name = "nightly"
        with = {{ reports = {REPORTS:?} }}
        "#
    ))
}

/// A stack on these jobs, with something sold on some days.
async fn shop(file: &NamedTempFile) -> Stack {
    let stack = desk(file).start().await;
    let company = Company::found(&stack, 500).await;
    for back in 2..9 {
        company.sell(&stack.api("pos"), past_day(back).1, 2, 3, 0).await;
    }
    poll_all(&stack).await;
    stack
}

/// Holds a table so that nobody can add a row to it.
async fn hold(db: &PgPool, table: &str) -> Transaction<'static, Postgres> {
    let mut held = kit::db::begin(db).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("LOCK TABLE {table} IN SHARE MODE"))).execute(&mut *held).await.unwrap();
    held
}

/// Every revision of a day has exactly the rows it says; how many revisions there are.
async fn whole_revisions(db: &PgPool, day: NaiveDate) -> i64 {
    let revisions: Vec<(i64, String, i32, i64)> = sqlx::query_as(
        "SELECT revision_id, report, version, row_count FROM published.revision WHERE business_day = $1",
    )
    .bind(day)
    .fetch_all(db)
    .await
    .unwrap();
    for (id, report, version, row_count) in &revisions {
        let sql = format!("SELECT count(*) FROM published.{report}_v{version} WHERE revision_id = $1");
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).bind(id).fetch_one(db).await.unwrap();
        assert_eq!(rows, *row_count, "{report} of {day}");
    }
    i64::try_from(revisions.len()).unwrap()
}

/// The night succeeded once, published each report once, and its pack is whole.
async fn all_is_right(stack: &Stack, db: &PgPool, run: &Value, day: NaiveDate) {
    let run = ended(stack, run).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    let endings: Vec<&Value> = run["attempts"].as_array().unwrap().iter().map(|it| &it["ending"]).collect();
    assert_eq!(endings, [&json!("lost"), &json!("succeeded")], "{run}");
    assert_eq!(whole_revisions(db, day).await, 5, "each report once: {run}");
    let manifest = check_pack(&exports(stack).join(day.to_string()));
    assert_eq!(manifest["files"].as_array().unwrap().len(), 9);
}

fn exports(stack: &Stack) -> PathBuf {
    stack.state().exports
}

/// Folders in which attempts build their files.
fn attempt_folders(exports: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(exports).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(".attempt-")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_killed_at_its_worst_moments_ends_right() {
    let file = jobs();
    let mut stack = shop(&file).await;
    let db = stack.pool("reporting_db").await;

    // Computed, and nothing published yet.
    let (day, _) = past_day(2);
    let held = hold(&db, "published.revision").await;
    let run = ask(&stack, "nightly", &json!({ "business_day": day })).await;
    eventually("a report to be ready", async || waiting_for(&db, "published.revision").await > 0).await;
    stack.kill("reporting");
    held.rollback().await.unwrap();
    assert_eq!(whole_revisions(&db, day).await, 0);
    stack.restart("reporting").await;
    all_is_right(&stack, &db, &run, day).await;

    // Everything published, and no file in its place yet.
    let (day, _) = past_day(3);
    let held = hold(&db, "exports.file").await;
    let run = ask(&stack, "nightly", &json!({ "business_day": day })).await;
    eventually("a file to be ready", async || waiting_for(&db, "exports.file").await > 0).await;
    assert_eq!(whole_revisions(&db, day).await, 5);
    stack.kill("reporting");
    held.rollback().await.unwrap();
    assert!(!exports(&stack).join(day.to_string()).join("manifest.json").exists());
    stack.restart("reporting").await;
    all_is_right(&stack, &db, &run, day).await;

    // In the middle of the files: as soon as the first of them is there, whole or not.
    let (day, _) = past_day(4);
    let run = ask(&stack, "nightly", &json!({ "business_day": day })).await;
    let begun = async || {
        let files = attempt_folders(&exports(&stack)).into_iter().filter_map(|folder| std::fs::read_dir(folder).ok());
        files.flatten().flatten().any(|file| file.file_name().to_string_lossy().starts_with(&day.to_string()))
    };
    while !begun().await {
        tokio::task::yield_now().await;
    }
    stack.kill("reporting");
    // What an attempt moved to its place and could not record any more is nobody's word.
    let folder = exports(&stack).join(day.to_string());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("daily_sales-r1.csv"), "half a fi").unwrap();
    stack.restart("reporting").await;
    all_is_right(&stack, &db, &run, day).await;
    assert!(!attempt_folders(&exports(&stack)).is_empty(), "the killed attempts left theirs");
    run_job(&stack, "housekeeping", &json!({})).await;
    assert!(attempt_folders(&exports(&stack)).is_empty(), "housekeeping removes them");
}

/// A report as it was published for a day, and as it is computed now of the same parameters.
async fn published_and_computed(analyst: &Api, report: &str, day: NaiveDate) -> [Value; 2] {
    let path = format!("/reporting/api/v1/reports/{report}");
    let mut published = analyst.get_json(&format!("{path}?business_day={day}")).await;
    let given = published["parameters"].as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let query: Vec<(String, String)> = given.map(|(name, value)| (name.clone(), text(value))).collect();
    let mut computed = analyst.call(Method::GET, &path).query(&query).send().await.expect(200).json();
    [published["rows"].take(), computed["rows"].take()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_whose_workers_are_killed_goes_on_and_publishes_each_report_once() {
    // None of them is of a moment, so that a second night has nothing to publish anew.
    let reports = ["store_performance", "daily_sales", "product_performance", "order_funnel"];
    let file = jobs_file(&format!(
        r#"
        [export]
        reports = ["store_performance", "daily_sales"]
        [[job]]
        name = "nightly"
        with = {{ reports = {reports:?} }}
        "#
    ));
    let stack = shop(&file).await;
    let (db, operator) = (stack.pool("reporting_db").await, stack.api("operator"));
    let service = stack.state().services["reporting"].pid;
    let mut random = StdRng::seed_from_u64(seed());
    let (day, _) = past_day(2);
    let night = json!({ "business_day": day });
    let run = ask(&stack, "nightly", &night).await;
    for _ in 0..campaign(10, 200) {
        let alive = wait_until("a worker", PATIENCE, async || Some(workers(service)).filter(|it| !it.is_empty())).await;
        kill(alive[random.random_range(0..alive.len())]);
        // Somewhere within what it computes next.
        for _ in 0..random.random_range(0..20) {
            operator.get_json(&format!("/reporting/api/v1/jobs/runs/{}", run["id"])).await;
        }
    }
    // Attempts may be used up on reports that no worker survived; another night makes up for them.
    ended(&stack, &run).await;
    run_job(&stack, "nightly", &night).await;
    assert_eq!(whole_revisions(&db, day).await, 4, "each report once");
    check_pack(&exports(&stack).join(day.to_string()));
    for report in reports {
        let [published, computed] = published_and_computed(&stack.api("analyst"), report, day).await;
        assert_eq!(published, computed, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_night_leaves_nothing_half_published() {
    let file = jobs();
    let stack = shop(&file).await;
    let db = stack.pool("reporting_db").await;
    let (day, _) = past_day(2);
    let held = hold(&db, "published.daily_sales_v1").await;
    let run = ask(&stack, "nightly", &json!({ "business_day": day })).await;
    eventually("rows to be on their way", async || waiting_for(&db, "published.daily_sales_v1").await > 0).await;
    let path = format!("/reporting/api/v1/jobs/runs/{}/cancel", run["id"]);
    let operator = stack.api("operator");
    let cancel = tokio::spawn(async move { operator.post_json(&path, &json!({}), 202).await });
    // The wish is an update of the run's row, which the transaction under way holds.
    let asked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'";
    eventually("the wish to wait for the transaction under way", async || {
        sqlx::query_scalar::<_, i64>(asked).fetch_one(&db).await.unwrap() > 0
    })
    .await;
    held.rollback().await.unwrap();
    cancel.await.unwrap();
    let run = ended(&stack, &run).await;
    assert_eq!((&run["status"], &run["outcome"]), (&json!("cancelled"), &Value::Null), "{run}");
    assert!(whole_revisions(&db, day).await < 5);
    assert!(!exports(&stack).join(day.to_string()).exists());
    run_job(&stack, "nightly", &json!({ "business_day": day })).await;
    assert_eq!(whole_revisions(&db, day).await, 5);
    check_pack(&exports(&stack).join(day.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backfill_goes_on_where_it_was() {
    let file = jobs();
    let mut stack = shop(&file).await;
    let db = stack.pool("reporting_db").await;
    let (first, last) = (past_day(8).0, past_day(2).0);
    let range = json!({ "from": first, "to": last, "reports": ["daily_sales", "store_performance", "data_freshness"] });
    let run = stack.api("operator").post_json("/reporting/api/v1/jobs/backfill/backfill", &range, 202).await;
    let path = format!("/reporting/api/v1/jobs/runs/{}", run["id"]);
    let seen = wait_until("three days to be done", PATIENCE, async || {
        let run = stack.api("operator").get_json(&path).await;
        (run["progress"]["done"].as_u64() >= Some(3)).then_some(run)
    })
    .await;
    assert_eq!(seen["progress"]["total"], 7);
    stack.kill("reporting");
    stack.restart("reporting").await;
    let run = ended(&stack, &run).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    assert!(run["outcome"]["days"].as_u64() <= Some(4), "it did not begin again: {run}");
    assert_eq!(run["outcome"]["skipped_snapshot_reports"], json!(["data_freshness"]), "{run}");
    for back in 2..9 {
        assert_eq!(whole_revisions(&db, past_day(back).0).await, 2, "each report once");
    }
}
