//! The `stack` command: the whole system on one machine.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chrono::NaiveDate;
use clap::{Parser, Subcommand, ValueEnum};
use stack::error::{Error, Result};
use stack::layout::Layout;
use stack::ports::Choice;
use stack::up::{self, Up};
use stack::{backup, demo, down, kong_config, run, seed, simulate, status};

/// Runs Tributary on one machine: four PostgreSQL clusters, the gateway and the four services.
#[derive(Debug, Parser)]
#[command(name = "stack", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything and look after it until Ctrl-C (or `stack down`).
    Up {
        #[command(flatten)]
        folder: Folder,
        /// The ports of the decision, or free ones.
        #[arg(long, value_enum, default_value = "fixed")]
        ports: PortsArg,
        /// Return when everything is ready, and leave it running.
        #[arg(long)]
        detach: bool,
        /// Leave a new data folder empty, without the demo company's history.
        #[arg(long)]
        empty: bool,
        /// The four databases and nothing else: to restore a backup into.
        #[arg(long)]
        databases: bool,
        /// What --detach starts.
        #[arg(long, hide = true)]
        in_background: bool,
    },
    /// Stop everything in order. The data stays.
    Down {
        #[command(flatten)]
        folder: Folder,
    },
    /// Show what runs, on which ports, and whether it answers.
    Status {
        #[command(flatten)]
        folder: Folder,
        /// For programs: URLs, keys, pids and folders.
        #[arg(long)]
        json: bool,
    },
    /// Tell the running system the history of a demo company, through the gateway. Safe to repeat.
    Seed {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        history: History,
    },
    /// Shoppers and tills on the running system, through the public API; then what they met.
    Simulate {
        #[command(flatten)]
        folder: Folder,
        /// Visits begun per second; a visit is several requests.
        #[arg(long, default_value_t = simulate::Traffic::default().rate, value_parser = rate)]
        rate: f64,
        /// For how many seconds visits are begun.
        #[arg(long = "for", value_name = "SECONDS", default_value_t = simulate::Traffic::default().length.as_secs())]
        seconds: u64,
        /// Visitors at one time, at most.
        #[arg(long, default_value_t = simulate::Traffic::default().users, value_parser = users)]
        users: usize,
        /// Another number makes other visits.
        #[arg(long, default_value_t = simulate::Traffic::default().seed)]
        seed: u64,
        /// For programs: counts, latencies in milliseconds, errors by kind.
        #[arg(long)]
        json: bool,
    },
    /// Run a command of a service with the running system's settings: `stack run reporting check-catalog`.
    Run {
        #[command(flatten)]
        folder: Folder,
        /// The service's program and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Copy databases, lake and exports of the running system into a new folder.
    Backup {
        #[command(flatten)]
        folder: Folder,
        /// The folder to write, which must not exist.
        to: PathBuf,
    },
    /// Make a new data folder from a backup; `stack up` starts it.
    Restore {
        #[command(flatten)]
        folder: Folder,
        /// The folder that `stack backup` wrote.
        from: PathBuf,
    },
    /// Print kong.yml with keys, token and targets filled in from the environment, for a real Kong.
    KongConfig {
        /// A file of NAME=value lines for what the environment does not name.
        #[arg(long)]
        secrets: Option<PathBuf>,
        /// Write it to this file, readable by its owner only, instead of printing it.
        #[arg(long)]
        output: Option<PathBuf>,
    },
    /// Start what is not running, seed 90 days of history, publish them, and show last night's reports.
    Demo {
        #[command(flatten)]
        folder: Folder,
        /// The ports of the decision, or free ones.
        #[arg(long, value_enum, default_value = "fixed")]
        ports: PortsArg,
        #[command(flatten)]
        history: History,
    },
}

/// How much history to seed.
#[derive(Debug, clap::Args)]
struct History {
    /// Days of history.
    #[arg(long, default_value_t = seed::Plan::default().days, value_parser = clap::value_parser!(u32).range(1..=3660))]
    days: u32,
    /// Number of stores.
    #[arg(long, default_value_t = seed::Plan::default().stores, value_parser = clap::value_parser!(u32).range(1..=500))]
    stores: u32,
    /// Number of products.
    #[arg(long, default_value_t = seed::Plan::default().products, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    products: u32,
    /// Number of customers of the online shop.
    #[arg(long, default_value_t = seed::Plan::default().customers, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    customers: u32,
    /// Another number makes another history.
    #[arg(long, default_value_t = seed::Plan::default().seed)]
    seed: u64,
    /// The last business day (default: yesterday in each store's zone).
    #[arg(long)]
    until: Option<NaiveDate>,
}

#[derive(Debug, clap::Args)]
struct Folder {
    /// Where databases, lake, exports, logs and secrets lie.
    #[arg(long, default_value = ".data")]
    data_dir: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PortsArg {
    Fixed,
    Auto,
}

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match kit::db::leave_out_libpq().map_err(Error::io("start", Path::new("stack"))) {
        Ok(()) => run(Cli::parse().command).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when even this cannot be written.
            writeln!(std::io::stderr(), "stack: {}", error.report()).ok();
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Up { folder, ports, detach, empty, databases, in_background } => {
            let up = Up { data: folder.data_dir, ports: ports.into(), empty, databases };
            match (in_background, detach) {
                (true, _) => up::run_in_background(&up).await,
                (false, true) => up::detach(&up, say),
                (false, false) => up::run(&up, say).await,
            }
        }
        Command::Down { folder } => down::run(&Layout::new(&folder.data_dir)?, say).await,
        Command::Status { folder, json } => {
            let state = status::read(&Layout::new(&folder.data_dir)?)?;
            if json {
                let text = serde_json::to_string_pretty(&state).map_err(|error| Error::Usage(error.to_string()))?;
                say(&text);
            } else {
                say(&status::table(&state).await);
            }
            Ok(())
        }
        Command::Seed { folder, history } => {
            let state = status::read(&Layout::new(&folder.data_dir)?)?;
            seed::run(&state, &history.into(), &mut say).await.map(drop)
        }
        Command::Simulate { folder, rate, seconds, users, seed, json } => {
            let state = status::read(&Layout::new(&folder.data_dir)?)?;
            let traffic = simulate::Traffic {
                rate,
                length: Duration::from_secs(seconds),
                users,
                seed,
                ..simulate::Traffic::default()
            };
            let tally = if json {
                simulate::run(&state, &traffic, &mut |_: &str| ()).await?
            } else {
                simulate::run(&state, &traffic, &mut say).await?
            };
            say(&if json { format!("{:#}", tally.json()) } else { tally.table() });
            Ok(())
        }
        Command::Run { folder, command } => run::run(&Layout::new(&folder.data_dir)?, &command),
        Command::Backup { folder, to } => backup::take(&Layout::new(&folder.data_dir)?, &to, say),
        Command::Restore { folder, from } => backup::restore(&Layout::new(&folder.data_dir)?, &from, say).await,
        Command::KongConfig { secrets, output } => {
            let config = kong_config::render(secrets.as_deref())?;
            match output {
                Some(path) => kong_config::write(&config, &path),
                None => {
                    say(config.trim_end());
                    Ok(())
                }
            }
        }
        Command::Demo { folder, ports, history } => {
            demo::run(folder.data_dir, ports.into(), &history.into(), &mut say).await
        }
    }
}

/// A number of visits per second.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.01..=10_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0.01 to 10000".to_owned()),
    }
}

/// A number of visitors.
fn users(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(users) if (1..=10_000).contains(&users) => Ok(users),
        _ => Err("must be a whole number from 1 to 10000".to_owned()),
    }
}

/// A line for the person at the terminal; a closed terminal is no reason to stop.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").ok();
}

impl From<PortsArg> for Choice {
    fn from(ports: PortsArg) -> Self {
        match ports {
            PortsArg::Fixed => Self::Fixed,
            PortsArg::Auto => Self::Auto,
        }
    }
}

impl From<History> for seed::Plan {
    fn from(history: History) -> Self {
        let History { days, stores, products, customers, seed, until } = history;
        Self { days, stores, products, customers, seed, until }
    }
}
