//! The one error of the crate, closed: who matches on it sees every way to fail.

use std::path::{Path, PathBuf};

use crate::source::client::CallError;
use crate::source::declare::DeclarationError;

/// Why something in the aggregator failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    /// A source's TOML is wrong.
    #[error(transparent)]
    Declaration(#[from] DeclarationError),
    /// A declared column's type differs from the one in the lake.
    #[error("{dataset}.{column}: declared as {declared}, but the lake holds {held}; give the column a new name")]
    ColumnType {
        /// The dataset.
        dataset: String,
        /// The column.
        column: String,
        /// Declared now.
        declared: String,
        /// In the lake since earlier.
        held: String,
    },
    /// No source of that name is declared.
    #[error("no source is named `{0}`")]
    UnknownSource(String),
    /// No dataset of that name is declared.
    #[error("no dataset is named `{0}`")]
    UnknownDataset(String),
    /// A snapshot that never was, or whose files have expired.
    #[error("snapshot {0} is not in the lake (never made, or expired)")]
    UnknownSnapshot(i64),
    /// The same work is being done, here or in another replica.
    #[error("another `{0}` is running")]
    Busy(String),
    /// The source could not be asked, or answered with something that cannot be used.
    #[error("source `{name}` failed")]
    Source {
        /// The source.
        name: String,
        /// What went wrong.
        #[source]
        source: CallError,
    },
    /// A whole re-read brought so few of the rows held that it is not believed.
    #[error(
        "`{dataset}`: the whole re-read would drop {dropped} of {held} rows, more than the allowed share of \
         {allowed}; poll with the operator's word to let it through"
    )]
    DropsTooMuch {
        /// The dataset.
        dataset: String,
        /// Rows that did not come again.
        dropped: u64,
        /// Rows in the lake.
        held: u64,
        /// Largest share, 0 to 1.
        allowed: f64,
    },
    /// Other commits kept coming in between.
    #[error("the commit was overtaken {0} times in a row; nothing was changed")]
    Overtaken(u32),
    /// The connection that held the lock on the work has gone, and somebody else may do it now.
    #[error("the lock on this work was lost with its connection to the reporting database; it has to begin again")]
    LockLost,
    /// The catalogue of reports could not be read.
    #[error(transparent)]
    Report(#[from] Box<crate::report::ReportError>),
    /// A read that others waited for too.
    #[error(transparent)]
    Shared(std::sync::Arc<Error>),
    /// A blocking computation panicked.
    #[error("a computation stopped unexpectedly")]
    Stopped(#[from] tokio::task::JoinError),
}

impl From<crate::report::ReportError> for Error {
    fn from(error: crate::report::ReportError) -> Self {
        Self::Report(Box::new(error))
    }
}

impl Error {
    /// The error itself, also where several waited for it.
    #[must_use]
    pub fn unshared(&self) -> &Self {
        match self {
            Self::Shared(error) => error.unshared(),
            own => own,
        }
    }

    /// How long until asking makes sense, when nobody was asked because the source's circuit breaker is open.
    #[must_use]
    pub fn ask_again_in(&self) -> Option<std::time::Duration> {
        match self.unshared() {
            Self::Source { source: CallError::BreakerOpen { wait }, .. } => Some(*wait),
            _ => None,
        }
    }

    /// For `map_err`: an input or output fault at a path.
    pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<'_> {
        move |source| Self::File { path: path.to_owned(), source }
    }
}
