//! How computing a report fails.

use std::sync::Arc;

use lake::{Damage, LakeError};

use super::ask::Bounds;
use crate::report::language::diagnostic::Diagnostic;
use crate::report::language::resolve::ParameterError;
use crate::source::SourceError;

/// Why a report could not be computed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReportError {
    /// No report has that name.
    #[error("there is no report \"{name}\"; GET /reports lists them")]
    UnknownReport { name: String },
    /// Its file is faulty; the others work.
    #[error("the report \"{name}\" is disabled: {}", diagnostics.first().map(ToString::to_string).unwrap_or_default())]
    Broken { name: String, diagnostics: Vec<Diagnostic> },
    /// A parameter is unknown, missing or has a wrong value.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The result has more rows than one answer may hold.
    #[error("the result has more than {limit} rows: narrow the dates or set a limit{}", as_file(report, *limit < Bounds::IN_BACKGROUND.rows))]
    TooManyRows { report: String, limit: usize },
    /// The computation took longer than allowed.
    #[error("the report took longer than {seconds} s: narrow the dates{}", as_file(report, *seconds < Bounds::IN_BACKGROUND.time.as_secs()))]
    TimedOut { report: String, seconds: u64 },
    /// The computation took more memory than one may.
    #[error("the report needs more than {} MB of memory: narrow the dates, and get the parts as files, or ask for fewer rows", bytes / 1_000_000)]
    OutOfMemory { report: String, bytes: u64 },
    /// The process that computed came to its end, each time that it was tried.
    #[error(
        "the report \"{report}\" could not be computed: the process that computed it came to its end; try again later"
    )]
    Crashed { report: String },
    /// Its turn did not come: others computed for too long.
    #[error("too many reports are being computed, or long ones for too long; try again in a few seconds")]
    Busy,
    /// The rows could not be written to the file that was ordered; the reason is for who ordered it.
    #[error("the file could not be written")]
    File(serde_json::Value),
    /// The snapshot was never made, or has expired.
    #[error("the snapshot {0} is not there any more")]
    UnknownSnapshot(i64),
    /// A number is beyond what its column can hold exactly.
    #[error("the column \"{column}\" holds {detail}")]
    Overflow { column: String, detail: String },
    /// A sum or product might be beyond what 64 bits hold, so that it would be wrong without a sign of it.
    #[error("{expression} cannot be computed exactly, for it might reach {bound:.1e}; {suspect}")]
    MightOverflow { expression: String, bound: f64, suspect: String },
    /// Two rows share the key that should tell them apart, so their order would be chance.
    #[error("two rows of \"{report}\" have the same key ({key})")]
    AmbiguousKey { report: String, key: String },
    /// The engine failed on a statement that passed every check.
    #[error("the report \"{report}\" could not be computed")]
    Engine {
        report: String,
        #[source]
        source: Arc<polars::error::PolarsError>,
    },
    /// A file that it reads is missing, or not as it was written.
    #[error("the report \"{report}\" could not be computed on snapshot {snapshot}: {damage}; {cure}")]
    Damaged { report: String, snapshot: i64, damage: Box<Damage>, cure: String },
    /// The lake or its catalogue failed.
    #[error("the lake could not be read")]
    Lake(#[source] Arc<LakeError>),
    /// How the sources are doing could not be read.
    #[error("the state of the sources could not be read")]
    Source(#[from] Arc<SourceError>),
    /// The computation was stopped from outside, or panicked.
    #[error("the computation stopped unexpectedly")]
    Stopped,
}

impl ReportError {
    /// Whether the reporting database could not be asked, so that the same may work later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Lake(error) => error.is_unavailable(),
            Self::Source(error) => error.is_unavailable(),
            _ => false,
        }
    }

    /// Whether the caller can mend the request, as opposed to a fault on our side.
    #[must_use]
    pub const fn is_callers(&self) -> bool {
        match self {
            Self::UnknownReport { .. }
            | Self::Parameter(_)
            | Self::TooManyRows { .. }
            | Self::OutOfMemory { .. }
            | Self::UnknownSnapshot(_) => true,
            Self::Broken { .. }
            | Self::TimedOut { .. }
            | Self::Crashed { .. }
            | Self::Busy
            | Self::File(_)
            | Self::Overflow { .. }
            | Self::MightOverflow { .. }
            | Self::AmbiguousKey { .. }
            | Self::Engine { .. }
            | Self::Damaged { .. }
            | Self::Lake(_)
            | Self::Source(_)
            | Self::Stopped => false,
        }
    }
}

/// What to do about a result that is too much to wait for: it becomes a file while nobody waits, which `may_more`.
fn as_file(report: &str, may_more: bool) -> String {
    if !may_more {
        return String::new();
    }
    let rows = Bounds::IN_BACKGROUND.rows;
    format!("; or get it as a file of up to {rows} rows: POST /reports/{report}/runs with a format, such as parquet")
}

impl From<LakeError> for ReportError {
    fn from(error: LakeError) -> Self {
        match error {
            LakeError::UnknownSnapshot(snapshot) => Self::UnknownSnapshot(snapshot),
            other => Self::Lake(Arc::new(other)),
        }
    }
}
