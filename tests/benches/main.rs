//! `make bench`: each topic measures something beside its peer or limit, in the same run, on the release build.
//!
//! `make bench TOPICS="gateway reports"` runs only those. Nothing here is a test: a missed target is printed, not
//! asserted.

mod console;
mod dashboards;
mod exports;
mod feed;
mod gateway;
mod history;
mod http;
mod idle;
mod import;
mod nightly;
mod polls;
mod reports;
mod users;
mod years;

use anyhow::{Result, ensure};
use system_tests::bench::{self, Row};

/// The topics, in the order of the data's way.
const TOPICS: &[&str] = &[
    "import",
    "feed",
    "polls",
    "reports",
    "nightly",
    "http",
    "exports",
    "users",
    "idle",
    "gateway",
    "dashboards",
    "console",
    "years",
];

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // Called again by a topic that wants a process of its own.
    match words.split_first() {
        Some((part, arguments)) if part == "--encode" => return exports::encode(arguments),
        Some((part, arguments)) if part == "--bare" => return http::bare(arguments).await,
        _ => {}
    }
    // Cargo adds `--bench`; what is left names topics.
    let asked: Vec<String> = words.into_iter().filter(|word| !word.starts_with("--")).collect();
    for word in &asked {
        ensure!(TOPICS.contains(&word.as_str()), "no bench is called {word}; there are {}", TOPICS.join(", "));
    }
    for topic in TOPICS.iter().filter(|topic| asked.is_empty() || asked.iter().any(|word| word == *topic)) {
        bench::print(topic, &run(topic).await?);
    }
    Ok(())
}

async fn run(topic: &str) -> Result<Vec<Row>> {
    match topic {
        "http" => http::run().await,
        "exports" => exports::run(),
        "import" => import::run().await,
        "feed" => feed::run().await,
        "gateway" => gateway::run().await,
        "users" => users::run().await,
        "idle" => idle::run().await,
        "polls" => polls::run().await,
        "console" => console::run().await,
        "dashboards" => dashboards::run().await,
        "reports" => reports::run().await,
        "nightly" => nightly::run().await,
        "years" => years::run().await,
        _ => unreachable!("the topics were checked"),
    }
}
