//! Why the aggregator cannot be opened.

use lake::LakeError;

use crate::publish::PublishError;
use crate::report::ReportError;
use crate::source::SourceError;

/// The error of the part that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A declaration is faulty.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The lake cannot be opened.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The catalogue of reports cannot be read.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The tables of published reports cannot be made.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Error {
    /// Whether the reporting database could not be asked, so that the same may work later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Source(error) => error.is_unavailable(),
            Self::Lake(error) => error.is_unavailable(),
            Self::Report(error) => error.is_unavailable(),
            Self::Publish(error) => error.is_unavailable(),
        }
    }
}
