//! `reporting publish`: the nightly run of one day, now.

use chrono::{NaiveDate, Utc};
use clap::Args;
use serde_json::{Value, json};

use super::terminal::{print, print_json, run_job};
use crate::{Config, wiring};

/// Publish the reports of one business day, and write its export pack.
///
/// Polls every source first. Without --wait, a day whose data is not complete is published as provisional.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  reporting publish\n  reporting publish --day 2026-03-08 --wait")]
pub(super) struct Publish {
    /// The business day; yesterday in the company's zone when absent.
    #[arg(long, value_name = "YYYY-MM-DD")]
    day: Option<NaiveDate>,
    /// Wait for data that is missing, up to the job's deadline.
    #[arg(long)]
    wait: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

impl Publish {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let day = self.day.unwrap_or_else(|| jobs::nightly::day_before(Utc::now(), config.days()));
        let state = wiring::open(config).await?;
        let row = run_job(&state, "nightly", &json!({ "business_day": day, "wait": self.wait })).await?;
        let outcome = row.outcome.unwrap_or_default();
        if self.json {
            return print_json(&outcome);
        }
        let number = |name: &str| outcome.get(name).and_then(Value::as_i64).unwrap_or(0);
        print(format!(
            "{day}: {} reports, {} new revisions, {} unchanged; {} final, {} provisional",
            number("reports"),
            number("revisions"),
            number("unchanged"),
            number("finals"),
            number("provisionals"),
        ))?;
        let export = outcome.get("export").cloned().unwrap_or_default();
        let files = export.get("files").and_then(Value::as_i64).unwrap_or(0);
        print(format!("{files} files written to {}", state.config.exports_dir.join(day.to_string()).display()))?;
        super::terminal::print_failures(&outcome)
    }
}
