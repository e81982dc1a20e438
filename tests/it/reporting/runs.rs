//! Reports that take long: accepted, followed, fetched, cancelled; and what a restart leaves of them.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Api, exposition, many, wait_until};

use super::{REPORTS, api, direct, reporting, shared};

const PATIENCE: Duration = Duration::from_secs(180);

async fn ended(api: &Api, run: &Value) -> Value {
    let path = format!("{}/runs/{}", direct("many"), run["id"]);
    wait_until("the run to end", PATIENCE, async || {
        let run = api.get_json(&path).await;
        (!run["finished_at"].is_null()).then_some(run)
    })
    .await
}

#[tokio::test]
async fn a_run_is_accepted_followed_and_fetched_whole() {
    let stack = shared().await;
    let api = api(stack);
    for (format, media_type) in
        [("csv", "text/csv"), ("parquet", "application/vnd.apache.parquet"), ("json", "application/json")]
    {
        let body = json!({"parameters": {"blocks": 7, "word": "run"}, "format": format});
        let reply = api.post(&format!("{}/runs", direct("many")), &body).await.expect(202);
        let run = reply.json();
        assert_eq!(reply.header("location").unwrap(), format!("runs/{}", run["id"]));
        assert_eq!(
            (&run["report"], &run["format"], &run["parameters"]["blocks"]),
            (&json!("many"), &json!(format), &json!("7"))
        );
        let run = ended(&api, &run).await;
        assert_eq!(run["status"], "succeeded", "{run}");
        let result = &run["result"];
        assert_eq!(result["rows"], 7_000);
        let path = format!("{}/runs/{}", direct("many"), result["href"].as_str().unwrap());
        let file = api.get(&path).await.expect(200);
        assert_eq!((file.media_type(), json!(file.body.len())), (media_type, result["bytes"].clone()));
        assert!(file.header("content-disposition").unwrap().contains("many-s"));
        assert!(file.header("tributary-snapshot").is_some());
        let part = api.call(Method::GET, &path).header("range", "bytes=10-19").send().await.expect(206);
        assert!(part.body == file.body[10..20]);
        // The file exists once, so its date tells it from every other.
        for (date, status) in [(file.header("last-modified").unwrap(), 206), ("Sun, 06 Nov 1994 08:49:37 GMT", 200)] {
            let call = api.call(Method::GET, &path).header("range", "bytes=10-19").header("if-range", date);
            call.send().await.expect(status);
        }
        let etag = file.header("etag").unwrap();
        api.call(Method::GET, &path).header("if-none-match", etag).send().await.expect(304);
        if format == "csv" {
            // The same as on demand, to the byte.
            let same = api.get(&direct("many?blocks=7&word=run&format=csv")).await.expect(200);
            assert!(same.body == file.body);
        }
    }
}

#[tokio::test]
async fn what_is_too_large_for_an_answer_is_had_as_a_file_as_the_refusal_says() {
    let stack = shared().await;
    let api = api(stack);
    // A thousand rows more than one answer may hold.
    let refused = api.get(&direct("many?blocks=1001")).await.expect(400).json();
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("more than 1000000 rows") && detail.contains("POST /reports/many/runs"), "{detail}");
    let body = json!({"parameters": {"blocks": 1001}, "format": "parquet"});
    let run = api.post(&format!("{}/runs", direct("many")), &body).await.expect(202).json();
    let run = ended(&api, &run).await;
    assert_eq!(run["result"]["rows"], 1_001_000, "{run}");
}

#[tokio::test]
async fn what_is_wrong_with_a_run_is_refused_at_once() {
    let stack = shared().await;
    let api = api(stack);
    let path = format!("{}/runs", direct("many"));
    for (body, status, field) in [
        (json!({"format": "docx"}), 422, "format"),
        (json!({"format": 1}), 422, "format"),
        (json!({"parameters": {"blocks": "many"}}), 422, "parameters.blocks"),
        (json!({"parameters": {"blocks": null}}), 422, "parameters.blocks"),
        (json!({"parameters": {"blocks": {"from": 1}}}), 422, "parameters.blocks"),
        (json!({"parameters": {"colour": "red"}}), 422, "parameters.colour"),
        (json!({"parameters": [1]}), 422, "parameters"),
        (json!({"snapshot": "first"}), 422, "snapshot"),
        (json!({"params": {}}), 422, "params"),
        (json!([]), 422, "body"),
    ] {
        let problem = api.post(&path, &body).await.expect(status).json();
        assert_eq!(problem["field"], field, "{body}: {problem}");
    }
    let run = api.post_json(&path, &json!({"parameters": {"blocks": 1}}), 202).await;
    let id = run["id"].as_i64().unwrap();
    ended(&api, &run).await;
    for (path, status) in [
        (format!("{}/runs/{id}", direct("store_performance")), 404),
        (format!("{}/runs/999999999", direct("many")), 404),
        (format!("{}/runs/first", direct("many")), 400),
        (format!("{}/runs/999999999/result", direct("many")), 404),
    ] {
        api.get(&path).await.expect(status);
    }
    // A poll is a run too, but not of a report.
    let poll = api.post_json("/api/v1/sources/retail/poll", &json!({}), 202).await;
    api.get(&format!("{}/runs/{}", direct("many"), poll["id"])).await.expect(404);
    // Who may only read may not have things computed in the background.
    let reply = stack.api("analyst").post(&format!("{REPORTS}/many/runs"), &json!({})).await;
    assert_eq!(reply.status, 403);
    stack
        .api("operator")
        .post(&format!("{REPORTS}/many/runs"), &json!({"parameters": {"blocks": 0}}))
        .await
        .expect(202);
}

#[tokio::test]
async fn a_run_waits_through_a_restart_can_be_cancelled_and_its_result_expires() {
    // Without a scheduler nothing is picked up: what is asked waits.
    let mut stack = reporting(&[("REPORTING_SCHEDULER", "false")]).await;
    let operator = api(&stack);
    let path = format!("{}/runs", direct("many"));
    let waiting = operator.post_json(&path, &json!({"parameters": {"blocks": 2}}), 202).await;
    let unwanted = operator.post_json(&path, &json!({"parameters": {"blocks": 3}}), 202).await;
    let of = |run: &Value, rest: &str| format!("{path}/{}{rest}", run["id"]);
    let early = operator.get(&of(&waiting, "/result")).await.expect(409).json();
    assert_eq!(early["status"], "queued", "{early}");
    let cancelled = operator.post_json(&of(&unwanted, "/cancel"), &json!({}), 202).await;
    assert_eq!(cancelled["status"], "cancelled");
    operator.get(&of(&unwanted, "/result")).await.expect(409);

    stack.restart_with("reporting", &[("REPORTING_CATALOGUE_DIR", &many::catalogue().to_string_lossy())]).await;
    let operator = api(&stack);
    let run = ended(&operator, &waiting).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    operator.get(&of(&waiting, "/result")).await.expect(200);
    assert_eq!(operator.get_json(&of(&unwanted, "")).await["status"], "cancelled");

    // It outlives the process that computed it, and not its day.
    stack.kill("reporting");
    stack.restart("reporting").await;
    let operator = api(&stack);
    operator.get(&of(&waiting, "/result")).await.expect(200);
    let pool = stack.pool("reporting_db").await;
    let age =
        "UPDATE jobs.run SET outcome = jsonb_set(outcome, '{expires_at}', '\"2026-01-01T00:00:00Z\"') WHERE id = $1";
    sqlx::query(age).bind(waiting["id"].as_i64()).execute(&pool).await.unwrap();
    let gone = operator.get(&of(&waiting, "/result")).await.expect(410);
    assert!(gone.problem().unwrap().ends_with("result-expired"));
}

/// A counter of the job `report`.
async fn counted(api: &Api, name: &str, label: &str) -> f64 {
    let text = api.get("/metrics").await.expect(200).text();
    let families = exposition::parse(&text);
    let samples = &families.get(name).unwrap_or_else(|| panic!("no {name}")).samples;
    let ours = |labels: &BTreeMap<String, String>| {
        labels.get("job_name").is_some_and(|job| job == "report") && labels.values().any(|value| value == label)
    };
    let found = samples.iter().find(|(_, labels, _)| ours(labels));
    found.unwrap_or_else(|| panic!("no {name} of {label}")).2
}

#[tokio::test]
async fn what_cannot_be_done_is_reported_to_who_asked_and_to_no_operator() {
    let stack = reporting(&[]).await;
    let operator = api(&stack);
    // Every ending is there before it has come: a rate needs a value to rise from.
    for ending in ["succeeded", "failed", "refused", "cancelled", "retried", "postponed", "lost"] {
        assert_eq!(counted(&operator, "tributary_job_attempts_total", ending).await, 0.0, "{ending}");
    }
    for (arguments, told) in [
        (json!({"report": "many", "parameters": {"blocks": "lots"}, "format": "csv"}), "\"blocks\" must be"),
        (json!({"report": "many", "snapshot": 999_999_999, "format": "csv"}), "snapshot"),
        (json!({"report": "nothing", "format": "csv"}), "nothing"),
    ] {
        let run = operator.post_json("/api/v1/jobs/report/runs", &arguments, 202).await;
        let path = format!("/api/v1/jobs/runs/{}", run["id"]);
        let run = wait_until("the run to end", PATIENCE, async || {
            let run = operator.get_json(&path).await;
            (!run["finished_at"].is_null()).then_some(run)
        })
        .await;
        assert_eq!((&run["status"], &run["attempt"]), (&json!("failed"), &json!(1)), "{run}");
        assert!(run["error"].as_str().unwrap().contains(told), "{run}");
    }
    assert_eq!(counted(&operator, "tributary_job_runs_total", "refused").await, 3.0);
    assert_eq!(counted(&operator, "tributary_job_attempts_total", "refused").await, 3.0);
    assert_eq!(counted(&operator, "tributary_job_runs_total", "failed").await, 0.0, "what the alert rules look at");
    let incidents = operator.get_json("/api/v1/jobs/incidents").await;
    let ours: Vec<_> = incidents["items"].as_array().unwrap().iter().filter(|it| it["subject"] == "report").collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[tokio::test]
async fn too_many_rows_are_refused_with_what_to_do_instead() {
    let stack = shared().await;
    let api = api(stack);
    let problem = api.get(&direct("many?blocks=1001&format=csv")).await.expect(400).json();
    let detail = problem["detail"].as_str().unwrap();
    for told in ["more than 1000000 rows", "narrow the dates or set a limit", "POST /reports/many/runs"] {
        assert!(detail.contains(told), "{detail}");
    }
}
