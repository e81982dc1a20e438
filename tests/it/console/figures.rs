//! Reports in the console: parameters, table, chart, downloads; none, many and stale rows.

use serde_json::json;
use system_tests::{Stack, wait_until};

use super::{column, noon, open_shop, page, poll_all, run_job, signed_in};
use crate::company::Company;

/// What the chart was given to draw.
async fn drawn(browser: &system_tests::Browser) -> serde_json::Value {
    let drawing = "const text = document.querySelector('script[data-chart]')?.textContent; return text ? JSON.parse(text) : null;";
    browser.run(drawing).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_signs_in_changes_a_parameter_and_takes_the_figures_along() {
    let (stack, _) = open_shop().await;
    let (first, second) = (noon(3).0, noon(2).0);
    let browser = system_tests::Browser::start().await;

    // A page asked for without a session leads to the form, and from there to the page.
    let report = page(&stack, &format!("/reports/sales_by_day?from={first}&to={first}"));
    browser.open(&report).await;
    browser.write("#key", "no such key").await;
    browser.click("button.primary").await;
    browser.sees("The gateway does not know this key.").await;
    browser.write("#key", &stack.state().keys["analyst"]).await;
    browser.click("button.primary").await;
    browser.sees("Sales by day").await;
    assert_eq!(browser.url().await, report);

    // 2 lamps at 12.50 and 4 bulbs at 0.99.
    assert_eq!(column(&browser, "Net revenue").await, ["28.96"]);
    assert_eq!(drawn(&browser).await["labels"], json!([first]));

    browser.set("#p-to", &second.to_string()).await;
    browser.click(".ask button").await;
    browser.sees("2 rows").await;
    // 3 lamps less five cents, and 7 bulbs.
    assert_eq!(column(&browser, "Net revenue").await, ["28.96", "44.38"]);
    let drawing = drawn(&browser).await;
    assert_eq!(
        (&drawing["labels"], &drawing["series"][0]["values"]),
        (&json!([first, second]), &json!([28.96, 44.38]))
    );
    wait_until("the chart to be drawn", std::time::Duration::from_secs(30), async || {
        (browser.run("return document.querySelector('canvas').dataset.drawn ?? null").await == "2").then_some(())
    })
    .await;

    // Sorted by a link, downwards first, and said to those who hear the page.
    browser.run("[...document.querySelectorAll('.rows thead a')].find(it => it.innerText.startsWith('Net revenue')).click()").await;
    assert!(browser.text("th[aria-sort=descending]").await.starts_with("Net revenue"));
    assert_eq!(column(&browser, "Net revenue").await, ["44.38", "28.96"]);
    assert_eq!(browser.run("return document.querySelectorAll('th[aria-sort=descending]').length").await, 1);

    // The file holds what the API says, byte for byte.
    browser.click("a[href*='format=csv'][download]").await;
    let file = wait_until("the download", std::time::Duration::from_secs(60), async || {
        let files = std::fs::read_dir(browser.downloads()).unwrap().flatten().map(|entry| entry.path());
        files.into_iter().find(|path| path.extension().is_some_and(|it| it == "csv"))
    })
    .await;
    let api = format!("/reporting/api/v1/reports/sales_by_day?from={first}&to={second}&format=csv");
    let expected = stack.api("analyst").get(&api).await.expect(200).body;
    assert_eq!(String::from_utf8(std::fs::read(&file).unwrap()).unwrap(), String::from_utf8(expected).unwrap());

    // And every other format is to be had.
    let offered = "return Promise.all([...document.querySelectorAll('.downloads a')].map(link => \
                   fetch(link.href).then(file => [new URL(link.href).searchParams.get('format'), file.status])))";
    let formats = ["csv", "csv-spreadsheet", "xlsx", "parquet", "json", "ndjson", "arrow"];
    assert_eq!(browser.run(offered).await, json!(formats.map(|format| (format, 200))));

    // The line for a terminal asks the gateway that the browser reached.
    let command = browser.text(".copy code").await;
    assert!(command.contains(&format!("{}/reporting/api/v1/reports/sales_by_day?", stack.gateway())), "{command}");

    // A value out of bounds is said beside its field.
    browser.open(&page(&stack, "/reports/product_ranking?limit=0")).await;
    assert!(browser.text("#e-limit").await.contains("at least 1"));
    assert!(browser.errors().await.iter().all(|error| error.contains("401") || error.contains("400")));
}

#[tokio::test(flavor = "multi_thread")]
async fn none_many_and_stale_rows_are_shown_for_what_they_are() {
    let own = system_tests::Folder::new();
    std::fs::create_dir_all(own.path().join("reports")).unwrap();
    let many = "/*---\ntitle = \"Many\"\ndescription = \"Ten thousand rows.\"\nsection = \"Own\"\ngrain = \"day\"\n\
                key = [\"number\"]\n[columns]\nnumber = { type = \"int64\", title = \"Number\" }\n\
                day = { type = \"date\", title = \"Day\" }\n[chart]\nkind = \"bar\"\nx = \"day\"\ny = \"number\"\n---*/\n\
                WITH days AS (SELECT business_day, ROW_NUMBER() OVER (ORDER BY business_day) AS place FROM calendar WHERE year = 2026),\n\
                tens AS (SELECT place AS ten FROM days WHERE place <= 100)\n\
                SELECT (d.place - 1) * 100 + t.ten AS number, d.business_day AS day\n\
                FROM days AS d CROSS JOIN tens AS t WHERE d.place <= 100 ORDER BY number\n";
    std::fs::write(own.path().join("reports/many.sql"), many).unwrap();
    std::fs::write(own.path().join("reports/none.sql"), many.replace("place <= 100 ORDER", "place < 0 ORDER")).unwrap();
    std::fs::write(own.path().join("reports/slip.sql"), many.replace("FROM calendar", "FROM calender")).unwrap();
    let mut stack =
        Stack::builder().env("reporting", "REPORTING_CATALOGUE_DIR", &own.path().to_string_lossy()).start().await;
    Company::found(&stack, 10).await;
    poll_all(&stack).await;
    let browser = signed_in(&stack, "operator").await;

    // A faulty file says so in the catalogue, and leaves the others alone.
    browser.open(&page(&stack, "/reports")).await;
    browser.sees("slip.sql:").await;
    browser.sees("there is no dataset or view \"calender\"").await;
    browser.sees("Store performance").await;

    browser.open(&page(&stack, "/reports/none")).await;
    browser.sees("0 rows").await;
    browser.sees("No rows for these parameters.").await;
    assert_eq!(browser.run("return document.querySelectorAll('.rows thead th').length === 2").await, true);

    browser.open(&page(&stack, "/reports/many")).await;
    browser.sees("1 to 100 of 10,000 rows").await;
    browser.sees("The first 25 of 100").await;
    assert_eq!(column(&browser, "Number").await.len(), 100);
    // The head stays where one scrolls to.
    let head = "const box = document.querySelector('.rows .scroll'); box.scrollTop = 1000; \
                const at = it => Math.round(it.getBoundingClientRect().top); \
                return [box.scrollTop, at(box.querySelector('thead th')) - at(box) <= 1]";
    assert_eq!(browser.run(head).await, json!([1000, true]));
    browser.click("nav.turn a[rel=next]").await;
    browser.sees("101 to 200 of 10,000 rows").await;
    browser.run("[...document.querySelectorAll('nav.turn a')].find(it => it.innerText === 'Last').click()").await;
    browser.sees("9,901 to 10,000 of 10,000 rows").await;
    browser.run("document.querySelector('.rows thead a').click()").await;
    browser.sees("1 to 100 of 10,000 rows").await;
    assert_eq!(column(&browser, "Number").await[0], "10,000");

    // A service that is down: its source fails, and says so where people look.
    stack.kill("retail");
    let api = stack.api("operator");
    api.post_json("/reporting/api/v1/sources/retail/poll", &json!({}), 202).await;
    wait_until("the poll to fail", std::time::Duration::from_secs(120), async || {
        browser.open(&page(&stack, "/sources/retail")).await;
        browser.text("body").await.contains("Failed in a row").then_some(())
    })
    .await;
    let sql = "UPDATE sync.source SET complete_through = now() - interval '1 day' WHERE name = 'retail'";
    sqlx::query(sql).execute(&stack.pool("reporting_db").await).await.unwrap();
    wait_until("the report to call its source stale", std::time::Duration::from_secs(60), async || {
        browser.open(&page(&stack, "/reports/store_performance")).await;
        browser.text("body").await.contains("Retail is stale").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restated_day_is_read_as_what_changed_and_why() {
    let (stack, company) = open_shop().await;
    let (day, at) = noon(2);
    // Told after the day was published.
    company.sell(&stack.api("pos"), at, 1, 1, 0).await;
    run_job(&stack, "poll-retail", &json!({})).await;
    run_job(&stack, "restate", &json!({})).await;

    let browser = signed_in(&stack, "analyst").await;
    browser.open(&page(&stack, "/reports/store_performance/revisions")).await;
    browser.sees("with 1").await;
    browser.run("[...document.querySelectorAll('td a')].find(it => it.innerText === 'with 1').click()").await;
    browser.sees("what changed").await;
    browser.sees("1 row changed").await;
    browser.sees("retail, sale lines: 2 added").await;
    let text = browser.text("main").await;
    // 44.38 and 13.49 more.
    for figure in ["44.38", "57.87", "+13.49", "TOR1"] {
        assert!(text.contains(figure), "{figure}: {text}");
    }
    // What was published first is still there to be read.
    browser.open(&page(&stack, &format!("/reports/store_performance?business_day={day}&revision=1"))).await;
    browser.sees("It never changes.").await;
    assert_eq!(column(&browser, "Net revenue").await, ["44.38"]);
}
