//! Keyset pages: `?limit=&after=` in, `{"items", "next"}` out, whatever is added or removed meanwhile.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;

/// How many items a page holds: 1 to 500, 100 when not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = i64, minimum = 1, maximum = 500, default = 100)]
pub struct Limit(i64);

impl Limit {
    /// The largest page.
    pub const MAX: i64 = 500;

    /// So many items.
    #[must_use]
    pub const fn of(rows: i64) -> Self {
        Self(rows)
    }

    /// How many items at most.
    pub fn rows(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// What to ask the database for: one more than the page, to learn whether there is a next one.
    pub fn fetch(self) -> i64 {
        self.0 + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limit = i64::deserialize(deserializer)?;
        if (1..=Self::MAX).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(D::Error::custom(format_args!("limit must be from 1 to {}", Self::MAX)))
        }
    }
}

/// Where a page begins: opaque to clients, the key of the last item seen to us.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct Cursor(String);

impl Cursor {
    /// Wraps the key of an item.
    pub fn encode<K: Serialize>(key: &K) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
    }

    /// The key inside.
    ///
    /// # Errors
    /// 400 for a cursor that this listing did not give out.
    pub fn decode<K: DeserializeOwned>(&self) -> Result<K, ApiError> {
        URL_SAFE_NO_PAD.decode(&self.0).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(|| {
            ApiError::bad_parameter("after", "after is not a cursor of this listing; take it from `next` of a page")
        })
    }

    /// The key inside an optional cursor.
    ///
    /// # Errors
    /// As [`Cursor::decode`].
    pub fn key<K: DeserializeOwned>(cursor: Option<&Self>) -> Result<Option<K>, ApiError> {
        cursor.map(Self::decode).transpose()
    }
}

/// One page of a collection.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the listing's order.
    pub items: Vec<T>,
    /// The `after` of the next page; null on the last one.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of rows fetched with [`Limit::fetch`]; `key` is what the listing is ordered by.
    pub fn of<K: Serialize>(mut items: Vec<T>, limit: Limit, key: impl Fn(&T) -> K) -> Self {
        let size = limit.rows();
        let more = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| more).map(|last| Cursor::encode(&key(last)));
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_leads_to_the_next_and_the_last_does_not() {
        let page = Page::of(vec![1_i64, 2, 3], Limit(2), |id| *id);
        assert_eq!(page.items, [1, 2]);
        let cursor = Cursor(page.next.unwrap());
        assert_eq!(cursor.decode::<i64>().unwrap(), 2);
        assert!(Page::of(vec![3_i64, 4], Limit(2), |id| *id).next.is_none());
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        for text in ["", "!!", "AAAA", &Cursor::encode(&("a", 1))] {
            assert_eq!(Cursor(text.to_owned()).decode::<i64>().unwrap_err().problem().status, 400);
        }
    }

    #[test]
    fn limits_have_bounds() {
        for (text, valid) in [("1", true), ("500", true), ("0", false), ("501", false), ("-1", false)] {
            assert_eq!(serde_json::from_str::<Limit>(text).is_ok(), valid, "{text}");
        }
    }
}
