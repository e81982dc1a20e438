//! `reporting rollups` and `reporting verify-rollups`: what is kept of views, and whether it is right.

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};

use super::terminal::{grouped, patiently, print, print_json, run_job, table};
use crate::{Config, wiring};

/// Show what is kept of each view that says keep = "day".
///
/// The job `keep` computes the rows of days that have ended, and of those that have changed since. A day that is not
/// kept, or has changed since, is computed from the datasets by every report that reads it: no answer waits for the job.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  reporting rollups\n  reporting rollups --keep")]
pub(super) struct Rollups {
    /// Keep first what is to be kept now.
    #[arg(long)]
    keep: bool,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

impl Rollups {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let state = wiring::open(config).await?;
        if self.keep {
            let row = run_job(&state, "keep", &json!({})).await?;
            let outcome = row.outcome.unwrap_or_default();
            let failed = outcome.get("failed").and_then(Value::as_array).into_iter().flatten();
            let failed: Vec<&str> = failed.filter_map(Value::as_str).collect();
            ensure!(failed.is_empty(), "not kept: {}", failed.join("; "));
        }
        let rollups = state.aggregator.reports().rollups().await?;
        if self.json {
            return print_json(&rollups);
        }
        let mut rows = table(&["view", "days", "changed since", "rows", "bytes", "read by"]);
        for it in &rollups {
            let [days, outdated, held, bytes] = [it.days, it.outdated, it.rows, it.bytes].map(grouped);
            rows.add_row([&it.view, &days, &outdated, &held, &bytes, &it.reports.join(", ")]);
        }
        print(rows)
    }
}

/// Compare the kept rows of every view with what its definition gives.
///
/// Computes each day that is kept and counts once more from the datasets. Fails when rows differ, and names the days;
/// with --repair these are forgotten, so that reports compute them from the datasets until they are kept again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  reporting verify-rollups\n  reporting verify-rollups --repair")]
pub(super) struct VerifyRollups {
    /// Forget the days that differ; the job `keep` keeps them anew.
    #[arg(long)]
    repair: bool,
    /// Print what was compared as JSON.
    #[arg(long)]
    json: bool,
}

impl VerifyRollups {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let state = wiring::open(config).await?;
        let reports = state.aggregator.reports();
        let (mut found, mut wrong) = (Vec::new(), Vec::new());
        for kept in reports.catalogue().kept() {
            let name = &kept.view.name;
            let verified = patiently(name, reports.verify_rollup(kept, self.repair)).await?;
            wrong.extend(verified.wrong.iter().map(|day| format!("{name} {day}")));
            found.push(verified);
        }
        if self.json {
            print_json(&found)?;
        } else {
            let mut rows = table(&["view", "days", "rows", "wrong days"]);
            for it in &found {
                let [days, held, wrong] =
                    [it.days, it.rows, it.wrong.len()].map(|it| grouped(i64::try_from(it).unwrap_or(i64::MAX)));
                rows.add_row([&it.view, &days, &held, &wrong]);
            }
            print(rows)?;
        }
        ensure!(wrong.is_empty() || self.repair, "kept rows differ from their definition: {}", wrong.join(", "));
        Ok(())
    }
}
