//! Extractors whose rejections are problems that name the field at fault.

use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::error::ApiError;
use crate::json::ObjectsOnly;
use crate::serve::BODY_LIMIT;

/// A JSON body, in and out. `T` should `deny_unknown_fields`.
///
/// Rejections: 415 for another media type, 413 for too large a body, 400 for bytes that are no JSON,
/// 422 naming the field for JSON of the wrong shape.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::UnsupportedMediaType { expected: "application/json" });
        }
        let bytes = Bytes::from_request(request, state).await.map_err(body_rejection)?;
        parse_json(&bytes).map(Self)
    }
}

/// `Option<Json<T>>`: a request without a `Content-Type` has no body to read.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, ApiError> {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The query string. `T` should `deny_unknown_fields`; its fields are `Option`s or have defaults.
///
/// Rejection: 400 naming the parameter.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// The path's parameters. Rejection: 400 naming the parameter.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(path_rejection(&rejection)),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn body_rejection(rejection: BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::TooLarge { limit: BODY_LIMIT };
    }
    ApiError::BadRequest { field: None, detail: "the body ended before its announced length".to_owned() }
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(ObjectsOnly(&mut json)).map_err(|error| {
        let path = error.path().to_string();
        // A number where a name belongs is reported as a fault of syntax, though the body is JSON. (Text that is skipped
        // is not looked at, so its encoding is asked for by itself.)
        let is_json = || std::str::from_utf8(bytes).is_ok() && serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
        if error.inner().is_syntax() && is_json() {
            return ApiError::invalid(field(&path, ""), "the value is of another type than documented");
        }
        json_error(&path, error.inner())
    })?;
    json.end().map_err(|error| json_error(".", &error))?;
    Ok(value)
}

fn json_error(path: &str, error: &serde_json::Error) -> ApiError {
    match error.classify() {
        serde_json::error::Category::Data => {
            let text = error.to_string();
            // serde_json appends the position, which means nothing once the field is named.
            let reason = text.split(" at line ").next().unwrap_or(&text);
            ApiError::invalid(field(path, reason), reason)
        }
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof | serde_json::error::Category::Io => {
            ApiError::BadRequest { field: None, detail: format!("the body is not JSON: {error}") }
        }
    }
}

fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    // PostgreSQL keeps no such text, so nothing can be asked for by it.
    if let Some((name, _)) = form_urlencoded::parse(query.as_bytes()).find(|(_, value)| value.contains('\0')) {
        return Err(ApiError::bad_parameter(name.into_owned(), "a NUL character stands in no text"));
    }
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let reason = error.inner().to_string();
        ApiError::bad_parameter(field(&error.path().to_string(), &reason), reason)
    })
}

/// The field at fault. A missing or unknown field is named in serde's message; its parent is the path.
fn field(path: &str, reason: &str) -> String {
    let parent = if path == "." { "" } else { path };
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| reason.strip_prefix(start))
        .and_then(|rest| rest.split('`').next());
    match named {
        Some(name) if parent.is_empty() || parent == name => name.to_owned(),
        Some(name) if parent.ends_with(&format!(".{name}")) => parent.to_owned(),
        Some(name) => format!("{parent}.{name}"),
        None if parent.is_empty() => "body".to_owned(),
        None => parent.to_owned(),
    }
}

fn path_rejection(rejection: &PathRejection) -> ApiError {
    let PathRejection::FailedToDeserializePathParams(error) = rejection else {
        return ApiError::internal("a route without the path parameters that its handler takes");
    };
    match error.kind() {
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => {
            ApiError::bad_parameter(key.clone(), format!("{key} must be {}", kind(expected_type)))
        }
        ErrorKind::ParseError { expected_type, .. } | ErrorKind::ParseErrorAtIndex { expected_type, .. } => {
            ApiError::bad_parameter("path", format!("the path must hold {}", kind(expected_type)))
        }
        other => ApiError::bad_parameter("path", other.to_string()),
    }
}

fn kind(rust_type: &str) -> &str {
    match rust_type {
        "i64" | "i32" => "a whole number",
        "uuid::Uuid" => "a UUID",
        _ => "a value of the documented type",
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the errors matter here")]
    struct Order {
        id: i64,
        lines: Vec<Line>,
        #[serde(default)]
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the errors matter here")]
    struct Line {
        quantity: i64,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Gift,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        store_id: Option<i64>,
    }

    #[test]
    fn a_bad_body_names_its_field() {
        let cases: [(&[u8], u16, Option<&str>); 13] = [
            (br#"{"id": 1, "lines": [{"quantity": 1}], "kind": 1}"#, 422, Some("kind")),
            (br#"{"id": "x", "lines": []}"#, 422, Some("id")),
            (br#"{"lines": []}"#, 422, Some("id")),
            (br#"{"id": 1, "lines": [{"quantity": 1}, {"quantity": 1.5}]}"#, 422, Some("lines[1].quantity")),
            (br#"{"id": 1, "lines": [{}]}"#, 422, Some("lines[0].quantity")),
            (br#"{"id": 1, "lines": [{"quantity": 1, "qty": 2}]}"#, 422, Some("lines[0].qty")),
            (br#"{"id": 9223372036854775808, "lines": []}"#, 422, Some("id")),
            (br#"{"id": 1, "id": 2, "lines": []}"#, 422, Some("id")),
            (br#"[]"#, 422, Some("body")),
            (br#"[1, [{"quantity": 1}], null]"#, 422, Some("body")),
            (br#"{"id": 1, "lines": [{"quantity": 1}, [1]]}"#, 422, Some("lines[1]")),
            (b"{\"id\": \"\xff\"}", 400, None),
            (br#"{"id": 1, "lines": []} x"#, 400, None),
        ];
        for (body, status, field) in cases {
            let problem = parse_json::<Order>(body).unwrap_err().problem();
            assert_eq!((problem.status, problem.field.as_deref()), (status, field), "{problem:?}");
        }
    }

    #[test]
    fn a_bad_query_names_its_parameter() {
        for (query, field) in [("store_id=x", "store_id"), ("shop=1", "shop"), ("store_id=1&store_id=2", "store_id")] {
            let problem = parse_query::<Filter>(query).unwrap_err().problem();
            assert_eq!((problem.status, problem.field.as_deref()), (400, Some(field)), "{problem:?}");
        }
        let nul = parse_query::<std::collections::BTreeMap<String, String>>("name=a%00b").unwrap_err().problem();
        assert_eq!((nul.status, nul.field.as_deref()), (400, Some("name")));
        assert_eq!(parse_query::<Filter>("store_id=7").unwrap().store_id, Some(7));
    }
}
