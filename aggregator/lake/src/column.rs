//! The types a dataset's column may have, and what each is in a polars frame and in the catalogue.

use polars::prelude::{DataType, TimeUnit, TimeZone};
use serde::{Deserialize, Serialize};

/// Name of the column that holds the local day of a row, in datasets whose rows belong to days.
pub const BUSINESS_DAY: &str = "business_day";

/// The closed list of types that a source may declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// UTF-8 text.
    String,
    /// `true` or `false`.
    Bool,
    /// A calendar day without a time zone.
    Date,
    /// An instant, microseconds, UTC.
    Timestamp,
    /// What a clock showed, microseconds, without zone.
    Local,
    /// Minor units of the company's currency (cents), 64-bit.
    Money,
}

impl ColumnType {
    /// Every type, in the order in which messages name them.
    pub const ALL: [Self; 8] =
        [Self::Int32, Self::Int64, Self::String, Self::Bool, Self::Date, Self::Timestamp, Self::Local, Self::Money];

    /// The word that declarations use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::String => "string",
            Self::Bool => "bool",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Local => "local",
            Self::Money => "money",
        }
    }

    /// The type of that word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// What the column is in a frame and in a Parquet file. Money stays an integer of cents.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Int32 => DataType::Int32,
            Self::Int64 | Self::Money => DataType::Int64,
            Self::String => DataType::String,
            Self::Bool => DataType::Boolean,
            Self::Date => DataType::Date,
            Self::Timestamp => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
            Self::Local => DataType::Datetime(TimeUnit::Microseconds, None),
        }
    }

    /// DuckLake's word for it.
    pub fn catalogue_name(self) -> &'static str {
        match self {
            Self::Int32 => "int32",
            Self::Int64 | Self::Money => "int64",
            Self::String => "varchar",
            Self::Bool => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamptz",
            Self::Local => "timestamp",
        }
    }
}

/// One column of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Lower-case identifier, the same in feed, lake and reports.
    pub name: String,
    /// Declared type.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Whether NULL fits.
    pub nullable: bool,
}

impl Column {
    /// A column that is never NULL.
    pub fn required(name: &str, kind: ColumnType) -> Self {
        Self { name: name.to_owned(), kind, nullable: false }
    }
}
