//! How a poll fails.

use std::sync::Arc;
use std::time::Duration;

use lake::LakeError;

use crate::source::SourceError;
use crate::source::client::CallError;

/// Why a poll brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// `reporting_db` could not be asked, or refused.
    #[error("the reporting database failed")]
    Database(#[from] sqlx::Error),
    /// The lake could not be read or written.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// No source of that name is declared.
    #[error(transparent)]
    Declared(#[from] SourceError),
    /// The source could not be asked, or answered with something that cannot be used.
    #[error("source `{name}` failed")]
    Source {
        /// The source.
        name: String,
        /// What went wrong.
        #[source]
        source: CallError,
    },
    /// Other commits kept coming in between.
    #[error("the commit was overtaken {0} times in a row; nothing was changed")]
    Overtaken(u32),
    /// A poll that others waited for too.
    #[error(transparent)]
    Shared(Arc<PollError>),
    /// A task panicked.
    #[error("a poll stopped unexpectedly")]
    Stopped(#[from] tokio::task::JoinError),
}

impl PollError {
    /// The error itself, also where several waited for it.
    #[must_use]
    pub fn unshared(&self) -> &Self {
        match self {
            Self::Shared(error) => error.unshared(),
            own => own,
        }
    }

    /// Whether the reporting database could not be asked, so that the same may work later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self.unshared() {
            Self::Database(_) => true,
            Self::Lake(error) => error.is_unavailable(),
            _ => false,
        }
    }

    /// How long until asking makes sense, when nobody was asked because the source's circuit breaker is open.
    #[must_use]
    pub fn ask_again_in(&self) -> Option<Duration> {
        match self.unshared() {
            Self::Source { source: CallError::BreakerOpen { wait }, .. } => Some(*wait),
            _ => None,
        }
    }
}
