//! A failure on its way from one process to another.

use std::sync::Arc;

use base::error_chain;
use polars::prelude::PolarsError;
use serde::{Deserialize, Serialize};

use super::Shape;
use crate::report::run::error::ReportError;

/// How a computation fails: what of [`ReportError`] can come of computing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Failure {
    TooManyRows,
    Overflow {
        column: String,
        detail: String,
    },
    MightOverflow {
        expression: String,
        /// As text: JSON has no number for what has no bound.
        bound: String,
        suspect: String,
    },
    AmbiguousKey {
        key: String,
    },
    /// Anything else, with its causes.
    Engine(String),
    /// The file could not be written: the reason as the one who gave the order reads it.
    File(serde_json::Value),
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::TooManyRows { .. } => Self::TooManyRows,
            ReportError::Overflow { column, detail } => Self::Overflow { column, detail },
            ReportError::MightOverflow { expression, bound, suspect } => {
                Self::MightOverflow { expression, bound: bound.to_string(), suspect }
            }
            ReportError::AmbiguousKey { key, .. } => Self::AmbiguousKey { key },
            ReportError::File(reason) => Self::File(reason),
            ReportError::Engine { source, .. } => Self::Engine(error_chain(&*source)),
            other => Self::Engine(error_chain(&other)),
        }
    }
}

impl Failure {
    /// The failure as those above the seam know it.
    pub(super) fn of(self, wanted: &Shape) -> ReportError {
        let report = wanted.report.clone();
        match self {
            Self::TooManyRows => ReportError::TooManyRows { report, limit: wanted.most_rows },
            Self::Overflow { column, detail } => ReportError::Overflow { column, detail },
            Self::MightOverflow { expression, bound, suspect } => {
                ReportError::MightOverflow { expression, bound: bound.parse().unwrap_or(f64::INFINITY), suspect }
            }
            Self::AmbiguousKey { key } => ReportError::AmbiguousKey { report, key },
            Self::Engine(detail) => {
                ReportError::Engine { report, source: Arc::new(PolarsError::ComputeError(detail.into())) }
            }
            Self::File(reason) => ReportError::File(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, ReportError, Shape};
    use crate::report::language::header::Engine;

    #[test]
    fn a_failure_says_on_the_other_side_what_it_said_on_this() {
        let report = || "r".to_owned();
        let shape =
            Shape { report: report(), engine: Engine::Streaming, columns: Vec::new(), key: Vec::new(), most_rows: 9 };
        let text = |text: &str| text.to_owned();
        for error in [
            ReportError::TooManyRows { report: report(), limit: 9 },
            ReportError::Overflow { column: text("c"), detail: text("d") },
            ReportError::MightOverflow { expression: text("a * b"), bound: 1.5e19, suspect: text("look at c") },
            ReportError::MightOverflow { expression: text("a"), bound: f64::INFINITY, suspect: text("look at c") },
            ReportError::AmbiguousKey { report: report(), key: text("k") },
        ] {
            let said = error.to_string();
            let sent = serde_json::to_string(&Failure::from(error)).unwrap();
            let received: Failure = serde_json::from_str(&sent).unwrap();
            assert_eq!(received.of(&shape).to_string(), said, "{sent}");
        }
    }
}
