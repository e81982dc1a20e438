//! `Idempotency-Key`: a client may send a write again without knowing whether the first one arrived.
//!
//! The key is a column of the document, unique, and written by the same INSERT; there is no second table that
//! could disagree. A handler inserts with `ON CONFLICT (idempotency_key) DO NOTHING`; where nothing was
//! inserted it reads the document bound to the key, calls [`Digest::must_equal`] and answers its present state.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;

/// The header's name.
pub const HEADER: &str = "Idempotency-Key";

/// A key of 1 to 255 printable ASCII characters, as sent by the client. Take it as
/// `Option<IdempotencyKey>` where the header may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key as text, for the column.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(parts: &Parts) -> Result<Option<Self>, ApiError> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let printable = value.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte));
        if values.next().is_some() || value.is_empty() || value.len() > 255 || !printable {
            return Err(ApiError::bad_parameter(HEADER, "send one Idempotency-Key of 1 to 255 printable characters"));
        }
        Ok(value.to_str().ok().map(|text| Self(text.to_owned())))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::parse(parts)?.ok_or_else(|| ApiError::bad_parameter(HEADER, "this write needs an Idempotency-Key"))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, ApiError> {
        Self::parse(parts)
    }
}

/// SHA-256 of what was asked, stored beside the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a parsed request: two bodies that differ only in spaces or in the order of keys are the same.
    /// For a document below another, give `(parent_id, &body)`.
    pub fn of<T: Serialize>(request: &T) -> Self {
        let canonical = serde_json::to_vec(request).unwrap_or_default();
        Self(Sha256::digest(canonical).into())
    }

    /// The bytes, for a `bytea` column.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Compares with the digest stored under the same key.
    ///
    /// # Errors
    /// [`ApiError::IdempotencyKeyReused`] (422) where the bodies differ.
    pub fn must_equal(&self, stored: &[u8]) -> Result<(), ApiError> {
        if stored == self.0 { Ok(()) } else { Err(ApiError::IdempotencyKeyReused) }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parse(values: &[&str]) -> Result<Option<IdempotencyKey>, ApiError> {
        let mut request = Request::builder();
        for value in values {
            request = request.header(HEADER, *value);
        }
        IdempotencyKey::parse(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn keys_are_checked() {
        assert_eq!(parse(&[]).unwrap(), None);
        assert_eq!(parse(&["a-1"]).unwrap().unwrap().as_str(), "a-1");
        for bad in [&[""][..], &["a", "b"], &["tab\there"], &["x".repeat(256).as_str()]] {
            assert_eq!(parse(bad).unwrap_err().problem().status, 400);
        }
    }

    #[test]
    fn the_same_request_has_the_same_digest() {
        let digest = Digest::of(&(7, "a"));
        assert!(digest.must_equal(Digest::of(&(7, "a")).as_bytes()).is_ok());
        assert_eq!(digest.must_equal(Digest::of(&(8, "a")).as_bytes()).unwrap_err().problem().status, 422);
    }
}
