//! Folders that vanish: nothing is written where a disk is not mounted, what is asked for is refused by name, and what is lost
//! is written again.

use std::path::{Path, PathBuf};

use serde_json::json;
use system_tests::many::DAYS;
use system_tests::{Stack, eventually};

use crate::jobs::desk::{ask, desk, jobs_file, run_job};
use crate::jobs::service::ended;

fn folder(stack: &Stack, variable: &str) -> PathBuf {
    let found = stack.environment("reporting").into_iter().find(|(name, _)| name == variable);
    PathBuf::from(found.expect("a variable of the service").1)
}

/// Puts an empty folder in its place, as where a disk is unmounted; what was there.
fn unmount(folder: &Path) -> PathBuf {
    let away = folder.with_extension("away");
    std::fs::rename(folder, &away).unwrap();
    std::fs::create_dir(folder).unwrap();
    away
}

fn mount_again(folder: &Path, away: &Path) {
    std::fs::remove_dir(folder).expect("nothing was written into it");
    std::fs::rename(away, folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_mounted_is_not_written_into_and_is_named() {
    let own = tempfile::tempdir().unwrap();
    let catalogue = own.path().join("catalogue");
    std::fs::create_dir_all(catalogue.join("reports")).unwrap();
    std::fs::write(catalogue.join("reports/days.sql"), DAYS).unwrap();
    let file = jobs_file(
        r#"
        [export]
        reports = ["store_performance"]
        formats = ["csv", "parquet"]
        "#,
    );
    let builder = desk(&file).only(&["inventory", "reporting"]);
    let stack = builder.env("reporting", "REPORTING_CATALOGUE_DIR", &catalogue.to_string_lossy()).start().await;
    exports_are_written_again(&stack).await;
    the_lake_is_not_read_beside_its_disk(&stack).await;
    reports_stay_and_an_incident_opens(&stack, &catalogue).await;
}

/// Files that the disk has lost are written again, each of them, and none where the disk is not mounted.
async fn exports_are_written_again(stack: &Stack) {
    let (api, day) = (stack.api("operator"), "2026-01-15");
    let night = json!({ "business_day": day, "wait": false });
    run_job(stack, "nightly", &night).await;
    let exports = folder(stack, "REPORTING_EXPORTS_DIR");
    let files = async || {
        let files = api.get_all(&format!("/reporting/api/v1/exports?business_day={day}")).await;
        let mut statuses = Vec::new();
        for file in files {
            statuses.push(api.get(&format!("/reporting/api/v1/exports/{}", file["id"])).await.status);
        }
        statuses
    };
    assert_eq!(files().await, [200, 200]);
    std::fs::remove_dir_all(exports.join(day)).unwrap();
    assert_eq!(files().await, [404, 404]);
    let packed = run_job(stack, "export-pack", &json!({ "business_day": day })).await;
    assert_eq!((&packed["outcome"]["files"], &packed["outcome"]["kept"]), (&json!(2), &json!(0)), "{packed}");
    assert_eq!(files().await, [200, 200]);

    let away = unmount(&exports);
    let run = ask(stack, "export-pack", &json!({ "business_day": "2026-01-16" })).await;
    stack.api("operator").get(&format!("/reporting/api/v1/jobs/runs/{}", run["id"])).await.expect(200);
    eventually("the attempt to fail", async || {
        let run = api.get_json(&format!("/reporting/api/v1/jobs/runs/{}", run["id"])).await;
        run["error"].as_str().is_some_and(|error| error.contains("not mounted"))
    })
    .await;
    api.post(&format!("/reporting/api/v1/jobs/runs/{}/cancel", run["id"]), &json!({})).await;
    ended(stack, &run).await;
    mount_again(&exports, &away);
    run_job(stack, "export-pack", &json!({ "business_day": day })).await;
}

async fn the_lake_is_not_read_beside_its_disk(stack: &Stack) {
    let (api, lake) = (stack.api("operator"), folder(stack, "REPORTING_LAKE_DIR"));
    let away = unmount(&lake);
    let report = "/reporting/api/v1/reports/store_performance?from=2026-02-01&to=2026-02-02";
    let refused = api.get(report).await.expect(503);
    assert!(refused.text().contains("the lake's folder is not there"), "{}", refused.text());
    let ready = stack.direct("reporting").get("/health/ready").await.expect(503).json();
    assert_eq!(ready["failing"], json!(["lake"]), "{ready}");
    mount_again(&lake, &away);
    api.get(report).await.expect(200);
}

async fn reports_stay_and_an_incident_opens(stack: &Stack, catalogue: &Path) {
    let api = stack.api("operator");
    let lost = async || {
        let open = api.get_all("/reporting/api/v1/jobs/incidents?open=true").await;
        open.iter().any(|it| it["kind"] == "catalogue_lost")
    };
    assert!(!lost().await);
    let away = unmount(catalogue);
    eventually("an incident", lost).await;
    api.get("/reporting/api/v1/reports/days").await.expect(200);
    mount_again(catalogue, &away);
}
