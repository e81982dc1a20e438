//! Why there is no answer: one closed list, which HTTP turns into a status and a terminal prints as it is.

use std::borrow::Cow;

use ::exports::Source;
use ::jobs::engine::EngineError;
use aggregator::{poll::PollError, publish::PublishError, report::ReportError, source::SourceError};
use chrono::NaiveDate;
use lake::LakeError;
use serde::{Deserialize, Serialize};

use super::spool::SpoolError;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no answer. `Display` is for whoever asked; the cause is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// No report of that name is in the catalogue.
    #[error("there is no report `{name}`")]
    UnknownReport { name: String },
    /// No source of that name is declared.
    #[error("there is no source `{name}`")]
    UnknownSource { name: String },
    /// No export file of that number is recorded, or it is missing from its folder.
    #[error("there is no export file {id}")]
    UnknownFile { id: i64 },
    /// Nothing was published of the report for the day.
    #[error("there is no published `{report}` for {business_day}")]
    UnknownDay { report: String, business_day: NaiveDate },
    /// Something else that the request names does not exist.
    #[error("there is no {what}")]
    Unknown { what: String },
    /// A parameter of the request is unknown or wrong.
    #[error("{detail}")]
    Parameter { name: Cow<'static, str>, detail: String },
    /// The request as a whole is refused; another one may be answered.
    #[error("{detail}")]
    Request { detail: String },
    /// The arguments of a job are wrong.
    #[error("the arguments of job `{job}` do not fit: {reason}")]
    Arguments { job: String, reason: String },
    /// The report's file is faulty.
    #[error("{detail}")]
    ReportDisabled { detail: String },
    /// The report is not one that is published.
    #[error("{detail}")]
    NotPublished { detail: String },
    /// Sources of the report are older than the request allows.
    #[error("{}", behind(sources))]
    Stale { sources: Vec<Source> },
    /// As much is being computed or encoded as may be.
    #[error("{detail}")]
    Busy { detail: String },
    /// A file of the lake is missing or damaged.
    #[error("{detail}")]
    Damaged { detail: String },
    /// Computing took longer than it may.
    #[error("{detail}")]
    TimedOut { detail: String },
    /// Computing needs more memory than it may take.
    #[error("{detail}")]
    TooLarge { detail: String },
    /// The spool folder cannot be written.
    #[error("the download could not be built: the spool folder is full or cannot be written")]
    Spool(#[source] SpoolError),
    /// The database is unavailable, and with it the lake's catalogue.
    #[error("the lake's catalogue cannot be read for the moment; try again")]
    Catalogue(#[source] BoxError),
    /// The lake's folder is not there.
    #[error(
        "the lake's folder is not there, so nothing can be computed until it is back; what is published can be read"
    )]
    Lake(#[source] BoxError),
    /// The reporting database failed.
    #[error("the reporting database failed")]
    Database(#[from] sqlx::Error),
    /// A fault that no other request avoids.
    #[error("the answer could not be made")]
    Internal(#[source] BoxError),
}

impl AnswerError {
    /// A parameter that is unknown or wrong.
    pub fn parameter(name: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::Parameter { name: name.into(), detail: detail.into() }
    }

    /// A fault with its cause.
    pub fn internal(cause: impl Into<BoxError>) -> Self {
        Self::Internal(cause.into())
    }

    /// Whether the same request fails in the same way however often it is repeated, and another one may not.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::UnknownReport { .. }
            | Self::UnknownSource { .. }
            | Self::UnknownFile { .. }
            | Self::UnknownDay { .. }
            | Self::Unknown { .. }
            | Self::Parameter { .. }
            | Self::Request { .. }
            | Self::Arguments { .. }
            | Self::TooLarge { .. }
            | Self::TimedOut { .. } => true,
            Self::ReportDisabled { .. }
            | Self::NotPublished { .. }
            | Self::Stale { .. }
            | Self::Busy { .. }
            | Self::Damaged { .. }
            | Self::Spool(_)
            | Self::Catalogue(_)
            | Self::Lake(_)
            | Self::Database(_)
            | Self::Internal(_) => false,
        }
    }
}

/// How far the sources that are behind are complete.
fn behind(sources: &[Source]) -> String {
    let line = |source: &Source| match source.complete_through {
        Some(through) => format!("{} is complete through {}", source.name, through.to_rfc3339()),
        None => format!("{} was never polled", source.name),
    };
    sources.iter().map(line).collect::<Vec<_>>().join(", ")
}

impl From<SourceError> for AnswerError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Database(error) => Self::Database(error),
            SourceError::Unknown(name) => Self::UnknownSource { name },
            other => Self::internal(other),
        }
    }
}

impl From<PollError> for AnswerError {
    fn from(error: PollError) -> Self {
        match error {
            PollError::Database(error) => Self::Database(error),
            PollError::Declared(error) => error.into(),
            other if other.is_unavailable() => Self::Catalogue(other.into()),
            other => Self::internal(other),
        }
    }
}

impl From<EngineError> for AnswerError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::UnknownJob { name, known } => {
                Self::Unknown { what: format!("job `{name}`; there are {known}") }
            }
            EngineError::UnknownRun { id } => Self::Unknown { what: format!("run {id}") },
            EngineError::Arguments { job, reason } => Self::Arguments { job, reason },
            EngineError::Database(error) => Self::Database(error),
            EngineError::Declaration { .. } | EngineError::Ticker(_) => Self::internal(error),
        }
    }
}

impl From<SpoolError> for AnswerError {
    fn from(error: SpoolError) -> Self {
        FileFault::from(error).into()
    }
}

/// Why a file could not be written, as a process that computes tells the service.
#[derive(Debug, Serialize, Deserialize)]
pub enum FileFault {
    /// The format cannot hold the rows.
    Format(String),
    /// The folder cannot be written.
    Folder(String),
    /// Anything else.
    Fault(String),
}

impl FileFault {
    /// As it is sent.
    #[must_use]
    pub fn into_value(self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl From<SpoolError> for FileFault {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::Encode(error) if error.is_callers() => Self::Format(error.to_string()),
            SpoolError::Encode(error) => Self::Fault(base::error_chain(&error)),
            SpoolError::Folder(error) => Self::Folder(base::error_chain(&error)),
        }
    }
}

impl From<FileFault> for AnswerError {
    fn from(fault: FileFault) -> Self {
        match fault {
            FileFault::Format(detail) => Self::parameter("format", detail),
            FileFault::Folder(detail) => Self::Spool(SpoolError::Folder(std::io::Error::other(detail))),
            FileFault::Fault(detail) => Self::internal(detail),
        }
    }
}

impl From<ReportError> for AnswerError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::UnknownReport { name } => Self::UnknownReport { name },
            ReportError::Parameter(ref wrong) => Self::parameter(wrong.name().to_owned(), error.to_string()),
            ReportError::UnknownSnapshot(_) => Self::parameter("snapshot", error.to_string()),
            ReportError::TooManyRows { .. } => Self::Request { detail: error.to_string() },
            ReportError::Broken { .. } => Self::ReportDisabled { detail: error.to_string() },
            ReportError::Busy | ReportError::Crashed { .. } => Self::Busy { detail: error.to_string() },
            ReportError::Damaged { .. } => Self::Damaged { detail: error.to_string() },
            ReportError::OutOfMemory { .. } => Self::TooLarge { detail: error.to_string() },
            ReportError::TimedOut { .. } => Self::TimedOut { detail: error.to_string() },
            ReportError::File(reason) => {
                serde_json::from_value::<FileFault>(reason).map_or_else(Self::internal, Self::from)
            }
            ReportError::Lake(lake) if matches!(*lake, LakeError::Inlined { .. }) => {
                Self::Damaged { detail: lake.to_string() }
            }
            ReportError::Lake(ref lake) if matches!(**lake, LakeError::Gone(_)) => Self::Lake(error.into()),
            unavailable if unavailable.is_unavailable() => Self::Catalogue(unavailable.into()),
            ReportError::Overflow { .. }
            | ReportError::MightOverflow { .. }
            | ReportError::AmbiguousKey { .. }
            | ReportError::Engine { .. }
            | ReportError::Lake(_)
            | ReportError::Source(_)
            | ReportError::Stopped => Self::internal(error),
        }
    }
}

impl From<PublishError> for AnswerError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Report(error) => error.into(),
            PublishError::NotPublished { .. } => Self::NotPublished { detail: error.to_string() },
            PublishError::UnknownRevision { report, business_day, revision: Some(number) } => {
                Self::Unknown { what: format!("revision {number} of `{report}` for {business_day}") }
            }
            PublishError::UnknownRevision { report, business_day, revision: None } => {
                Self::UnknownDay { report, business_day }
            }
            PublishError::LockLost(_) | PublishError::Frame(_) | PublishError::Mark(_) | PublishError::Stopped(_) => {
                Self::internal(error)
            }
            PublishError::Database(error) => Self::Database(error),
        }
    }
}
