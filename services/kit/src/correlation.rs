//! The correlation id: given by the gateway, carried by the task, sent on with every call.

use std::future::Future;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header in which it travels.
pub const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

tokio::task_local! {
    static CURRENT: HeaderValue;
}

/// The id of the request (or background step) that this task works for.
pub fn current() -> Option<HeaderValue> {
    CURRENT.try_with(Clone::clone).ok()
}

/// [`current`] as text.
pub fn current_text() -> Option<String> {
    CURRENT.try_with(|id| text(id).to_owned()).ok()
}

/// Runs `work` under the given id.
pub async fn scope<F: Future>(id: HeaderValue, work: F) -> F::Output {
    CURRENT.scope(id, work).await
}

/// A new id, for work that no request began.
pub fn fresh() -> HeaderValue {
    HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()).expect("a UUID is a valid header value")
}

/// The caller's id, or a new one where it sent none that could be logged safely.
pub fn from_headers(headers: &HeaderMap) -> HeaderValue {
    headers
        .get(HEADER)
        .filter(|id| !id.is_empty() && id.len() <= 128 && id.as_bytes().iter().all(u8::is_ascii_graphic))
        .cloned()
        .unwrap_or_else(fresh)
}

/// The id as text; ids are made or checked to be printable ASCII.
pub fn text(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or_default()
}
