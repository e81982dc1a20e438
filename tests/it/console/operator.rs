//! What an operator sets in motion, and what others may not.

use system_tests::wait_until;

use super::{open_shop, page, signed_in};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_runs_a_job_and_sees_it_finish() {
    let (stack, _) = open_shop().await;
    let browser = signed_in(&stack, "operator").await;
    // The night before last was published, and says so; what was sold is what was moved.
    browser.sees("Nothing has been published for").await;
    let checks = browser.text("main").await;
    assert!(checks.contains("Stock reconciliation") && checks.contains("agrees"), "{checks}");
    browser.open(&page(&stack, "/jobs")).await;
    browser.click("button[aria-label='Run now: housekeeping']").await;
    browser.sees("housekeeping").await;
    assert!(browser.url().await.contains("/reporting/runs/"));
    // Nobody reloads the page: it follows the run by itself.
    wait_until("the run to be shown as ended", std::time::Duration::from_secs(120), async || {
        browser.text("#run .lead").await.starts_with("succeeded").then_some(())
    })
    .await;
    browser.sees("What came of it").await;
    browser.open(&page(&stack, "/jobs/housekeeping")).await;
    browser.sees("somebody").await;

    // A backfill asks for its days, and refuses to start without them.
    browser.open(&page(&stack, "/jobs/backfill")).await;
    browser.click(".stack button").await;
    assert!(browser.url().await.ends_with("/jobs/backfill"));

    // A poll now.
    browser.open(&page(&stack, "/sources")).await;
    browser.click("button[aria-label='Poll now: retail']").await;
    wait_until("the poll to be shown as ended", std::time::Duration::from_secs(120), async || {
        browser.text("#run .lead").await.starts_with("succeeded").then_some(())
    })
    .await;

    // The night's files.
    browser.open(&page(&stack, "/exports?report=store_performance&format=parquet")).await;
    browser.sees("store_performance.parquet").await;

    browser.click("form.who button").await;
    browser.sees("API key").await;
    browser.open(&page(&stack, "/jobs")).await;
    browser.sees("API key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_reads_and_a_back_office_reads_reports_only() {
    let (stack, _) = open_shop().await;
    let browser = signed_in(&stack, "analyst").await;
    browser.open(&page(&stack, "/jobs/nightly")).await;
    browser.sees("Runs").await;
    assert!(!browser.text("main").await.contains("Run now"));
    drop(browser);

    let browser = signed_in(&stack, "backoffice").await;
    let rooms = browser.text(".top nav").await;
    assert!(rooms.contains("Reports") && !rooms.contains("Jobs"), "{rooms}");
    browser.open(&page(&stack, "/sources")).await;
    browser.sees("need an analyst").await;
}
