//! The gateway's own answers, as Kong words them.

use hyper::ext::ReasonPhrase;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue, SERVER};
use hyper::{Response, StatusCode};

use crate::body::{Body, full};

pub(crate) const SERVER_NAME: HeaderValue = HeaderValue::from_static("kong/3.9.3");

/// A request that ends here, with an answer of the gateway's own.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) status: StatusCode,
    /// None for an answer without a body.
    text: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Exit {
    pub(crate) fn new(status: StatusCode, text: &'static str) -> Self {
        Self { text: Some(text), ..Self::empty(status) }
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, text: None, headers: Vec::new() }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Whether the request got as far as an upstream, which shows in the headers.
    pub(crate) fn was_proxied(&self) -> bool {
        matches!(self.status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
    }

    pub(crate) fn into_response(self, request_id: &str) -> Response<Body> {
        let json = |text| format!("{{\n  \"message\":\"{text}\",\n  \"request_id\":\"{request_id}\"\n}}");
        let text = self.text.map(json).unwrap_or_default();
        let length = HeaderValue::from(text.len());
        let mut response = Response::new(full(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(SERVER, SERVER_NAME);
        let now = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        headers.extend(HeaderValue::from_str(&now).map(|now| (DATE, now)));
        if self.text.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        }
        response.headers_mut().extend(self.headers);
        // nginx has its own words for some codes.
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
