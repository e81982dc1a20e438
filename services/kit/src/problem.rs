//! RFC 9457 problem details: the one shape in which every error leaves a service.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What every `type` begins with; the rest is a stable code such as `insufficient-stock`.
pub const TYPE_BASE: &str = "https://tributary.dev/problems/";

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An error as the client sees it; also read from other services' answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable identity of the kind of problem, to be matched by programs.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words; the same for every problem of the type.
    pub title: String,
    /// The HTTP status, repeated.
    pub status: u16,
    /// What happened this time and what to do about it.
    #[serde(default)]
    pub detail: String,
    /// The field, parameter or header at fault, such as `lines[0].quantity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The correlation id of this request in the logs of all services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// More members that the type defines, such as `short` of `insufficient-stock`.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

impl Problem {
    /// A problem with the current correlation id.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{TYPE_BASE}{code}"),
            title: title(code),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            correlation_id: crate::correlation::current_text(),
            extensions: Map::new(),
        }
    }

    /// The code at the end of the type.
    pub fn code(&self) -> &str {
        self.kind.rsplit('/').next().unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], body).into_response()
    }
}

/// `insufficient-stock` → `Insufficient stock`: the code is the title, so the two can never disagree.
fn title(code: &str) -> String {
    let mut letters = code.replace('-', " ");
    if let Some(first) = letters.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_back_what_it_wrote() {
        let mut problem = Problem::new(StatusCode::CONFLICT, "insufficient-stock", "2 of SKU-1 are left");
        problem.extensions.insert("short".to_owned(), serde_json::json!([{"product_id": 1}]));
        let text = serde_json::to_string(&problem).unwrap();
        assert_eq!(
            text,
            "{\"type\":\"https://tributary.dev/problems/insufficient-stock\",\"title\":\"Insufficient stock\",\
             \"status\":409,\"detail\":\"2 of SKU-1 are left\",\"short\":[{\"product_id\":1}]}"
        );
        assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
        assert_eq!(problem.code(), "insufficient-stock");
    }
}
