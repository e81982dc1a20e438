//! The report API and its command line, over real processes: what is answered, what is refused, and who may be slow.

mod answers;
mod clients;
mod command_line;
mod downloads;
mod freshness;
mod openapi;
mod own_folder;
mod parameters;
mod priority;
mod refusals;
mod runaway;
mod runs;
mod slow;
mod spool;
pub(crate) mod workers;

use std::path::Path;

use serde_json::Value;
use system_tests::{Api, Stack, many};

const REPORTS: &str = "/reporting/api/v1/reports";

/// A stack of the reporting service alone, with the report `many`, and small bounds where a test would wait for large
/// ones.
async fn reporting(variables: &[(&str, &str)]) -> Stack {
    let mut builder = Stack::builder().only(&["reporting"]).env("reporting", "REPORTING_SCHEDULER", "true");
    for (name, value) in variables {
        builder = builder.env("reporting", name, value);
    }
    builder.env("reporting", "REPORTING_CATALOGUE_DIR", &many::catalogue().to_string_lossy()).start().await
}

/// The stack of all tests that break nothing.
async fn shared() -> &'static Stack {
    static SHARED: tokio::sync::OnceCell<Stack> = tokio::sync::OnceCell::const_new();
    SHARED.get_or_init(|| reporting(&[])).await
}

/// The service as the gateway sees it: without the rates of a consumer.
fn api(stack: &Stack) -> Api {
    stack.direct("reporting")
}

/// The path of a report at the service itself.
fn direct(report: &str) -> String {
    format!("/api/v1/reports/{report}")
}

/// A number of `/metrics`.
async fn metric(api: &Api, name: &str) -> f64 {
    let text = api.get("/metrics").await.expect(200).text();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// The names of what lies in a folder.
fn listed(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn rows(document: &Value) -> &Vec<Value> {
    document["rows"].as_array().unwrap()
}
