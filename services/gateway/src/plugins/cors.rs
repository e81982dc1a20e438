//! `cors`: lets scripts from any origin use the API with a key, and answers their preflights.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName,
    HeaderValue, ORIGIN,
};
use hyper::{Method, StatusCode};
use serde::Deserialize;

use crate::reply::Exit;

/// `max_age` is seconds. Only `*` is implemented: keys travel in a header, so no origin is special.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cors {
    #[serde(rename = "origins")]
    _origins: [Origin; 1],
    #[serde(deserialize_with = "super::joined")]
    methods: HeaderValue,
    #[serde(deserialize_with = "super::joined")]
    headers: HeaderValue,
    #[serde(deserialize_with = "super::joined")]
    exposed_headers: HeaderValue,
    max_age: u64,
}

#[derive(Debug, Deserialize)]
enum Origin {
    #[serde(rename = "*")]
    Any,
}

const ANY: HeaderValue = HeaderValue::from_static("*");

impl Cors {
    /// What every answer carries, be it the upstream's or the gateway's own.
    pub(crate) fn headers(&self) -> [(HeaderName, HeaderValue); 2] {
        [(ACCESS_CONTROL_ALLOW_ORIGIN, ANY), (ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed_headers.clone())]
    }

    /// The answer to a preflight, if the request is one.
    pub(crate) fn preflight(&self, method: &Method, request: &HeaderMap) -> Option<Exit> {
        let asks = request.contains_key(ORIGIN) && request.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        (method == Method::OPTIONS && asks).then(|| {
            Exit::empty(StatusCode::OK)
                .with(ACCESS_CONTROL_ALLOW_ORIGIN, ANY)
                .with(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone())
                .with(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone())
                .with(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.max_age))
        })
    }
}
