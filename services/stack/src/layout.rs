//! Where things lie in the data folder. Nothing else in the crate builds a path by hand.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The data folder of one stack.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`, made absolute: processes are started from another folder.
    pub fn new(root: &Path) -> Result<Self> {
        let root = std::path::absolute(root).map_err(Error::io("find", root))?;
        Ok(Self { root })
    }

    /// The data folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Clusters, one folder per database. May be a link (see `postgres::home`).
    pub fn pg(&self) -> PathBuf {
        self.root.join("pg")
    }

    /// The log of a process.
    pub fn log(&self, process: &str) -> PathBuf {
        self.root.join("log").join(format!("{process}.log"))
    }

    /// One file per process that runs now: its pid and start time.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Passwords, keys and the gateway's token; readable by the owner only.
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets.toml")
    }

    /// What `stack status` reads; readable by the owner only, for it carries keys and URLs.
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// Held locked by the `stack up` that owns the folder.
    pub fn lock(&self) -> PathBuf {
        self.root.join("stack.lock")
    }

    /// The gateway's configuration with keys and targets filled in.
    pub fn kong(&self) -> PathBuf {
        self.root.join("kong.yml")
    }

    /// Parquet files of the lake.
    pub fn lake(&self) -> PathBuf {
        self.root.join("lake")
    }

    /// Files that the nightly run exports.
    pub fn exports(&self) -> PathBuf {
        self.root.join("exports")
    }

    /// Downloads under construction.
    pub fn spool(&self) -> PathBuf {
        self.root.join("spool")
    }

    /// The note of the history that `stack seed` sent.
    pub fn seed_note(&self) -> PathBuf {
        self.root.join("seed.json")
    }

    /// The user's own `reports/`, `views/` and `sources/`.
    pub fn catalogue(&self) -> PathBuf {
        self.root.join("catalogue")
    }

    /// Creates the folders that are not there yet.
    pub fn create(&self) -> Result<()> {
        // PostgreSQL's own user enters the root, and nobody else's any folder in it.
        std::fs::create_dir_all(&self.root).map_err(Error::io("create the folder", &self.root))?;
        let own = ["reports", "views", "sources"].map(|name| self.catalogue().join(name));
        for folder in [self.root.join("log"), self.run(), self.lake(), self.exports(), self.spool()].iter().chain(&own)
        {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(folder)
                .map_err(Error::io("create the folder", folder))?;
        }
        Ok(())
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let draft = path.with_extension("draft");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(Error::io("write", &draft))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(Error::io("write", &draft))?;
    std::fs::rename(&draft, path).map_err(Error::io("write", path))
}
