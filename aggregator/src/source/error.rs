//! How reading declarations, or the state of sources, fails.

use std::path::{Path, PathBuf};

use super::DeclarationError;

/// Why the sources are not known.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// `reporting_db` could not be asked, or refused.
    #[error("the reporting database failed")]
    Database(#[from] sqlx::Error),
    /// A source's TOML is wrong.
    #[error(transparent)]
    Declaration(#[from] DeclarationError),
    /// No source of that name is declared.
    #[error("no source is named `{0}`")]
    Unknown(String),
    /// The folder of declarations, or a file of it.
    #[error("{}: cannot be read", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl SourceError {
    /// Whether the reporting database could not be asked, so that the same may work later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Database(_))
    }

    /// For `map_err`: a fault at a path.
    pub(super) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<'_> {
        move |source| Self::File { path: path.to_owned(), source }
    }
}
