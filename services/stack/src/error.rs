//! What can go wrong when a machine is asked to run everything, each with what to do about it.

use std::path::{Path, PathBuf};

/// Result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the stack. `Display` is for the person at the terminal and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that must be installed is not there.
    #[error("{program} was not found ({looked}).\n  {install}")]
    MissingProgram { program: String, looked: String, install: String },
    /// One or more ports are taken by somebody else.
    #[error("{}.\n  Stop what holds them, or let the stack choose free ones: `stack up --ports auto` (`make demo PORTS=auto`).", list.join("; "))]
    PortsBusy { list: Vec<String> },
    /// Another `stack up` owns this data folder.
    #[error("a stack is already running on {} (process {pid}).\n  `stack status` shows it, `stack down` stops it, another --data-dir starts a second one.", data.display())]
    AlreadyRunning { pid: u32, data: PathBuf },
    /// A stack takes this data folder into use.
    #[error("a stack is starting on {} (process {pid}).\n  It is ready within a minute; `stack down` ends it.", data.display())]
    Starting { pid: u32, data: PathBuf },
    /// Nothing runs on this data folder.
    #[error("no stack is running on {}.\n  Start one with `stack up`, or name its folder with --data-dir.", data.display())]
    NotRunning { data: PathBuf },
    /// A process ended instead of becoming ready.
    #[error("{name} ended ({status}) instead of starting{}. The end of {}:\n{tail}", said_full(tail), log.display())]
    Ended { name: String, status: String, log: PathBuf, tail: String },
    /// A process runs but does not become ready.
    #[error("{name} was not ready after {seconds} s: {why}. The end of {}:\n{tail}", log.display())]
    NotReady { name: String, seconds: u64, why: String, log: PathBuf, tail: String },
    /// A helper program (such as `initdb`) failed.
    #[error("{program} failed ({status}){}: {output}", said_full(output))]
    Program { program: String, status: String, output: String },
    /// The data folder of a cluster cannot be used.
    #[error("{}: {reason}", path.display())]
    Folder { path: PathBuf, reason: String },
    /// A file of the data folder does not say what it must.
    #[error("{}: {reason}", path.display())]
    BadFile { path: PathBuf, reason: String },
    /// The operating system refused a file operation.
    #[error("could not {doing} {}{}", path.display(), disk_hint(source))]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// PostgreSQL refused while roles and databases were set up.
    #[error("{database}: could not {doing}")]
    Database { database: String, doing: &'static str, source: sqlx::Error },
    /// A call through the gateway failed.
    #[error("{what}: {reason}")]
    Call { what: String, reason: String },
    /// `kong.yml` could not be filled in.
    #[error("kong.yml: {0}")]
    Gateway(String),
    /// An argument that clap cannot judge by itself.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// For `map_err` on file operations: remembers what was being done to which path.
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// For `map_err` on statements of the set-up.
    pub fn database(database: &str, doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        let database = database.to_owned();
        move |source| Self::Database { database, doing, source }
    }

    /// The message with the chain of causes, for the terminal.
    pub fn report(&self) -> String {
        base::error_chain(self)
    }
}

/// A full disk is common enough on a laptop to be named with its cure.
const FULL: &str = " (the disk is full: free some space, then start again; what is there is intact)";

fn disk_hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => FULL,
        _ => "",
    }
}

/// The same where another program met it: PostgreSQL says so in the system's words.
fn said_full(output: &str) -> &'static str {
    if output.contains("No space left on device") { FULL } else { "" }
}
