//! Where the links of the dashboards lead: to pages of the console that are there.

use std::collections::BTreeSet;

use serde_json::Value;
use system_tests::grafana::{Board, Scene};
use system_tests::{Api, Stack};

use super::company::shared;

/// Every `url` in a dashboard, wherever it stands.
fn urls(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(url) if key == "url" && !url.is_empty() => drop(found.insert(url.to_owned())),
                    _ => urls(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| urls(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_link_leads_to_a_page() {
    let stack = shared().await;
    let mut paths = BTreeSet::new();
    for board in Board::all() {
        let mut found = BTreeSet::new();
        urls(&board.json, &mut found);
        let mut scene = Scene::last("7d", chrono::Utc::now());
        scene.variables.insert("gateway".to_owned(), vec![stack.gateway()]);
        scene.variables.insert("day".to_owned(), vec![chrono::Utc::now().date_naive().to_string()]);
        // Each row's own report: all of them are linked to somewhere else too.
        for field in ["__data.fields.Report", "__data.fields.report"] {
            scene.variables.insert(field.to_owned(), vec!["store_performance".to_owned()]);
        }
        paths.extend(found.iter().map(|url| scene.text(url).unwrap_or_else(|unknown| panic!("{url}: {unknown:?}"))));
    }
    assert!(paths.len() > 20, "{paths:?}");
    let browser = console(stack).await;
    for path in paths {
        let path = path.strip_prefix(&stack.gateway()).unwrap_or_else(|| panic!("{path} is not at the gateway"));
        let page = browser.get(path).await.expect(200);
        assert_eq!(page.media_type(), "text/html", "{path}");
    }
}

/// A browser in which the analyst has signed in: those who read the dashboards follow these links.
async fn console(stack: &Stack) -> Api {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let form = format!("key={}", stack.state().keys["analyst"]);
    let url = format!("{}/reporting/sign-in", stack.gateway());
    let request = client.post(url).header("content-type", "application/x-www-form-urlencoded");
    let request = request.header("origin", stack.gateway()).header("sec-fetch-site", "same-origin");
    let answer = request.body(form).send().await.unwrap();
    let cookie = answer.headers().get("set-cookie").expect("a session").to_str().unwrap();
    Api::new(&stack.gateway(), &[("cookie", cookie.split(';').next().unwrap())])
}
