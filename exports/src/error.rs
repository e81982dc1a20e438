//! How an export fails.

use crate::column::Kind;

/// The result of an export.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way an export fails. Nothing that was written before the failure is a whole document.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source of the rows failed.
    #[error("the rows could not be read")]
    Rows(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A frame lacks a declared column.
    #[error("the rows have no column \"{column}\"")]
    MissingColumn { column: String },
    /// A column holds something that its declared kind cannot express.
    #[error("column \"{column}\" is declared {} but holds {found}", kind.name())]
    Misfit { column: String, kind: Kind, found: String },
    /// More rows or longer text than a worksheet can hold.
    #[error("{detail}; ask for csv or parquet instead, which have no such limit")]
    BeyondExcel { detail: String },
    /// The rows that came are not as many as the provenance announced.
    #[error("{announced} rows were announced but {found} came")]
    RowCount { announced: u64, found: u64 },
    /// A columnar encoder failed.
    #[error("the columns could not be encoded")]
    Encode(#[source] polars::error::PolarsError),
    /// The workbook could not be built.
    #[error("the workbook could not be built")]
    Workbook(#[source] rust_xlsxwriter::XlsxError),
    /// The writer refused the bytes: a full disk, a client that disconnected.
    #[error("the document could not be written")]
    Write(#[source] std::io::Error),
}

impl Error {
    /// Whether what was asked cannot be had in this format, as opposed to a fault on our side.
    #[must_use]
    pub const fn is_callers(&self) -> bool {
        matches!(self, Self::BeyondExcel { .. })
    }
}
