//! How a service declares what its feed offers: plain constants, checked once.

use serde::Serialize;

/// One dataset of a feed: a table, or a header joined with its lines, as rows with a key.
///
/// Only the expressions written here ever reach SQL; a request merely chooses among their names.
#[derive(Debug)]
pub struct Dataset {
    /// Its name in URLs, in the lake and in reports.
    pub name: &'static str,
    /// Raise it when a column's meaning changed, so that every reader reads everything again.
    pub version: u32,
    /// The table that bears the stamp, with its alias: `sales s`. Its highest stamp is the dataset's.
    pub from: &'static str,
    /// Where each row of that table is the header of several: its lines.
    pub lines: Option<Lines>,
    /// The stamp, as `alias.column`: `s.change_xid`.
    pub xid: &'static str,
    /// Names of the columns that identify a row, in the order of paging; those of the stamped
    /// table first. Integers or strings, never NULL.
    pub key: &'static [&'static str],
    /// Every column on offer, the key included.
    pub columns: &'static [Column],
    /// A boolean expression: whether readers must drop this row. `false` where nothing is deleted.
    pub deleted: &'static str,
}

/// The lines of a header.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    /// Their table with its alias: `sale_lines l`.
    pub from: &'static str,
    /// Which of them are a header's, best found by an index in the order of the key: `l.sale_id = s.id`.
    pub of: &'static str,
}

/// One column on offer.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name for readers.
    pub name: &'static str,
    /// How its text reads.
    pub ty: Type,
    /// The SQL expression behind it; `alias.column` for a key.
    pub sql: &'static str,
}

impl Column {
    /// A column called `name` of type `ty`, computed by `sql`.
    #[must_use]
    pub const fn new(name: &'static str, ty: Type, sql: &'static str) -> Self {
        Self { name, ty, sql }
    }
}

/// What a column's values are. All but the key's may be NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// Text in UTF-8.
    String,
    /// `true` or `false`.
    Bool,
    /// `YYYY-MM-DD`.
    Date,
    /// RFC 3339 in UTC, to the microsecond: in JSON with six digits and a `T`, in CSV with a space and the digits there are.
    Timestamp,
    /// What a clock showed, without zone: as a timestamp, without `Z`.
    Local,
    /// Minor units (cents) of the company's currency, a 64-bit integer.
    Money,
}

impl Type {
    /// The name in heads and in shape hashes.
    pub(super) const fn name(self) -> &'static str {
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
}

impl Dataset {
    /// The declared column of that name.
    pub(super) fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The key's columns, in the order of paging.
    pub(super) fn key_columns(&self) -> impl Iterator<Item = &'static Column> {
        self.key.iter().filter_map(|name| self.column(name))
    }

    /// Whether a column is one of the stamped table, where each of its rows is the header of several.
    pub(super) fn is_of_header(&self, column: &Column) -> bool {
        self.lines.is_some() && self.is_stamped(column)
    }

    /// How many leading key columns stand in the stamped table: those, after the stamp, are what
    /// its index is ordered by.
    pub(super) fn indexed_keys(&self) -> usize {
        self.key_columns().take_while(|column| self.is_stamped(column)).count()
    }

    /// Whether a column's expression is a column of the stamped table and nothing else.
    fn is_stamped(&self, column: &Column) -> bool {
        let (Some((stamped, _)), Some((table, name))) = (self.xid.split_once('.'), column.sql.split_once('.')) else {
            return false;
        };
        table == stamped && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }
}

/// Refuses declarations that could not be paged, before the first request.
pub(super) fn assert_sound(datasets: &[Dataset]) {
    for (at, dataset) in datasets.iter().enumerate() {
        let name = dataset.name;
        assert!(datasets.iter().take(at).all(|other| other.name != name), "feed dataset {name}: declared twice");
        assert!(!dataset.key.is_empty(), "feed dataset {name}: no key");
        assert_eq!(dataset.key_columns().count(), dataset.key.len(), "feed dataset {name}: a key that is no column");
        assert!(
            dataset.key_columns().all(|column| matches!(column.ty, Type::Int32 | Type::Int64 | Type::String)),
            "feed dataset {name}: a key must be an integer or a string"
        );
        assert!(dataset.indexed_keys() > 0, "feed dataset {name}: the first key must stand beside the stamp");
        assert_eq!(
            dataset.indexed_keys() < dataset.key.len(),
            dataset.lines.is_some(),
            "feed dataset {name}: the last key must stand in the lines"
        );
        for (at, column) in dataset.columns.iter().enumerate() {
            let plain =
                column.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            assert!(plain && column.name != "deleted", "feed dataset {name}: bad column name {}", column.name);
            assert!(
                dataset.columns.iter().take(at).all(|other| other.name != column.name),
                "feed dataset {name}: column {} twice",
                column.name
            );
        }
    }
}
