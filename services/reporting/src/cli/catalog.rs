//! `reporting check-catalog`: does every report and view load?

use aggregator::report;
use anyhow::bail;
use clap::Args;

use super::terminal::{print, print_json, table};
use crate::{Config, wiring};

/// Check every report and view of the catalogue.
///
/// Parses each file, checks its header, parameters and SQL against the declared datasets, and names file, line and
/// reason of what is wrong.
#[derive(Debug, Args)]
pub(super) struct CheckCatalog {
    /// List the reports.
    #[arg(long)]
    list: bool,
    /// Print the names as JSON.
    #[arg(long)]
    json: bool,
}

impl CheckCatalog {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let state = wiring::open(config).await?;
        let catalogue = report::catalogue(&state.aggregator);
        if self.json {
            print_json(&catalogue.reports().map(|report| &report.name).collect::<Vec<_>>())?;
        } else if self.list {
            let mut rows = table(&["report", "title", "parameters"]);
            for report in catalogue.reports() {
                let parameters: Vec<&str> = report.params.keys().map(String::as_str).collect();
                rows.add_row([report.name.as_str(), report.title.as_str(), parameters.join(", ").as_str()]);
            }
            print(rows);
        } else {
            print(format!("{} reports are sound", catalogue.reports().count()));
        }
        let broken: Vec<String> = catalogue.broken().values().flatten().map(ToString::to_string).collect();
        if broken.is_empty() { Ok(()) } else { bail!("{} files are broken:\n{}", broken.len(), broken.join("\n")) }
    }
}
