//! What a running stack says about itself: `<data>/state.json`, which is also `stack status --json`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::layout::{Layout, write_private};

/// A stack that is up. Outsiders rely on these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// URL that clients use.
    pub gateway: String,
    /// URL of the gateway's metrics and upstream health.
    pub admin: String,
    /// `apikey` by consumer.
    pub keys: BTreeMap<String, String>,
    /// URL by database, as its owner.
    pub databases: BTreeMap<String, String>,
    /// URL by read-only role.
    pub readers: BTreeMap<String, String>,
    /// Each service's own process and address.
    pub services: BTreeMap<String, Service>,
    /// Folder of the lake's files.
    pub lake: PathBuf,
    /// Folder of the exported files.
    pub exports: PathBuf,
    /// IANA zone of the head office and the online shop.
    pub time_zone: String,
    /// The environment of each service, which `stack run` gives to a command.
    pub environment: BTreeMap<String, BTreeMap<String, String>>,
    /// The process that holds the stack together.
    pub stack: Daemon,
    /// Every process by name, databases and gateway included.
    pub processes: BTreeMap<String, Member>,
}

/// A service as clients of the private side see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub pid: u32,
    pub url: String,
}

/// The supervising process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    pub pid: u32,
    /// Start time in clock ticks since boot; with the pid it names the process for good. 0 where unknown.
    pub started: u64,
}

/// One process under supervision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Absent while it waits to be started again.
    pub pid: Option<u32>,
    pub port: u16,
    /// How often it ended without being asked to.
    pub restarts: u32,
}

impl State {
    /// The state of the stack on this folder, if one wrote it.
    ///
    /// # Errors
    /// [`Error::BadFile`] when the file is not what a stack writes.
    pub fn read(layout: &Layout) -> Result<Option<Self>> {
        let path = layout.state();
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| Error::BadFile { path, reason: error.to_string() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Replaces the file, whole.
    pub fn write(&self, layout: &Layout) -> Result<()> {
        let path = layout.state();
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::BadFile { path: path.clone(), reason: error.to_string() })?;
        write_private(&path, &text)
    }

    /// Whether the supervising process still runs.
    pub fn is_running(&self) -> bool {
        crate::process::is_alive(self.stack.pid, self.stack.started)
    }
}
