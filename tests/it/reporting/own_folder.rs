//! The user's own folder under a running service: a file that comes is a report, one that is wrong says why, and one
//! that goes is gone, without a restart.

use system_tests::many::DAYS;
use system_tests::{Folder, Stack, eventually};

use super::direct;

#[tokio::test]
async fn a_running_service_follows_its_folder() {
    let own = Folder::new();
    let folder = own.path().to_string_lossy().into_owned();
    let builder = Stack::builder().only(&["reporting"]).env("reporting", "REPORTING_CATALOGUE_DIR", &folder);
    let stack = builder.start().await;
    let api = super::api(&stack);
    let status = async || api.get(&direct("days")).await.status;
    assert_eq!(status().await, 404);

    let file = own.path().join("reports/days.sql");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, DAYS).unwrap();
    eventually("the new report", async || status().await == 200).await;
    assert_eq!(api.get_json(&direct("days")).await["row_count"], 7);

    // A slip of the pen: this one is disabled, and says where and why wherever one asks.
    std::fs::write(&file, DAYS.replace("FROM calendar", "FROM calender")).unwrap();
    eventually("the fault", async || status().await == 409).await;
    let problem = api.get(&direct("days")).await.json();
    let place = "days.sql:10:33: there is no dataset or view \"calender\"";
    assert!(problem["detail"].as_str().unwrap().contains(place), "{problem}");
    let catalogue = api.get_json("/api/v1/reports").await;
    assert!(
        catalogue["broken"].as_array().unwrap().iter().any(|it| it.as_str().unwrap().contains(place)),
        "{catalogue}"
    );
    assert!(catalogue["items"].as_array().unwrap().len() > 30, "the others are there");

    std::fs::remove_file(&file).unwrap();
    eventually("the report to be gone", async || status().await == 404).await;
}
