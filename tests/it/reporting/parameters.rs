//! A value of a parameter is the same by URL, command line, console and run, whatever characters it has.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use system_tests::{Browser, Folder, Stack, campaign, seed, wait_until};

use super::direct;

/// Each kind of list, and a text; a row where the text is among the words.
const GIVEN: &str = r#"/*---
title = "Given"
description = "A day, if a text is among the words."
section = "Test"
grain = "snapshot"
key = ["day"]
[params]
words = { type = "list", of = "string", default = [] }
days = { type = "list", of = "date", default = [] }
numbers = { type = "list", of = "int", default = [] }
shares = { type = "list", of = "decimal", default = [] }
text = { type = "string", default = "none" }
[columns]
day = { type = "date", title = "Day" }
---*/
SELECT business_day AS day FROM calendar
WHERE business_day IN ($days) AND year IN ($numbers) AND year * 1.0 IN ($shares)
  AND CASE WHEN year > 0 THEN $text ELSE '' END IN ($words)
ORDER BY day
"#;

/// What separates, quotes or escapes somewhere on the way, and what looks like nothing.
const AWKWARD: &str = ",;&=+%#?'\"\\$`{}[]()<>| -_.:/@*!~é絨🧸\u{a0}\u{2028}\u{200b}aZ09";

type Given = BTreeMap<&'static str, Vec<String>>;

fn word(random: &mut StdRng) -> String {
    let letters: Vec<char> = AWKWARD.chars().collect();
    (0..random.random_range(1..8)).map(|_| letters[random.random_range(0..letters.len())]).collect()
}

/// Values of every parameter; the day is one that the other conditions let pass.
fn given(random: &mut StdRng) -> Given {
    let words: Vec<String> = (0..4).map(|_| word(random)).collect();
    let text =
        if random.random_ratio(1, 2) { words[random.random_range(0..words.len())].clone() } else { word(random) };
    let some = |random: &mut StdRng, mine: &str, others: [&str; 2]| {
        let mut all = vec![mine.to_owned()];
        all.extend(others[..random.random_range(0..=2)].iter().map(ToString::to_string));
        all
    };
    BTreeMap::from([
        ("words", words),
        ("text", vec![text]),
        ("days", some(random, "2026-03-08", ["1999-12-31", "2027-02-28"])),
        ("numbers", some(random, "2026", ["-7", "0"])),
        ("shares", some(random, "2026", ["-0.5", "1234567.25"])),
    ])
}

fn pairs(given: &Given) -> Vec<(&str, &str)> {
    given.iter().flat_map(|(name, values)| values.iter().map(|value| (*name, value.as_str()))).collect()
}

/// The parameters of an answer as what was given, and its rows.
fn given_and_rows(answer: &Value) -> (BTreeMap<String, Vec<String>>, u64) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let values = |value: &Value| match value {
        Value::Array(values) => values.iter().map(text).collect(),
        one => vec![text(one)],
    };
    let parameters = answer["parameters"].as_object().unwrap();
    let parameters = parameters.iter().map(|(name, value)| (name.clone(), values(value))).collect();
    (parameters, answer["row_count"].as_u64().unwrap())
}

async fn by_run(stack: &Stack, given: &Given) -> Value {
    let api = super::api(stack);
    let parameters: BTreeMap<&str, Value> = given
        .iter()
        .map(|(name, values)| (*name, if *name == "text" { json!(values[0]) } else { json!(values) }))
        .collect();
    let runs = format!("{}/runs", direct("given"));
    let run = api.post(&runs, &json!({"parameters": parameters, "format": "json"})).await.expect(202).json();
    let run = wait_until("the run to end", Duration::from_secs(120), async || {
        let run = api.get_json(&format!("{runs}/{}", run["id"])).await;
        (!run["finished_at"].is_null()).then_some(run)
    })
    .await;
    api.get_json(&format!("{runs}/{}", run["result"]["href"].as_str().unwrap())).await
}

async fn by_command_line(stack: &Stack, given: &Given) -> Value {
    let words: Vec<String> = pairs(given).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut arguments = vec!["run-report", "given", "--json"];
    arguments.extend(words.iter().map(String::as_str));
    let output = stack.cli("reporting", &arguments).await;
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the console's form, filled in by hand, asks for: the file that its page offers.
async fn by_console(browser: &Browser, stack: &Stack, given: &Given) -> Value {
    browser.open(&format!("{}/reporting/reports/given", stack.gateway())).await;
    for (name, values) in given {
        browser.set(&format!("#p-{name}"), &values.join("\n")).await;
    }
    browser.click(".ask button").await;
    browser.sees("row").await;
    let offered =
        "return fetch(document.querySelector(\".downloads a[href*='format=json']\").href).then(file => file.json())";
    browser.run(offered).await
}

#[tokio::test(flavor = "multi_thread")]
async fn any_value_arrives_by_every_way() {
    let own = Folder::new();
    std::fs::create_dir_all(own.path().join("reports")).unwrap();
    std::fs::write(own.path().join("reports/given.sql"), GIVEN).unwrap();
    let folder = own.path().to_string_lossy().into_owned();
    let stack = Stack::builder()
        .only(&["reporting"])
        .env("reporting", "REPORTING_CATALOGUE_DIR", &folder)
        .env("reporting", "REPORTING_SCHEDULER", "true")
        .start()
        .await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/reporting/reports/given", stack.gateway())).await;
    browser.write("#key", &stack.state().keys["operator"]).await;
    browser.click("button.primary").await;
    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..campaign(3, 50) {
        let given = given(&mut random);
        let meant: BTreeMap<String, Vec<String>> =
            given.iter().map(|(name, values)| ((*name).to_owned(), values.clone())).collect();
        let rows = u64::from(given["words"].contains(&given["text"][0]));
        let api = super::api(&stack);
        let by_url = api.call(reqwest::Method::GET, &direct("given")).query(&pairs(&given)).send().await.expect(200);
        for (way, answer) in [
            ("URL", by_url.json()),
            ("command line", by_command_line(&stack, &given).await),
            ("run", by_run(&stack, &given).await),
            ("console", by_console(&browser, &stack, &given).await),
        ] {
            assert_eq!(given_and_rows(&answer), (meant.clone(), rows), "{way}: {given:?}");
        }
    }
}
