//! The columns of an import, declared once: [`columns!`](crate::columns) makes of one declaration the type of a row, its
//! parser, and the schema that `/openapi.json` shows. Columns that several rows have alike are a declaration of their own,
//! which theirs end with.

use serde_json::json;
use utoipa::openapi::{RefOr, Schema};

use super::report::Refusal;

/// A column: what it means and how it is written.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    /// What it means, with its unit.
    pub meaning: &'static str,
    pub example: &'static str,
    /// Whether every row must have a value.
    pub needed: bool,
    pub form: Form,
}

/// How a value is written in NDJSON; in CSV all are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    /// A whole number.
    Whole,
    /// A number with a decimal point, or the same as text.
    Decimal,
    Flag,
}

/// A row of an import: see [`columns!`](crate::columns).
pub trait Columns: Sized {
    /// In the order in which [`Cells`] holds them.
    const COLUMNS: &'static [Column];

    /// Parses the next columns of a row.
    ///
    /// # Errors
    /// The first column at fault and why.
    fn read(cells: &mut Cells<'_>) -> Result<Self, Refusal>;
}

/// Columns one after the other, `N` in all.
#[must_use]
pub const fn join<const N: usize>(parts: &[&[Column]]) -> [Column; N] {
    let mut all = [parts[0][0]; N];
    let (mut part, mut at, mut filled) = (0, 0, 0);
    while filled < N {
        if at == parts[part].len() {
            (part, at) = (part + 1, 0);
        } else {
            all[filled] = parts[part][at];
            (at, filled) = (at + 1, filled + 1);
        }
    }
    all
}

/// A value that stands in a cell.
pub trait Value: Sized {
    const FORM: Form;

    /// Parses the text of a cell, which is not empty.
    ///
    /// # Errors
    /// Why it is refused: a sentence that follows the column's name.
    fn parse(text: &str) -> Result<Self, String>;
}

/// A cell: a [`Value`] that is needed, an `Option` where an absent column and an empty field say the same, or a
/// [`Given`] where they do not.
pub trait Cell: Sized {
    const NEEDED: bool;
    const FORM: Form;

    /// Parses a cell; none where the row lacks the column.
    ///
    /// # Errors
    /// Why it is refused.
    fn read(text: Option<&str>) -> Result<Self, String>;
}

impl<T: Value> Cell for T {
    const NEEDED: bool = true;
    const FORM: Form = T::FORM;

    fn read(text: Option<&str>) -> Result<Self, String> {
        match text {
            None | Some("") => Err("is needed".to_owned()),
            Some(text) => T::parse(text),
        }
    }
}

impl<T: Value> Cell for Option<T> {
    const NEEDED: bool = false;
    const FORM: Form = T::FORM;

    fn read(text: Option<&str>) -> Result<Self, String> {
        text.filter(|text| !text.is_empty()).map(T::parse).transpose()
    }
}

/// What a file says of a column that need not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given<T> {
    /// Nothing: what is stored stays.
    Absent,
    /// That it is empty.
    Empty,
    Value(T),
}

impl<T> Given<T> {
    /// Whether the file says anything.
    pub fn is_said(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// The value, where there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Empty => None,
        }
    }
}

impl<T: Value> Cell for Given<T> {
    const NEEDED: bool = false;
    const FORM: Form = T::FORM;

    fn read(text: Option<&str>) -> Result<Self, String> {
        match text {
            None => Ok(Self::Absent),
            Some("") => Ok(Self::Empty),
            Some(text) => T::parse(text).map(Self::Value),
        }
    }
}

/// The texts of a row, one per declared column, in one piece of memory: as they are staged.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a>(&'a [u8]);

/// Marks a column that the row lacks.
const ABSENT: u32 = u32::MAX;

impl<'a> Cells<'a> {
    /// Writes the texts down.
    pub(super) fn encode(texts: &[Option<&str>]) -> Vec<u8> {
        let bytes = texts.iter().map(|text| 4 + text.map_or(0, str::len)).sum();
        let mut cells = Vec::with_capacity(bytes);
        for text in texts {
            // A row is far below 4 GiB.
            let length = text.map_or(ABSENT, |text| u32::try_from(text.len()).unwrap_or(ABSENT));
            cells.extend_from_slice(&length.to_le_bytes());
            cells.extend_from_slice(text.unwrap_or_default().as_bytes());
        }
        cells
    }

    pub(super) fn new(encoded: &'a [u8]) -> Self {
        Self(encoded)
    }

    /// The next column's text; none where the row lacks it.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = match u32::from_le_bytes(*length) {
            ABSENT => {
                self.0 = rest;
                return None;
            }
            length => usize::try_from(length).ok()?,
        };
        let (text, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// Parses the next column.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn take<T: Cell>(&mut self, name: &'static str) -> Result<T, Refusal> {
        T::read(self.next()).map_err(|reason| Refusal::new(name, reason))
    }
}

/// The schema of one row.
pub fn schema(columns: &[Column]) -> RefOr<Schema> {
    let properties: serde_json::Map<String, serde_json::Value> = columns
        .iter()
        .map(|column| {
            let kind = match column.form {
                Form::Text => json!("string"),
                Form::Whole => json!("integer"),
                Form::Decimal => json!(["number", "string"]),
                Form::Flag => json!("boolean"),
            };
            let example = match column.form {
                Form::Text | Form::Decimal => json!(column.example),
                Form::Whole | Form::Flag => serde_json::from_str(column.example).unwrap_or_default(),
            };
            let shown = json!({"type": kind, "description": column.meaning.trim(), "examples": [example]});
            (column.name.to_owned(), shown)
        })
        .collect();
    let needed: Vec<&str> = columns.iter().filter(|column| column.needed).map(|column| column.name).collect();
    let object = json!({"type": "object", "properties": properties, "required": needed, "additionalProperties": false});
    serde_json::from_value(object).unwrap_or_default()
}

/// Declares a row: the documentation of a field is the meaning of its column, and an example stands behind its type. What
/// stands last behind two dots is a declaration whose columns follow.
///
/// ```ignore
/// kit::columns! {
///     /// One store.
///     pub(crate) struct StoreRow {
///         /// Unique; begins the receipt numbers.
///         code: Code = "NYC-01",
///     }
/// }
/// ```
#[macro_export]
macro_rules! columns {
    ($(#[$meta:meta])* $vis:vis struct $row:ident {
        $($(#[doc = $meaning:literal])+ $name:ident: $type:ty = $example:literal,)+
        $(..$rest:ident: $columns:ty)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        $vis struct $row { $($(#[doc = $meaning])+ $vis $name: $type,)+ $($rest: $columns,)? }

        impl $crate::import::Columns for $row {
            const COLUMNS: &'static [$crate::import::Column] = {
                const OWN: &[$crate::import::Column] = &[$($crate::import::Column {
                    name: stringify!($name),
                    meaning: concat!($($meaning),+),
                    example: $example,
                    needed: <$type as $crate::import::Cell>::NEEDED,
                    form: <$type as $crate::import::Cell>::FORM,
                },)+];
                const PARTS: &[&[$crate::import::Column]] =
                    &[OWN, $(<$columns as $crate::import::Columns>::COLUMNS)?];
                const ALL: usize = OWN.len() $(+ <$columns as $crate::import::Columns>::COLUMNS.len())?;
                &$crate::import::join::<ALL>(PARTS)
            };

            fn read(cells: &mut $crate::import::Cells<'_>) -> Result<Self, $crate::import::Refusal> {
                Ok(Self {
                    $($name: cells.take(stringify!($name))?,)+
                    $($rest: <$columns as $crate::import::Columns>::read(cells)?,)?
                })
            }
        }

        impl utoipa::PartialSchema for $row {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::import::schema(<Self as $crate::import::Columns>::COLUMNS)
            }
        }

        impl utoipa::ToSchema for $row {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($row).into()
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_as_they_were() {
        let texts = [Some("a"), None, Some(""), Some("zwölf")];
        let encoded = Cells::encode(&texts);
        let mut cells = Cells::new(&encoded);
        assert_eq!([cells.next(), cells.next(), cells.next(), cells.next()], texts);
        assert_eq!(cells.next(), None);
    }
}
