//! Every page, light and dark: nothing serious for people with a reader or without a mouse, and nothing blocked.

use system_tests::Scheme;

use super::{noon, open_shop, page, signed_in};

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_serious_on_any_page_light_or_dark_wide_or_narrow() {
    let (stack, _) = open_shop().await;
    let day = noon(2).0;
    let browser = system_tests::Browser::start().await;
    let mut found = Vec::new();
    for scheme in [Scheme::Light, Scheme::Dark] {
        browser.look(1280, 900, scheme).await;
        browser.open(&page(&stack, "/sign-in")).await;
        found.extend(browser.serious_faults().await.into_iter().map(|fault| format!("sign-in, {scheme:?}: {fault}")));
    }
    drop(browser);

    let browser = signed_in(&stack, "operator").await;
    let published = format!("/reports/store_performance?business_day={day}&revision=1");
    let pages = [
        "/",
        "/reports",
        "/reports?q=nothing-speaks-of-this",
        "/reports/sales_by_day",
        "/reports/product_performance",
        "/reports/category_mix",
        "/reports/hour_heatmap",
        "/reports/global_summary",
        "/reports/product_ranking?limit=0",
        &published,
        "/reports/store_performance/revisions",
        "/sources",
        "/sources/retail",
        "/jobs",
        "/jobs/nightly",
        "/runs/1",
        "/exports",
        "/no-such-page",
    ];
    for (width, scheme) in [(1280, Scheme::Light), (1280, Scheme::Dark), (390, Scheme::Light)] {
        browser.look(width, 900, scheme).await;
        for path in pages {
            browser.open(&page(&stack, path)).await;
            let faults = browser.serious_faults().await;
            found.extend(faults.into_iter().map(|fault| format!("{path}, {width} wide, {scheme:?}: {fault}")));
            let wider = browser.run("return document.documentElement.scrollWidth > innerWidth + 1").await;
            if wider == true {
                found.push(format!("{path}, {width} wide: it scrolls sideways"));
            }
        }
    }
    // A script or style that the policy blocks would be told here.
    found.extend(browser.errors().await.into_iter().filter(|error| !error.contains("status of 40")));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_reaches_the_content_first_and_the_catalogue_filters() {
    let (stack, _) = open_shop().await;
    let browser = signed_in(&stack, "analyst").await;
    browser.open(&page(&stack, "/reports")).await;
    // Tab, then Enter.
    browser.write("body", "\u{e004}").await;
    assert_eq!(browser.run("return document.activeElement.className").await, "skip");
    browser.write("a.skip", "\u{e007}").await;
    assert_eq!(browser.run("return document.activeElement.id").await, "content");

    browser.write("#q", "reorder proposal").await;
    assert_eq!(browser.text("[data-found]").await, "1 report");
    browser.click("form.search button").await;
    browser.sees("Days of cover and reorder proposal").await;
    assert!(browser.url().await.ends_with("/reports?q=reorder+proposal"));
}
