//! How publishing fails.

use chrono::NaiveDate;

use super::lock::LockLost;
use crate::report::ReportError;

/// Why nothing was published, or nothing can be shown.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The report cannot be computed.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Its file has no `[publish]`.
    #[error("the report \"{report}\" is not published: its file has no [publish]")]
    NotPublished { report: String },
    /// Another run took over.
    #[error(transparent)]
    LockLost(#[from] LockLost),
    /// That revision does not exist.
    #[error("\"{report}\" has no revision {} of {business_day}", revision.map_or_else(|| "at all".to_owned(), |number| number.to_string()))]
    UnknownRevision { report: String, business_day: NaiveDate, revision: Option<i32> },
    /// A frame could not be read or built.
    #[error("the rows could not be turned into columns")]
    Frame(#[from] polars::error::PolarsError),
    /// The content of an earlier mark cannot be read.
    #[error("a mark of what is outdated cannot be read")]
    Mark(#[from] serde_json::Error),
    /// A blocking computation panicked.
    #[error("a computation stopped unexpectedly")]
    Stopped(#[from] tokio::task::JoinError),
    /// The database refused or is unreachable.
    #[error("the reporting database failed")]
    Database(#[from] sqlx::Error),
}

impl PublishError {
    /// Whether the reporting database could not be asked, so that the same may work later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Report(error) => error.is_unavailable(),
            Self::Database(_) => true,
            _ => false,
        }
    }

    /// Whether the caller can mend the request.
    #[must_use]
    pub const fn is_callers(&self) -> bool {
        match self {
            Self::Report(error) => error.is_callers(),
            Self::NotPublished { .. } | Self::UnknownRevision { .. } => true,
            Self::LockLost(_) | Self::Frame(_) | Self::Mark(_) | Self::Database(_) | Self::Stopped(_) => false,
        }
    }
}
