//! Sources as operators see them: rows that do not fit, reading them again, and the gauges.

use serde_json::{Value, json};
use system_tests::{Stack, wait_until};

/// A second look at inventory's locations, which forgets that a warehouse belongs to no store.
pub(crate) const FORGETFUL: &str = r#"
[source]
name = "places"
base = "/inventory/api/v1"
poll = "every 1h"

[[dataset]]
name = "store_places"
feed = "locations"
key = ["location_id"]
[dataset.columns]
location_id = "int64"
code = "string"
store_id = "int64"
"#;

async fn run_to_the_end(stack: &Stack, path: &str) -> Value {
    let operator = stack.api("operator");
    let run = operator.post_json(path, &json!({}), 202).await;
    let path = format!("/reporting/api/v1/jobs/runs/{}", run["id"]);
    let run = wait_until("the run to end", std::time::Duration::from_secs(60), async || {
        let run = operator.get_json(&path).await;
        (!run["finished_at"].is_null()).then_some(run)
    })
    .await;
    assert_eq!(run["status"], "succeeded", "{run}");
    run
}

#[tokio::test]
async fn rows_that_do_not_fit_are_listed_replayed_and_gone_once_the_declaration_is_mended() {
    let mut stack = Stack::start().await;
    let own = stack.folder().join("sources");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("places.toml"), FORGETFUL).unwrap();
    let folder = own.to_string_lossy().into_owned();
    stack.restart_with("reporting", &[("REPORTING_SOURCES_DIR", &folder)]).await;
    let backoffice = stack.api("backoffice");
    for code in ["WH-1", "WH-2", "WH-3"] {
        let body = json!({ "code": code, "name": code, "kind": "warehouse" });
        backoffice.post_json("/inventory/api/v1/locations", &body, 201).await;
    }
    let shop = json!({ "code": "S-1", "name": "Shop", "kind": "store", "store_id": 1 });
    backoffice.post_json("/inventory/api/v1/locations", &shop, 201).await;

    let run = run_to_the_end(&stack, "/reporting/api/v1/sources/places/poll").await;
    assert_eq!((&run["outcome"]["rows_added"], &run["outcome"]["rows_quarantined"]), (&json!(1), &json!(3)), "{run}");
    assert_eq!(run["arguments"], json!({}));
    let operator = stack.api("operator");
    let list = "/reporting/api/v1/sources/places/quarantine";
    let rows = operator.get_all(&format!("{list}?limit=2")).await;
    assert_eq!(rows.len(), 3, "{rows:?}");
    let first = &rows[0];
    assert_eq!((&first["dataset"], &first["column"]), (&json!("store_places"), &json!("store_id")));
    assert_eq!(first["reason"], "NULL where the declaration allows none");
    assert_eq!(first["header"], "location_id,code,store_id,deleted");
    assert_eq!(first["raw"], format!("{},WH-1,\\N,false", first["key"][0].as_str().unwrap()));
    assert_eq!(operator.get_all(&format!("{list}?dataset=stores")).await.len(), 0);
    operator.get("/reporting/api/v1/sources/nobody/quarantine").await.expect(404);
    stack.api("analyst").get(list).await.expect(403);
    let gauges = stack.direct("reporting").get("/metrics").await.text();
    assert!(gauges.contains("tributary_source_quarantined_rows{source=\"places\"} 3"), "{gauges}");
    assert!(gauges.contains("tributary_source_breaker{source=\"places\"} 0"), "{gauges}");
    assert!(gauges.contains("tributary_source_lag_seconds{source=\"places\"} 0"), "{gauges}");

    // Read again as they are: they still do not fit, and are there once.
    let run = run_to_the_end(&stack, &format!("{list}/replay")).await;
    assert_eq!((&run["outcome"]["rows_read"], &run["arguments"]), (&json!(4), &json!({ "replay": true })), "{run}");
    assert_eq!(operator.get_all(list).await.len(), 3);

    let mended = FORGETFUL.replace("store_id = \"int64\"", "store_id = \"int64?\"");
    std::fs::write(own.join("places.toml"), mended).unwrap();
    stack.restart_with("reporting", &[("REPORTING_SOURCES_DIR", &folder)]).await;
    let run = run_to_the_end(&stack, "/reporting/api/v1/sources/places/poll").await;
    assert_eq!(run["outcome"]["rows_added"], 3, "{run}");
    assert_eq!(stack.api("operator").get_all(list).await.len(), 0);
    let sources = stack.api("analyst").get_json("/reporting/api/v1/sources").await;
    let places = sources["items"].as_array().unwrap().iter().find(|it| it["name"] == "places").unwrap();
    assert_eq!((&places["quarantined"], &places["stale"]), (&json!(0), &json!(false)));
}
