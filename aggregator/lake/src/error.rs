//! How the lake fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Damage;

/// Why the lake could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// `reporting_db` could not be asked, or refused.
    #[error("the reporting database failed")]
    Database(#[from] sqlx::Error),
    /// A frame could not be computed, read or written.
    #[error("computing on frames failed")]
    Frame(#[from] polars::error::PolarsError),
    /// A file or folder of the lake.
    #[error("{}: cannot be read or written", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The folder is not there: its disk is not mounted, say.
    #[error("the lake's folder {} is not there", .0.display())]
    Gone(PathBuf),
    /// A column's type differs from the one in the lake.
    #[error("{dataset}.{column}: declared as {declared}, but the lake holds {existing}; give the column a new name")]
    ColumnType {
        /// The dataset.
        dataset: String,
        /// The column.
        column: String,
        /// Declared now.
        declared: String,
        /// In the lake since earlier.
        existing: String,
    },
    /// The lake has no dataset of that name.
    #[error("no dataset is named `{0}`")]
    UnknownDataset(String),
    /// A snapshot that never was, or whose files have expired.
    #[error("snapshot {0} is not in the lake (never made, or expired)")]
    UnknownSnapshot(i64),
    /// The same work is under way, here or in another replica.
    #[error("another {0} is running")]
    Busy(&'static str),
    /// A file is missing, or not as it was written.
    #[error(transparent)]
    Damaged(Box<Damage>),
    /// DuckDB wrote rows into the catalogue instead of into files.
    #[error(
        "rows of `{dataset}` stand in the catalogue's table lake.{held_by}, where DuckDB put them, and in no file: \
         `CALL ducklake_flush_inlined_data('lake')` in DuckDB makes files of them"
    )]
    Inlined {
        /// The dataset.
        dataset: String,
        /// The table.
        held_by: String,
    },
    /// Another commit came first.
    #[error("the commit was overtaken by another; nothing was changed")]
    Overtaken,
    /// The connection that held the advisory lock was lost, so another worker may hold the lock now.
    #[error("the lock on this work was lost with its connection to the reporting database; it has to begin again")]
    LockLost,
    /// A load that others waited for too.
    #[error(transparent)]
    Shared(Arc<LakeError>),
    /// A blocking computation panicked.
    #[error("a computation stopped unexpectedly")]
    Stopped(#[from] tokio::task::JoinError),
}

impl LakeError {
    /// Whether the reporting database could not be asked, or the folder is not there, so that the same may work later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Database(_) | Self::Gone(_) => true,
            Self::Shared(error) => error.is_unavailable(),
            _ => false,
        }
    }

    /// For `map_err`: an input or output fault at a path.
    pub fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<'_> {
        move |source| Self::File { path: path.to_owned(), source }
    }
}
