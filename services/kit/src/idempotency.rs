//! `Idempotency-Key`: a client may send a write again without knowing whether the first one arrived.
//!
//! The key is a column of the document, unique, and written by the same INSERT; there is no second table that
//! could disagree. A handler inserts with `ON CONFLICT (idempotency_key) DO NOTHING`; where nothing was
//! inserted it reads the document bound to the key ([`KeyedRequest::earlier`]) and answers its present state.
//! [`inserted_or_earlier`] does that for documents that one INSERT makes.

use std::future::Future;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgExecutor};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, Required};

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

/// So that an operation's documentation names the header: `params(IdempotencyKey)`.
impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255)).build();
        let header = ParameterBuilder::new()
            .name(HEADER)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("Makes the request safe to repeat: the same key and body have the same answer"))
            .schema(Some(schema));
        vec![header.build()]
    }
}

/// SHA-256 of the request, stored beside the key.
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

/// A write with its key, where it has one, and the digest of its body. Both are bound to the document
/// by the INSERT that stores it.
#[derive(Debug, Clone)]
pub struct KeyedRequest {
    key: Option<IdempotencyKey>,
    digest: Digest,
}

impl KeyedRequest {
    /// The request that was sent under `key`. For a document below another, give `(parent_id, &body)`.
    pub fn new<T: Serialize>(key: Option<IdempotencyKey>, request: &T) -> Self {
        Self { key, digest: Digest::of(request) }
    }

    /// The key's column.
    pub fn key(&self) -> Option<&str> {
        self.key.as_ref().map(IdempotencyKey::as_str)
    }

    /// The digest's column: none without a key.
    pub fn digest(&self) -> Option<&[u8]> {
        self.key.as_ref().map(|_| self.digest.as_bytes())
    }

    /// The document that the key made earlier. `sql` takes the key as `$1` and gives `request_digest` and the
    /// columns of `T`.
    ///
    /// # Errors
    /// 422 where that document was made by another body; the database's own failure.
    pub async fn earlier<T>(&self, db: impl PgExecutor<'_>, sql: &'static str) -> Result<Option<T>, ApiError>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let Some(key) = self.key() else { return Ok(None) };
        let Some(bound) = sqlx::query_as::<_, Bound<T>>(sql).bind(key).fetch_optional(db).await? else {
            return Ok(None);
        };
        self.digest.must_equal(&bound.request_digest)?;
        Ok(Some(bound.document))
    }
}

/// A document with the digest that was stored beside its key.
#[derive(FromRow)]
struct Bound<T> {
    request_digest: Vec<u8>,
    #[sqlx(flatten)]
    document: T,
}

/// The document that an INSERT with `ON CONFLICT (idempotency_key) DO NOTHING` made, else the one that
/// `earlier` finds under the key.
///
/// A repeat that races its first request may break another unique constraint before the key's own; only when
/// no document has the key is the insert's error the answer.
///
/// # Errors
/// The insert's error, for [`crate::error::OnConstraint`] to translate; what `earlier` fails with.
pub async fn inserted_or_earlier<T>(
    inserted: Result<Option<T>, sqlx::Error>,
    earlier: impl Future<Output = Result<Option<T>, ApiError>>,
) -> Result<T, ApiError> {
    let error = match inserted {
        Ok(Some(document)) => return Ok(document),
        Ok(None) => sqlx::Error::RowNotFound,
        Err(error) => error,
    };
    earlier.await?.ok_or(ApiError::Database(error))
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
