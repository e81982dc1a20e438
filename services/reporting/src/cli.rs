//! The command line: what the API does, from a terminal on the machine that has the `REPORTING_*` environment.

mod backfill;
mod catalog;
mod export;
mod poll;
mod publish;
mod report;
mod terminal;

use clap::{Parser, Subcommand};
use kit::config::Vars;

use crate::{Config, config::PREFIX, wiring};

/// Tributary's reporting service and its tools.
///
/// Every command reads its configuration from REPORTING_* variables; one that is missing or unknown is named. Results
/// go to standard output, progress and notes to standard error.
#[derive(Debug, Parser)]
#[command(name = "reporting", version, propagate_version = true, after_help = TEACHING)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const TEACHING: &str = "\
A first report:
  reporting poll --all                           ask the services for what is new
  reporting check-catalog --list                 which reports there are, with their parameters
  reporting run-report store_performance from=today-7d to=yesterday
  reporting run-report store_performance --output stores.xlsx

Last night, once more:
  reporting publish                              yesterday's revisions and files; equal content makes none
  reporting backfill --from 2026-03-01 --to 2026-03-31

Exit codes: 0 done, 1 failed, 2 the command line is wrong.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API and run scheduled jobs, until SIGTERM.
    Serve,
    /// Poll sources now and commit what changed to the lake.
    Poll(poll::Poll),
    /// Compute a report and print it, or write it to a file.
    RunReport(report::RunReport),
    /// Publish the reports of one business day, and write its export pack.
    Publish(publish::Publish),
    /// Publish the day reports of a range of past days, oldest first.
    Backfill(backfill::Backfill),
    /// Write the export pack of one business day from what is published.
    Export(export::Export),
    /// Bring the schema of `reporting_db` up to date.
    Migrate,
    /// Check every report and view of the catalogue.
    CheckCatalog(catalog::CheckCatalog),
}

/// Run one command.
///
/// # Errors
/// What the person at the terminal should read.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    let config = Config::read(Vars::from_env(PREFIX))?;
    match cli.command {
        Command::Serve => crate::serve::run(config).await,
        Command::Migrate => {
            wiring::migrate(&config).await?;
            terminal::print("the schema of reporting_db is up to date")
        }
        Command::Poll(command) => command.run(config).await,
        Command::RunReport(command) => command.run(config).await,
        Command::Publish(command) => command.run(config).await,
        Command::Backfill(command) => command.run(config).await,
        Command::Export(command) => command.run(config).await,
        Command::CheckCatalog(command) => command.run(config).await,
    }
}
