//! The columns of a document: name, kind and title.

use polars::prelude::{DataType, PlSmallStr, Schema, TimeUnit, TimeZone};
use serde::{Deserialize, Serialize};

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Int32,
    Int64,
    Float,
    String,
    Bool,
    Date,
    /// A moment, in UTC, to the microsecond.
    Timestamp,
    /// Integer minor units (cents) in the frame, a decimal with two places in the document.
    Money,
}

impl Kind {
    /// The name of the kind in a JSON envelope: `int32`, `money` and so on.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float => "float",
            Self::String => "string",
            Self::Bool => "bool",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Money => "money",
        }
    }

    /// Whether the values are written as text, which is what a spreadsheet may take for a formula.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::String)
    }

    /// The polars type in which every encoder is given the column.
    pub(crate) fn canonical(self) -> DataType {
        match self {
            Self::Int32 => DataType::Int32,
            Self::Int64 | Self::Money => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::String => DataType::String,
            Self::Bool => DataType::Boolean,
            Self::Date => DataType::Date,
            Self::Timestamp => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
        }
    }

    /// The type in a columnar file, where cents become decimals.
    pub(crate) fn columnar(self) -> DataType {
        match self {
            Self::Money => DataType::Decimal(MONEY_PRECISION, MONEY_SCALE),
            other => other.canonical(),
        }
    }
}

/// Digits of a money value; 18 keeps it in eight bytes in Parquet.
pub(crate) const MONEY_PRECISION: usize = 18;
/// Digits after the point.
pub(crate) const MONEY_SCALE: usize = 2;

/// One column of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What a person reads above it.
    pub title: String,
}

/// The schema of a columnar file of these columns.
pub(crate) fn columnar_schema(columns: &[Column]) -> Schema {
    columns.iter().map(|column| (PlSmallStr::from(column.name.as_str()), column.kind.columnar())).collect()
}
