//! The closed list of ways in which a request fails, each with its status and stable problem type.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::db::Fault;
use crate::problem::Problem;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a client is asked to wait when nothing better is known.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why a request failed. `Display` is what the client reads; the cause goes to the log only.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 400: the request is malformed, or a parameter of the URL is unknown or bad.
    #[error("{detail}")]
    BadRequest { field: Option<Cow<'static, str>>, detail: String },
    /// 422: a field of the body is unknown, missing, of the wrong type or out of bounds.
    #[error("{detail}")]
    Invalid { field: Cow<'static, str>, detail: String },
    /// 422: what is asked is understood, and cannot be done as it is.
    #[error("{detail}")]
    Unprocessable { code: &'static str, detail: String },
    /// 422: the idempotency key was used before with another body.
    #[error("this Idempotency-Key was used before with another body; use a new key for a new request")]
    IdempotencyKeyReused,
    /// 403: the request did not come through the gateway, or was meant for another service.
    #[error("this service answers only to its own gateway token; nothing was done")]
    Forbidden,
    /// 404: what the path names does not exist.
    #[error("there is no {what}")]
    NotFound { what: Cow<'static, str> },
    /// 405: the path exists, the method does not.
    #[error("this path does not take that method; the Allow header lists those it takes")]
    MethodNotAllowed,
    /// 406: none of the media types that the client accepts is to be had.
    #[error("none of the media types in Accept is to be had; there are {available}")]
    NotAcceptable { available: String },
    /// 409: a rule of the domain, or the state of a document, is against it.
    #[error("{detail}")]
    Conflict { code: &'static str, detail: String, extensions: Map<String, Value> },
    /// 410: what the client refers to no longer exists, and it must begin again.
    #[error("{detail}")]
    Gone { code: &'static str, detail: String },
    /// 412: a condition of the request does not hold; what it asks for is another version than the client has.
    #[error("{detail}")]
    PreconditionFailed { field: &'static str, detail: String },
    /// 413: the body is larger than this path takes.
    #[error("the body is larger than the {limit} bytes that this path takes")]
    TooLarge { limit: usize },
    /// 415: the body is of another media type.
    #[error("this path takes {expected}; set Content-Type accordingly")]
    UnsupportedMediaType { expected: &'static str },
    /// 503 with `Retry-After`: something that this service needs is unavailable; safe to try again.
    #[error("{detail}")]
    Unavailable { detail: String, retry_after: Duration, extensions: Map<String, Value>, source: Option<BoxError> },
    /// 503 with `Retry-After`: the request took longer than it may.
    #[error("the request took longer than {} s; try again with the same Idempotency-Key", .limit.as_secs())]
    Timeout { limit: Duration },
    /// 503 while the database is unavailable or busy, 422 for a value it cannot hold, else 500.
    #[error("the database could not do it")]
    Database(#[source] sqlx::Error),
    /// 500: a bug, or something that nobody foresaw.
    #[error("something went wrong on our side; the correlation id finds it in the logs")]
    Internal(#[source] BoxError),
}

impl ApiError {
    /// 400 naming a parameter.
    pub fn bad_parameter(field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::BadRequest { field: Some(field.into()), detail: detail.into() }
    }

    /// 422 naming a field of the body.
    pub fn invalid(field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), detail: detail.into() }
    }

    /// 404; `what` follows "there is no", for example `product 17`.
    pub fn not_found(what: impl Into<Cow<'static, str>>) -> Self {
        Self::NotFound { what: what.into() }
    }

    /// 409 of a type of its own, such as `insufficient-stock`.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into(), extensions: Map::new() }
    }

    /// 503 with [`RETRY_AFTER`].
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::Unavailable { detail: detail.into(), retry_after: RETRY_AFTER, extensions: Map::new(), source: None }
    }

    /// 500 with its cause, which only the log sees.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::Internal(source.into())
    }

    /// Adds a member to the problem of a [`ApiError::Conflict`] or [`ApiError::Unavailable`]; others have none.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Self::Conflict { extensions, .. } | Self::Unavailable { extensions, .. } = &mut self {
            extensions.insert(name.to_owned(), value.into());
        }
        self
    }

    /// The problem as sent, without logging it.
    pub fn problem(&self) -> Problem {
        let new = |status, code: &str| Problem::new(status, code, self.to_string());
        match self {
            Self::BadRequest { field: None, .. } => new(StatusCode::BAD_REQUEST, "bad-request"),
            Self::BadRequest { field: Some(field), .. } => at(new(StatusCode::BAD_REQUEST, "invalid-parameter"), field),
            Self::Invalid { field, .. } => at(new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-field"), field),
            Self::Unprocessable { code, .. } => new(StatusCode::UNPROCESSABLE_ENTITY, code),
            Self::IdempotencyKeyReused => {
                at(new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused"), "Idempotency-Key")
            }
            Self::Forbidden => new(StatusCode::FORBIDDEN, "not-through-gateway"),
            Self::NotFound { .. } => new(StatusCode::NOT_FOUND, "not-found"),
            Self::MethodNotAllowed => new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::NotAcceptable { .. } => at(new(StatusCode::NOT_ACCEPTABLE, "not-acceptable"), "Accept"),
            Self::Conflict { code, extensions, .. } => {
                Problem { extensions: extensions.clone(), ..new(StatusCode::CONFLICT, code) }
            }
            Self::Gone { code, .. } => new(StatusCode::GONE, code),
            Self::PreconditionFailed { field, .. } => {
                at(new(StatusCode::PRECONDITION_FAILED, "precondition-failed"), field)
            }
            Self::TooLarge { .. } => new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            Self::UnsupportedMediaType { .. } => {
                at(new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"), "Content-Type")
            }
            Self::Unavailable { extensions, .. } => {
                Problem { extensions: extensions.clone(), ..new(StatusCode::SERVICE_UNAVAILABLE, "unavailable") }
            }
            Self::Timeout { .. } => new(StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            Self::Database(error) => database_problem(Fault::of(error)),
            Self::Internal(_) => new(StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => Some(*retry_after),
            Self::Timeout { .. } => Some(RETRY_AFTER),
            Self::Database(error) => match Fault::of(error) {
                Fault::Away | Fault::Contended => Some(RETRY_AFTER),
                Fault::Value | Fault::Other => None,
            },
            _ => None,
        }
    }
}

/// What the client may know of a database error: never its text, which holds SQL and names.
fn database_problem(fault: Fault) -> Problem {
    let (status, code, detail) = match fault {
        Fault::Away => {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the database is away for the moment; try again")
        }
        Fault::Contended => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the database is busy; try again"),
        Fault::Value => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-field",
            "a value cannot be stored: a number beyond 64 bits, a date out of range, or text with a NUL character",
        ),
        Fault::Other => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong on our side; the correlation id finds it in the logs",
        ),
    };
    Problem::new(status, code, detail)
}

fn at(mut problem: Problem, field: &str) -> Problem {
    problem.field = Some(field.to_owned());
    problem
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = self.problem();
        // The one place where a failed request is logged: the client's own faults are its business, ours are not.
        if problem.status >= 500 {
            tracing::error!(status = problem.status, error = crate::telemetry::chain(&self), "request failed");
        } else {
            tracing::debug!(status = problem.status, error = crate::telemetry::chain(&self), "request refused");
        }
        let retry_after = self.retry_after();
        let mut response = problem.into_response();
        if let Some(wait) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Turns a broken named constraint into the error that it means: the database decides, races included.
pub trait OnConstraint<T> {
    /// Where the constraint called `name` was broken, the error that `meaning` makes; chainable.
    ///
    /// # Errors
    /// What it was, or what it means.
    fn on_constraint(self, name: &str, meaning: impl FnOnce() -> ApiError) -> Result<T, ApiError>;
}

impl<T, E: Into<ApiError>> OnConstraint<T> for Result<T, E> {
    fn on_constraint(self, name: &str, meaning: impl FnOnce() -> ApiError) -> Result<T, ApiError> {
        self.map_err(|error| match error.into() {
            ApiError::Database(sqlx::Error::Database(error)) if error.constraint() == Some(name) => meaning(),
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_types_are_stable() {
        let pool = || ApiError::from(sqlx::Error::PoolTimedOut);
        let cases = [
            (ApiError::bad_parameter("limit", "too large"), 400, "invalid-parameter"),
            (ApiError::invalid("sku", "too long"), 422, "invalid-field"),
            (ApiError::not_found("product 9"), 404, "not-found"),
            (ApiError::conflict("sku-taken", "taken"), 409, "sku-taken"),
            (ApiError::TooLarge { limit: 10 }, 413, "body-too-large"),
            (ApiError::unavailable("inventory is away"), 503, "unavailable"),
            (pool(), 503, "unavailable"),
            (ApiError::from(sqlx::Error::RowNotFound), 500, "internal"),
        ];
        for (error, status, code) in cases {
            let problem = error.problem();
            assert_eq!((problem.status, problem.code()), (status, code), "{error:?}");
        }
        assert_eq!(pool().into_response().headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn a_cause_reaches_the_log_and_not_the_client() {
        let error = ApiError::internal("secret detail");
        assert!(!serde_json::to_string(&error.problem()).unwrap().contains("secret"));
        assert!(crate::telemetry::chain(&error).ends_with(": secret detail"));
    }
}
