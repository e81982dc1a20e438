//! The command line: what the API does, from a terminal on the machine that has the `REPORTING_*` environment.

mod backfill;
mod catalog;
mod export;
mod poll;
mod publish;
mod report;
mod restate;
mod rollups;
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
  reporting publish                              yesterday's revisions and files, where they changed
  reporting backfill --from 2026-03-01 --to 2026-03-31

Exit codes: 0 done, 1 failed, 2 the command line is wrong.";

// A command with arguments says itself what it does: a line here would take the place of its whole help.
#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API and run scheduled jobs, until SIGTERM.
    ///
    /// The console is served too, under /reporting/. Several replicas may run at once: each occurrence of a job is run
    /// by one of them. With `REPORTING_SCHEDULER=false` it serves and runs none.
    Serve,
    Poll(poll::Poll),
    RunReport(report::RunReport),
    Publish(publish::Publish),
    Backfill(backfill::Backfill),
    Restate(restate::Restate),
    Export(export::Export),
    Rollups(rollups::Rollups),
    VerifyRollups(rollups::VerifyRollups),
    /// Bring the schema of `reporting_db` up to date.
    ///
    /// As the role of `REPORTING_OWNER_URL`, where it is set. Safe to repeat; every command that opens the database
    /// does it first.
    Migrate,
    CheckCatalog(catalog::CheckCatalog),
}

/// Run one command.
///
/// # Errors
/// What the person at the terminal should read.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    let vars = Vars::from_env(PREFIX);
    if let Command::CheckCatalog(command) = cli.command {
        return command.run(vars).await;
    }
    let config = Config::read(vars)?;
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
        Command::Restate(command) => command.run(config).await,
        Command::Export(command) => command.run(config).await,
        Command::Rollups(command) => command.run(config).await,
        Command::VerifyRollups(command) => command.run(config).await,
        Command::CheckCatalog(_) => Ok(()),
    }
}
