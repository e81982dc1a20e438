//! The job endpoints of the reporting service, and their refusals.

use serde_json::{Value, json};
use system_tests::{Stack, wait_until};

pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(240);

pub(crate) async fn ended(stack: &Stack, run: &Value) -> Value {
    let api = stack.api("operator");
    let path = format!("/reporting/api/v1/jobs/runs/{}", run["id"]);
    wait_until("the run to end", PATIENCE, async || {
        let run = api.get_json(&path).await;
        (!run["finished_at"].is_null()).then_some(run)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_without_sales_is_published_exported_and_downloaded_whole() {
    let stack = Stack::shared().await;
    let api = stack.api("operator");
    let day = "2026-01-15";
    let body = json!({ "business_day": day, "wait": false });
    let run = api.post_json("/reporting/api/v1/jobs/nightly/runs", &body, 202).await;
    let run = ended(stack, &run).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(run["outcome"]["failed"], json!({}), "{run}");

    let published = api.get_json(&format!("/reporting/api/v1/reports/store_performance?business_day={day}")).await;
    assert_eq!((&published["revision"], &published["state"]), (&json!(1), &json!("final")));
    let files = api.get_json(&format!("/reporting/api/v1/exports?business_day={day}&report=store_performance")).await;
    let formats: Vec<&str> = files["items"].as_array().unwrap().iter().filter_map(|it| it["format"].as_str()).collect();
    assert_eq!(formats, ["xlsx", "parquet", "csv"]);
    for file in files["items"].as_array().unwrap() {
        let path = format!("/reporting/api/v1/exports/{}", file["id"]);
        let whole = api.get(&path).await.expect(200);
        assert_eq!(whole.header("content-length").unwrap(), file["bytes"].to_string());
        let etag = whole.header("etag").unwrap().to_owned();
        api.call(reqwest::Method::GET, &path).header("if-none-match", &etag).send().await.expect(304);
        let part = api.call(reqwest::Method::GET, &path).header("range", "bytes=0-3").send().await.expect(206);
        assert_eq!(part.header("content-length"), Some("4"));
    }
    // The same day again: nothing new, nothing written over.
    let run = api.post_json("/reporting/api/v1/jobs/nightly/runs", &body, 202).await;
    let run = ended(stack, &run).await;
    assert_eq!(run["outcome"]["export"]["files"], 0, "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_name_what_is_wrong() {
    let stack = Stack::shared().await;
    let api = stack.api("operator");
    for (path, body, status) in [
        ("jobs/nobody/runs", json!({}), 404),
        ("jobs/nightly/runs", json!({ "business_day": "soon" }), 422),
        ("jobs/nightly/runs", json!({ "day": "2026-01-01" }), 422),
        ("jobs/backfill/backfill", json!({ "from": "2026-02-01", "to": "2026-01-01" }), 422),
        ("jobs/poll-retail/backfill", json!({ "from": "2026-01-01", "to": "2026-01-01" }), 409),
        ("sources/nobody/poll", json!({}), 404),
        ("jobs/runs/999999999/cancel", json!({}), 404),
    ] {
        let reply = api.post(&format!("/reporting/api/v1/{path}"), &body).await.expect(status);
        assert!(reply.problem().is_some(), "{path}");
    }
    for (path, status) in [
        ("reports/nothing", 404),
        ("reports/..%2Fsecrets", 404),
        ("reports/store_performance?frm=2026-01-01", 400),
        ("reports/store_performance?from=never", 400),
        ("reports/store_performance?format=pdf", 400),
        ("reports/store_performance?business_day=1999-01-01", 404),
        ("reports/store_performance?revision=1", 400),
        ("reports/store_performance?snapshot=999999999", 400),
        ("jobs/nightly/runs?limit=0", 400),
        ("exports/999999999", 404),
    ] {
        let reply = api.get(&format!("/reporting/api/v1/{path}")).await.expect(status);
        assert!(reply.problem().is_some(), "{path}");
    }
    let path = "/reporting/api/v1/reports/store_performance";
    api.call(reqwest::Method::GET, path).header("accept", "image/png").send().await.expect(406);
    stack.api("analyst").post("/reporting/api/v1/jobs/nightly/runs", &json!({})).await.expect(403);
}
