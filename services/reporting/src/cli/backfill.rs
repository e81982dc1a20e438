//! `reporting backfill`: publish past days.

use chrono::NaiveDate;
use clap::Args;
use serde_json::{Value, json};

use super::terminal::{grouped, print, print_failures, print_json, run_job};
use crate::{Config, wiring};

/// Publish the day reports of a range of past days, oldest first.
///
/// Days whose content has not changed get no new revision, so it is safe to repeat. Reports of a moment (grain
/// `snapshot`) are left out: a past moment can no longer be seen.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reporting backfill --from 2026-01-01 --to 2026-03-31 --report store_performance")]
pub(super) struct Backfill {
    /// First day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: NaiveDate,
    /// Last day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: NaiveDate,
    /// Only these reports; may be given several times.
    #[arg(long = "report", value_name = "NAME")]
    reports: Vec<String>,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

impl Backfill {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let state = wiring::open(config).await?;
        let mut arguments = json!({ "from": self.from, "to": self.to });
        if !self.reports.is_empty() {
            arguments["reports"] = json!(self.reports);
        }
        let row = run_job(&state, "backfill", &arguments).await?;
        let outcome = row.outcome.unwrap_or_default();
        if self.json {
            return print_json(&outcome);
        }
        let number = |name: &str| grouped(outcome.get(name).and_then(Value::as_i64).unwrap_or(0));
        print(format!(
            "{} to {}: {} days, {} new revisions, {} unchanged",
            self.from,
            self.to,
            number("days"),
            number("revisions"),
            number("unchanged")
        ))?;
        print_failures(&outcome)
    }
}
