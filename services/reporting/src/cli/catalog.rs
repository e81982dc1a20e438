//! `reporting check-catalog`: does every report and view load?

use aggregator::report;
use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::terminal::{print, print_json, table};
use crate::{Config, wiring};

/// Check every report and view of the catalogue.
///
/// Parses each file, checks its header, parameters and SQL against the declared datasets, and names file, line and
/// reason of what is wrong. Fails when a file is broken; the others work all the same.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  reporting check-catalog\n  reporting check-catalog --list")]
pub(super) struct CheckCatalog {
    /// List the reports with their parameters.
    #[arg(long)]
    list: bool,
    /// Print reports and faults as JSON.
    #[arg(long, conflicts_with = "list")]
    json: bool,
}

impl CheckCatalog {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let state = wiring::open(config).await?;
        let catalogue = report::catalogue(&state.aggregator);
        let broken: Vec<String> = catalogue.broken().values().flatten().map(ToString::to_string).collect();
        if self.json {
            let reports: Vec<_> = catalogue
                .reports()
                .map(|it| json!({ "name": it.name, "title": it.title, "parameters": it.params }))
                .collect();
            print_json(&json!({ "reports": reports, "broken": broken }))?;
        } else if self.list {
            let mut rows = table(&["report", "title", "parameters"]);
            for report in catalogue.reports() {
                let parameters: Vec<&str> = report.params.keys().map(String::as_str).collect();
                rows.add_row([report.name.as_str(), report.title.as_str(), parameters.join(", ").as_str()]);
            }
            print(rows)?;
        } else {
            print(format!("{} reports are sound", catalogue.reports().count()))?;
        }
        if broken.is_empty() { Ok(()) } else { bail!("{} faults:\n{}", broken.len(), broken.join("\n")) }
    }
}
