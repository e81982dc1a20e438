//! The columns of a document: name, kind and title.

use polars::prelude::{DataType, PlSmallStr, Schema, TimeUnit, TimeZone};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Int32,
    Int64,
    Float,
    String,
    Bool,
    Date,
    /// A moment, in UTC, to the microsecond.
    Timestamp,
    /// Integer minor units (cents) in the frame, a decimal with the currency's own digits in the document.
    Money {
        /// Digits after the point: 2 for dollars, 0 for yen.
        decimals: u8,
    },
}

impl Kind {
    /// The name of the kind in a JSON envelope: `int32`, `money` and so on; amounts in a currency without two decimals
    /// tell how many, as `money(0)` of yen.
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
            Self::Money { decimals: 0 } => "money(0)",
            Self::Money { decimals: 1 } => "money(1)",
            Self::Money { decimals: 3 } => "money(3)",
            Self::Money { decimals: 4 } => "money(4)",
            Self::Money { .. } => "money",
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
            Self::Int64 | Self::Money { .. } => DataType::Int64,
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
            Self::Money { decimals } => DataType::Decimal(MONEY_PRECISION, decimals.into()),
            other => other.canonical(),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let kinds = [Self::Int32, Self::Int64, Self::Float, Self::String, Self::Bool, Self::Date, Self::Timestamp];
        let amounts = (0..=4).map(|decimals| Self::Money { decimals });
        let found = kinds.into_iter().chain(amounts).find(|kind| kind.name() == name);
        found.ok_or_else(|| D::Error::custom(format!("no kind of column is called {name}")))
    }
}

/// Digits of a money value; 18 keeps it in eight bytes in Parquet.
pub(crate) const MONEY_PRECISION: usize = 18;

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

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_kind_is_read_as_it_is_written() {
        for (kind, text) in [
            (Kind::Money { decimals: 2 }, "\"money\""),
            (Kind::Money { decimals: 0 }, "\"money(0)\""),
            (Kind::Money { decimals: 3 }, "\"money(3)\""),
            (Kind::Timestamp, "\"timestamp\""),
        ] {
            assert_eq!(serde_json::to_string(&kind).unwrap(), text);
            assert_eq!(serde_json::from_str::<Kind>(text).unwrap(), kind);
        }
        assert!(serde_json::from_str::<Kind>("\"money(9)\"").is_err());
    }
}
