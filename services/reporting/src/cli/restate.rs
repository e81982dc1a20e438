//! `reporting restate`: publish again what has changed.

use clap::Args;
use serde_json::{Value, json};

use super::terminal::{grouped, print, print_json, run_job};
use crate::{Config, wiring};

/// Publish again the days whose data changed after they were published.
///
/// The job `restate` does so by itself for the days of its window; what came for older ones marks their figures as
/// outdated, and --outdated publishes these too. A day whose figures are the same gets no new revision.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reporting restate --outdated")]
pub(super) struct Restate {
    /// Also the days before the window, whose figures are marked as outdated.
    #[arg(long)]
    outdated: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

impl Restate {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let state = wiring::open(config).await?;
        let row = run_job(&state, "restate", &json!({ "outdated": self.outdated })).await?;
        let outcome = row.outcome.unwrap_or_default();
        if self.json {
            return print_json(&outcome);
        }
        let number = |name: &str| grouped(outcome.get(name).and_then(Value::as_i64).unwrap_or(0));
        let beyond = outcome.get("beyond_window").and_then(Value::as_array).map_or(0, Vec::len);
        print(format!("{} figures looked at again, {} new revisions", number("looked_at"), number("revisions")))?;
        if beyond > 0 {
            print(format!(
                "{beyond} days before the window have changed; `reporting restate --outdated` publishes them"
            ))?;
        }
        let failed: Vec<&str> =
            outcome.get("failed").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        anyhow::ensure!(failed.is_empty(), "not published: {}", failed.join("; "));
        Ok(())
    }
}
