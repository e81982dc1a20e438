//! Kong's own answers: the bodies of its errors in the form that the client accepts.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::ext::ReasonPhrase;
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, SERVER};
use hyper::{Response, StatusCode};

use crate::body::ClientBody;

pub(crate) const SERVER_NAME: HeaderValue = HeaderValue::from_static("kong/3.9.3");

/// A request that ends here.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    text: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
    source: Source,
}

/// The layer that raises an error decides what a client without `Accept` is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Lua,
    Nginx,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: &'static str) -> Self {
        Self { status, text, headers: Vec::new(), source: Source::Lua }
    }

    pub(crate) fn nginx(status: StatusCode, text: &'static str) -> Self {
        Self { source: Source::Nginx, ..Self::new(status, text) }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Whether the request got as far as an upstream, which shows in the headers.
    pub(crate) fn was_proxied(&self) -> bool {
        self.source == Source::Nginx && matches!(self.status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
    }

    pub(crate) fn into_response(self, request: &HeaderMap, request_id: &str) -> Response<ClientBody> {
        let form = Form::of(request, self.source);
        let body = form.write(self.text, request_id);
        let mut response = answer(self.status, body.into());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
        response.headers_mut().extend(self.headers);
        let phrase: Option<&'static [u8]> = match self.status {
            StatusCode::GATEWAY_TIMEOUT => Some(b"Gateway Time-out"),
            StatusCode::PAYLOAD_TOO_LARGE => Some(b"Request Entity Too Large"),
            StatusCode::REQUEST_TIMEOUT => Some(b"Request Time-out"),
            _ => None,
        };
        if let Some(phrase) = phrase {
            response.extensions_mut().insert(ReasonPhrase::from_static(phrase));
        }
        response
    }
}

/// An answer of the gateway's own.
pub(crate) fn answer(status: StatusCode, body: Bytes) -> Response<ClientBody> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Full::new(body).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(SERVER, SERVER_NAME);
    let now = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(now) = HeaderValue::from_str(&now) {
        headers.insert(DATE, now);
    }
    response
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Text,
    Html,
    Xml,
}

impl Form {
    fn of(request: &HeaderMap, source: Source) -> Self {
        let text = |name| request.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        match (text(ACCEPT), source) {
            (Some(accept), _) => Self::accepted(accept),
            (None, Source::Lua) => Self::Json,
            (None, Source::Nginx) => text(CONTENT_TYPE).map_or(Self::Text, Self::accepted),
        }
    }

    /// The best of an `Accept` header: the highest q, and among equals the first.
    fn accepted(accept: &str) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for part in accept.split(',') {
            let mut pieces = part.split(';').map(str::trim);
            let form = match pieces.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "text/plain" | "text/*" => Self::Text,
                "text/html" => Self::Html,
                "application/xml" => Self::Xml,
                _ => Self::Json,
            };
            let q = pieces.find_map(|piece| piece.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if best.is_none_or(|(highest, _)| q > highest) {
                best = Some((q, form));
            }
        }
        best.map_or(Self::Json, |(_, form)| form)
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Xml => "application/xml; charset=utf-8",
        }
    }

    fn write(self, text: &str, id: &str) -> String {
        match self {
            Self::Json => format!("{{\n  \"message\":\"{text}\",\n  \"request_id\":\"{id}\"\n}}"),
            Self::Text => format!("{text}\nrequest_id: {id}\n"),
            Self::Html => format!(
                "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n  <body>\n    \
                 <h1>Error</h1>\n    <p>{text}.</p>\n    <p>request_id: {id}</p>\n  </body>\n</html>\n"
            ),
            Self::Xml => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>{text}</message>\n  <requestid>{id}</requestid>\n</error>\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_accepted_form_wins_and_the_first_among_equals() {
        assert_eq!(Form::accepted("*/*"), Form::Json);
        assert_eq!(Form::accepted("text/html, application/xml"), Form::Html);
        assert_eq!(Form::accepted("text/html;q=0.2, application/xml;q=0.9"), Form::Xml);
        assert_eq!(Form::accepted("text/*"), Form::Text);
    }

    #[test]
    fn without_accept_the_layer_decides() {
        let mut request = HeaderMap::new();
        assert_eq!(Form::of(&request, Source::Lua), Form::Json);
        assert_eq!(Form::of(&request, Source::Nginx), Form::Text);
        request.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert_eq!(Form::of(&request, Source::Nginx), Form::Json);
    }
}
