//! What is wrong with a report's file, and where.

use serde::Serialize;
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::Location;

/// One fault of a report or view file, for the author's eyes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}{}", hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
pub struct Diagnostic {
    /// `reports/store_performance.sql`, or the path of the user's own file.
    pub file: String,
    /// Counted from 1.
    pub line: u64,
    /// Counted from 1.
    pub column: u64,
    pub message: String,
    /// What works instead.
    pub hint: Option<String>,
}

/// A fault whose file is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Fault {
    /// A fault that concerns the file as a whole.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { line: 1, column: 1, message: message.into(), hint: None }
    }

    pub(crate) fn at(location: Location, message: impl Into<String>) -> Self {
        // A tree built by hand has no place; the first line is better than line 0.
        Self { line: location.line.max(1), column: location.column.max(1), message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn in_file(self, file: &str) -> Diagnostic {
        let Self { line, column, message, hint } = self;
        Diagnostic { file: file.to_owned(), line, column, message, hint }
    }
}

impl From<ParserError> for Fault {
    fn from(error: ParserError) -> Self {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
            ParserError::RecursionLimitExceeded => return Self::new("the statement is nested too deeply"),
        };
        // The parser has no other way to tell the place than in its text.
        let Some((message, place)) = text.rsplit_once(" at Line: ") else {
            return Self::new(text);
        };
        let mut numbers = place.split(", Column: ").map(|number| number.trim().parse::<u64>().unwrap_or(1));
        let (line, column) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1));
        Self { line, column, message: message.to_owned(), hint: None }
    }
}
