//! `reporting poll`: ask sources for their changes.

use anyhow::bail;
use clap::Args;
use jobs::poll::{self, PollArguments};
use serde_json::{Value, json};

use super::terminal::{grouped, print, print_json, run_job, table};
use crate::{Config, wiring};

/// Poll sources now and commit what changed to the lake.
///
/// A poll asks a source for every change since the last one and commits them as one snapshot; with nothing new it
/// only notes how far the lake is complete. One source that fails does not stop the others.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  reporting poll --all\n  reporting poll retail --json\n  reporting poll retail --allow-drops\n  reporting poll retail --whole"
)]
pub(super) struct Poll {
    /// The sources to poll.
    #[arg(required_unless_present = "all")]
    sources: Vec<String>,
    /// Poll every declared source.
    #[arg(long, conflicts_with = "sources")]
    all: bool,
    /// Read the datasets that have rows in quarantine from their start, and commit what fits now.
    #[arg(long)]
    replay: bool,
    /// Let a full refresh drop more of the rows held than the source's declaration allows.
    #[arg(long)]
    allow_drops: bool,
    /// Read every dataset from its start: what was changed past the feed comes, too.
    #[arg(long)]
    whole: bool,
    /// Print the outcomes as JSON.
    #[arg(long)]
    json: bool,
}

impl Poll {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let state = wiring::open(config).await?;
        let sources = if self.all {
            state.aggregator.sources().iter().map(|source| source.declaration.name.clone()).collect()
        } else {
            for source in &self.sources {
                state.aggregator.sources().get(source)?;
            }
            self.sources
        };
        let (replay, allow_drops, whole) = (self.replay, self.allow_drops, self.whole);
        let asked = serde_json::to_value(PollArguments { replay, allow_drops, whole })?;
        let mut outcomes: Vec<Value> = Vec::new();
        let mut failed = Vec::new();
        for source in sources {
            match run_job(&state, &poll::job_name(&source), &asked).await {
                Ok(row) => outcomes.push(row.outcome.unwrap_or_default()),
                Err(error) => failed.push(format!("{source}: {error:#}")),
            }
        }
        if self.json {
            print_json(&json!({ "polled": outcomes, "failed": failed }))?;
        } else {
            let statuses = state.aggregator.sources().status().await?;
            let mut rows =
                table(&["source", "snapshot", "added", "changed", "removed", "quarantined", "complete through"]);
            for outcome in &outcomes {
                let number = |name: &str| outcome.get(name).and_then(Value::as_i64);
                let count = |name: &str| grouped(number(name).unwrap_or(0));
                let source = outcome.get("source").and_then(Value::as_str).unwrap_or_default();
                let through = statuses.iter().find(|status| status.name == source).and_then(|it| it.complete_through);
                rows.add_row([
                    source.to_owned(),
                    number("snapshot").map_or_else(|| "nothing new".to_owned(), |it| it.to_string()),
                    count("rows_added"),
                    count("rows_changed"),
                    count("rows_removed"),
                    count("rows_quarantined"),
                    through.map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string()),
                ]);
            }
            print(rows)?;
        }
        let held = outcomes.iter().flat_map(|it| it.get("held").and_then(Value::as_array)).flatten();
        let held: Vec<&str> = held.filter_map(|it| it.get("dataset").and_then(Value::as_str)).collect();
        if !held.is_empty() {
            failed.push(format!("{}: too many rows would be dropped, see --allow-drops", held.join(", ")));
        }
        if failed.is_empty() { Ok(()) } else { bail!("not polled: {}", failed.join("; ")) }
    }
}
