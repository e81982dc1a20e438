//! The columns of a published table, as `published.report_version` keeps them.
//!
//! Amounts are decimals there, with the digits of the currency: `money` has two, `money(0)` none, `money(3)` three. So a
//! company whose currency has other digits gets tables of its own, and what was published before stays as it was.

use base::Currency;
use serde::{Deserialize, Serialize};

use super::read::PublishedColumn;
use crate::report::{ColumnType, ReportColumn};

/// Decimals of `money` without a number.
const USUAL: u8 = 2;

/// A column's name and type.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredColumn {
    pub name: String,
    #[serde(rename = "type")]
    kind: StoredType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum StoredType {
    Plain(ColumnType),
    #[serde(with = "money")]
    Money(u8),
}

impl StoredColumn {
    /// As a column of a report is stored in that currency.
    pub(super) fn of(column: &ReportColumn, currency: Currency) -> Self {
        let kind = match (column.kind, currency.decimals()) {
            (ColumnType::Money, decimals) if decimals != USUAL => StoredType::Money(decimals),
            (kind, _) => StoredType::Plain(kind),
        };
        Self { name: column.name.clone(), kind }
    }

    /// Digits after the point of an amount; none of what is no amount.
    pub(super) fn decimals(&self) -> Option<u8> {
        match self.kind {
            StoredType::Plain(ColumnType::Money) => Some(USUAL),
            StoredType::Plain(_) => None,
            StoredType::Money(decimals) => Some(decimals),
        }
    }
}

impl From<StoredColumn> for PublishedColumn {
    fn from(stored: StoredColumn) -> Self {
        let kind = match stored.kind {
            StoredType::Plain(kind) => kind,
            StoredType::Money(_) => ColumnType::Money,
        };
        Self { name: stored.name, kind }
    }
}

/// `money(3)`.
mod money {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(super) fn serialize<S: Serializer>(decimals: &u8, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("money({decimals})"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("money(").and_then(|rest| rest.strip_suffix(')'));
        digits
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| D::Error::custom(format!("no type of a column: {text}")))
    }
}

#[cfg(test)]
mod tests {
    use super::{StoredColumn, StoredType};
    use crate::report::ColumnType;

    #[test]
    fn what_is_stored_is_read_back() {
        for (text, kind, decimals) in [
            ("money", StoredType::Plain(ColumnType::Money), Some(2)),
            ("money(0)", StoredType::Money(0), Some(0)),
            ("money(3)", StoredType::Money(3), Some(3)),
            ("int64", StoredType::Plain(ColumnType::Int64), None),
        ] {
            let json = format!(r#"{{"name":"net","type":"{text}"}}"#);
            let column: StoredColumn = serde_json::from_str(&json).unwrap();
            assert_eq!((column.kind, column.decimals()), (kind, decimals), "{text}");
            assert_eq!(serde_json::to_string(&column).unwrap(), json);
        }
        assert!(serde_json::from_str::<StoredColumn>(r#"{"name":"net","type":"money(x)"}"#).is_err());
    }
}
