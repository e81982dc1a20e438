//! What stands behind the question mark in a page's address. A field that was left empty asks nothing.

use std::{convert::Infallible, str::FromStr};

use axum::{extract::FromRequestParts, http::request::Parts};
use kit::{error::ApiError, page::Cursor};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The names and values of a query, trimmed.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    fn read(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        let pairs = pairs.map(|(name, value)| (name.into_owned(), value.trim().to_owned()));
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The value of a name.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.pairs().find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    /// All of it.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a name, read.
    ///
    /// # Errors
    /// 400 naming it, with what it `must` be.
    pub(super) fn parsed<T: FromStr>(&self, name: &'static str, must: &str) -> Result<Option<T>, ApiError> {
        let read = |text: &str| text.parse().map_err(|_| ApiError::bad_parameter(name, format!("{name} {must}")));
        self.value(name).map(read).transpose()
    }

    /// Where the page before this one ended, under `after`; a mark that is none begins from the start.
    ///
    /// # Errors
    /// 400 for a mark of another list.
    pub(super) fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, ApiError> {
        let mark = self.value("after").and_then(|text| serde_json::from_value(Value::String(text.to_owned())).ok());
        Cursor::key(mark.as_ref())
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::read(parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn what_was_left_empty_asks_nothing_and_what_is_wrong_is_named() {
        let query = Query::read("business_day=&revision=+2+&to=two&q=a%20b");
        assert_eq!((query.value("business_day"), query.value("q")), (None, Some("a b")));
        assert_eq!(query.parsed::<i32>("revision", "must be a number").unwrap(), Some(2));
        let problem = query.parsed::<i32>("to", "must be a number").unwrap_err().problem();
        assert_eq!((problem.field.as_deref(), problem.detail.as_str()), (Some("to"), "to must be a number"));
    }
}
