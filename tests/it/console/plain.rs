//! With less than a browser can do: no script, and paper.

use serde_json::json;
use system_tests::wait_until;

use super::{column, noon, open_shop, page, signed_in};

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_without_a_script() {
    let (stack, _) = open_shop().await;
    let (first, second) = (noon(3).0, noon(2).0);
    let browser = system_tests::Browser::start().await;
    browser.without_scripts().await;
    browser.open(&page(&stack, &format!("/reports/sales_by_day?from={first}&to={first}"))).await;
    browser.write("#key", &stack.state().keys["operator"]).await;
    browser.click("button.primary").await;
    browser.sees("The chart needs JavaScript. The table has the same figures.").await;
    // Nobody has drawn, and nothing is left empty for a drawing.
    assert_eq!(browser.run("return document.querySelector('canvas').dataset.drawn ?? null").await, json!(null));
    assert_eq!(browser.run("return document.querySelector('.canvas').offsetHeight").await, 0);

    // Parameters, order, search, and what belongs to a report.
    browser.set("#p-to", &second.to_string()).await;
    browser.click(".ask button").await;
    browser.sees("2 rows").await;
    browser.click(".rows thead th:nth-child(5) a").await;
    browser.sees("2 rows").await;
    assert_eq!(column(&browser, "Net revenue").await, ["44.38", "28.96"]);
    assert!(browser.text(".copy code").await.contains("/reporting/api/v1/reports/sales_by_day?"));
    browser.open(&page(&stack, "/reports")).await;
    browser.write("#q", "reorder proposal").await;
    browser.click("form.search button").await;
    browser.sees("Days of cover and reorder proposal").await;
    assert_eq!(browser.run("return document.querySelectorAll('.cards .card').length").await, 1);

    // A run is followed by the page's own asking again.
    browser.open(&page(&stack, "/jobs")).await;
    browser.click("button[aria-label='Run now: housekeeping']").await;
    wait_until("the run to be shown as ended", std::time::Duration::from_secs(120), async || {
        browser.text("#run .lead").await.starts_with("succeeded").then_some(())
    })
    .await;
    browser.click("form.who button").await;
    browser.sees("API key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_prints_whole_dark_on_light_and_without_its_controls() {
    let (stack, _) = open_shop().await;
    let (first, second) = (noon(3).0, noon(2).0);
    let browser = signed_in(&stack, "analyst").await;
    browser.look(1280, 900, system_tests::Scheme::Dark).await;
    browser.open(&page(&stack, &format!("/reports/sales_by_day?from={first}&to={second}"))).await;
    browser.sees("2 rows").await;
    let seen = "return [...document.querySelectorAll('.top, .ask, .tabs, .downloads, .copy, button, .turn')].filter(it => it.checkVisibility()).map(it => it.outerHTML.slice(0, 80))";
    assert_ne!(browser.run(seen).await, json!([]), "on the screen they are there");
    browser.as_on_paper().await;
    assert_eq!(browser.run(seen).await, json!([]), "of no use on paper");
    let shown = "return ['h1', '.chart canvas', '.rows table', '.definitions', '.facts'].filter(it => !document.querySelector(it).checkVisibility())";
    assert_eq!(browser.run(shown).await, json!([]), "what is read on paper");
    // A box that scrolls would be cut off at its edge.
    let cut = "return [...document.querySelectorAll('.scroll')].filter(it => getComputedStyle(it).overflowY !== 'visible' || getComputedStyle(it).maxHeight !== 'none').length";
    assert_eq!(browser.run(cut).await, 0);
    let colours = "const of = getComputedStyle(document.documentElement); return [of.color, of.backgroundColor]";
    assert_eq!(browser.run(colours).await, json!(["rgb(0, 0, 0)", "rgb(255, 255, 255)"]));
}
