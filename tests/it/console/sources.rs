//! A source with rows that do not fit their declaration: who sees them, and how they are read again.

use serde_json::json;
use system_tests::{Folder, Stack, wait_until};

use super::{page, run_job, signed_in};
use crate::sources::FORGETFUL;

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_quarantine_are_shown_to_operators_and_read_again() {
    let own = Folder::new();
    std::fs::write(own.path().join("places.toml"), FORGETFUL).unwrap();
    let folder = own.path().to_string_lossy().into_owned();
    let stack = Stack::builder().env("reporting", "REPORTING_SOURCES_DIR", &folder).start().await;
    for code in ["WH-1", "WH-2"] {
        let place = json!({ "code": code, "name": code, "kind": "warehouse" });
        stack.api("backoffice").post_json("/inventory/api/v1/locations", &place, 201).await;
    }
    run_job(&stack, "poll-places", &json!({})).await;

    let browser = signed_in(&stack, "operator").await;
    browser.open(&page(&stack, "/sources")).await;
    browser.sees("2 rows").await;
    browser.open(&page(&stack, "/sources/places")).await;
    browser.sees("2 in quarantine").await;
    let table = browser.text("[aria-labelledby=quarantine] tbody").await;
    assert_eq!(table.matches("NULL where the declaration allows none").count(), 2, "{table}");
    assert!(table.contains("store_places") && table.contains("store_id"), "{table}");
    browser.click("[aria-labelledby=quarantine] details summary").await;
    let row = browser.text("[aria-labelledby=quarantine] details pre").await;
    assert!(row.starts_with("location_id,code,store_id,deleted\n") && row.ends_with(",WH-1,\\N,false"), "{row}");

    // They do not fit this time either, and are there once.
    browser.click("form[action$='/replay'] button").await;
    wait_until("the poll to be shown as ended", std::time::Duration::from_secs(120), async || {
        browser.text("#run .lead").await.starts_with("succeeded").then_some(())
    })
    .await;
    browser.open(&page(&stack, "/sources/places")).await;
    browser.sees("2 in quarantine").await;
    drop(browser);

    let browser = signed_in(&stack, "analyst").await;
    browser.open(&page(&stack, "/sources/places")).await;
    browser.sees("are shown to operators").await;
    assert!(!browser.text("main").await.contains("WH-1"));
}
