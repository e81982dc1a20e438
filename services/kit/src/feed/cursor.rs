//! Positions in a feed: opaque to readers, checked strictly when they come back.
//!
//! They are not signed. A forged one can only ask for rows that its sender may read anyway, so what
//! matters is that nothing in it reaches SQL unparsed, and that a nonsensical one is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::dataset::{Column, Dataset, Type};
use super::error::FeedError;

/// Longer than any position we hand out, with room for text keys.
const MAX_LENGTH: usize = 4096;

/// What a head hands to the pages of its poll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadToken {
    /// Identity of the database.
    #[serde(rename = "e")]
    pub(super) epoch: String,
    /// Committed after the head's snapshot.
    #[serde(rename = "w")]
    pub(super) witness: Uuid,
    /// Every transaction below this number was finished when the head was read.
    #[serde(rename = "h")]
    pub(super) horizon: u64,
}

/// Where the next page begins: after a row while a poll runs, or at a horizon between polls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cursor {
    #[serde(rename = "e")]
    pub(super) epoch: String,
    #[serde(rename = "w")]
    pub(super) witness: Uuid,
    /// What the rows looked like: [`shape`].
    #[serde(rename = "s")]
    pub(super) shape: String,
    /// The stamp to go on from.
    #[serde(rename = "x")]
    pub(super) xid: u64,
    /// The key after which to go on under that stamp; empty: from the stamp on, itself included.
    #[serde(rename = "k", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) key: Vec<Key>,
    /// The horizon that the poll began with, in the middle of one. A poll that is taken up again
    /// under a newer head must still end at the older horizon: what committed late behind its
    /// position was never delivered.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub(super) floor: Option<u64>,
}

/// One value of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Key {
    Int(i64),
    Text(String),
}

impl HeadToken {
    pub(super) fn encode(&self) -> String {
        encode(self)
    }

    pub(super) fn decode(text: &str) -> Result<Self, FeedError> {
        decode(text).ok_or(FeedError::BadCursor { parameter: "head" })
    }
}

impl Cursor {
    pub(super) fn encode(&self) -> String {
        encode(self)
    }

    /// Reads a cursor for `dataset`. The key is judged only under an equal shape, for another one
    /// is answered by 410 whatever it holds.
    pub(super) fn decode(text: &str, dataset: &Dataset, shape: &str) -> Result<Self, FeedError> {
        const BAD: FeedError = FeedError::BadCursor { parameter: "after" };
        let cursor: Self = decode(text).ok_or(BAD)?;
        let resumes = cursor.key.is_empty() && cursor.floor.is_none();
        let goes_on = cursor.floor.is_some() && cursor.key.len() == dataset.key.len();
        let fits = dataset.key_columns().zip(&cursor.key).all(|(column, key)| key.fits(column));
        if cursor.shape == shape && !(resumes || (goes_on && fits)) {
            return Err(BAD);
        }
        Ok(cursor)
    }
}

impl Key {
    /// Reads a key back from the text of its SQL value.
    pub(super) fn parse(text: String, column: &Column) -> Option<Self> {
        let key = match column.ty {
            Type::String => Self::Text(text),
            _ => Self::Int(text.parse().ok()?),
        };
        key.fits(column).then_some(key)
    }

    fn fits(&self, column: &Column) -> bool {
        match (self, column.ty) {
            (Self::Int(value), Type::Int32) => i32::try_from(*value).is_ok(),
            (Self::Int(_), Type::Int64) => true,
            // PostgreSQL's text cannot hold it, so no row has such a key.
            (Self::Text(text), Type::String) => !text.contains('\0'),
            _ => false,
        }
    }

    /// The value as an SQL literal; COPY takes no parameters. Safe because the session keeps
    /// `standard_conforming_strings` on: nothing but a quote is special within quotes.
    pub(super) fn literal(&self) -> String {
        match self {
            Self::Int(value) => format!("'{value}'::bigint"),
            Self::Text(text) => format!("'{}'::text", text.replace('\'', "''")),
        }
    }
}

/// A hash of how `dataset` looks to who asks for `columns`: its name and version, and the name and
/// type of each column.
pub(super) fn shape(dataset: &Dataset, columns: &[&Column]) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{}/{}", dataset.name, dataset.version));
    for column in columns {
        hash.update(format!(",{}:{}", column.name, column.ty.name()));
    }
    base::hex(hash.finalize().get(..8).unwrap_or_default())
}

fn encode<T: Serialize>(value: &T) -> String {
    // Strings, integers and a uuid: no value of ours has a form that JSON lacks.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap_or_default())
}

fn decode<T: DeserializeOwned>(text: &str) -> Option<T> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::dataset::Lines;
    use super::*;

    const LINES: Dataset = Dataset {
        name: "lines",
        version: 1,
        from: "sales s",
        lines: Some(Lines { from: "lines l", of: "l.sale_id = s.id" }),
        xid: "s.change_xid",
        key: &["sale_id", "code"],
        columns: &[
            Column::new("sale_id", Type::Int32, "s.id"),
            Column::new("code", Type::String, "l.code"),
            Column::new("note", Type::String, "l.note"),
        ],
        deleted: "false",
    };

    fn cursor(key: Vec<Key>, floor: Option<u64>) -> String {
        Cursor { epoch: "1-2".into(), witness: Uuid::nil(), shape: "s".into(), xid: 7, key, floor }.encode()
    }

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let text = cursor(vec![Key::Int(1), Key::Text("o'clock".into())], Some(5));
        let read = Cursor::decode(&text, &LINES, "s").unwrap();
        assert_eq!(read.encode(), text);
        assert!(Cursor::decode(&cursor(vec![], None), &LINES, "s").is_ok());
    }

    #[test]
    fn a_cursor_that_does_not_fit_is_refused() {
        let int = Key::Int;
        for bad in [
            cursor(vec![int(1)], Some(5)),
            cursor(vec![int(1), int(2)], Some(5)),
            cursor(vec![int(i64::MAX), Key::Text("a".into())], Some(5)),
            cursor(vec![int(1), Key::Text("a\0".into())], Some(5)),
            cursor(vec![int(1), Key::Text("a".into())], None),
            cursor(vec![], Some(5)),
            "%%%".into(),
            "e30".into(),
            "A".repeat(MAX_LENGTH + 1),
        ] {
            assert!(Cursor::decode(&bad, &LINES, "s").is_err(), "{bad}");
        }
    }

    #[test]
    fn the_shape_knows_version_names_and_order() {
        let asked: Vec<&Column> = LINES.columns.iter().collect();
        let fewer: Vec<&Column> = LINES.columns.iter().take(2).collect();
        let newer = Dataset { version: 2, ..LINES };
        assert_ne!(shape(&LINES, &asked), shape(&LINES, &fewer));
        assert_ne!(shape(&LINES, &asked), shape(&newer, &asked));
        assert_eq!(shape(&LINES, &asked), shape(&LINES, &asked));
    }

    #[test]
    fn a_text_key_cannot_leave_its_quotes() {
        assert_eq!(Key::Text(r"a\'; DROP".into()).literal(), r"'a\''; DROP'::text");
    }

    #[test]
    fn the_first_keys_stand_beside_the_stamp() {
        assert_eq!(LINES.indexed_keys(), 1);
    }
}
