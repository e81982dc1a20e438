//! `reporting check-catalog`: does every report and view load?

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use kit::config::Vars;
use serde_json::json;

use super::terminal::{print, print_json, table};

/// Check every report and view of the catalogue.
///
/// Parses each file, checks its header, parameters and SQL against the declared datasets, and names file, line and
/// reason of what is wrong. Fails when a file is broken; the others work all the same. Needs files alone: nothing has to
/// run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  reporting check-catalog\n  reporting check-catalog --catalogue-dir own --list")]
pub(super) struct CheckCatalog {
    /// Folder with further reports/*.sql and views/*.sql; `REPORTING_CATALOGUE_DIR` when absent.
    #[arg(long, value_name = "DIR")]
    catalogue_dir: Option<PathBuf>,
    /// Folder with further source declarations; `REPORTING_SOURCES_DIR` when absent.
    #[arg(long, value_name = "DIR")]
    sources_dir: Option<PathBuf>,
    /// List the reports with their parameters.
    #[arg(long)]
    list: bool,
    /// Print reports and faults as JSON.
    #[arg(long, conflicts_with = "list")]
    json: bool,
}

impl CheckCatalog {
    pub(super) async fn run(self, mut vars: Vars) -> anyhow::Result<()> {
        let mut folder = |given: Option<PathBuf>, name: &'static str, what: &'static str| match given {
            Some(folder) => Ok(Some(folder)),
            None => vars.optional(name, what),
        };
        let sources = folder(self.sources_dir, "SOURCES_DIR", "folder with further source declarations (*.toml)")?;
        let own = folder(self.catalogue_dir, "CATALOGUE_DIR", "folder with further reports/*.sql and views/*.sql")?;
        let catalogue = aggregator::check_files(sources.as_deref(), own).await?;
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
