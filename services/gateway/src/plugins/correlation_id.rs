//! `correlation-id`: one id per request, for the upstream and, if echoed, for the client.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorrelationId {
    #[serde(deserialize_with = "super::header_name")]
    header_name: HeaderName,
    #[serde(rename = "generator")]
    _generator: Generator,
    #[serde(default)]
    echo_downstream: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Generator {
    Uuid,
}

impl CorrelationId {
    /// Makes sure that the request has an id: a client's own is kept as it is, unless empty.
    /// Returns the header of the answer.
    pub(crate) fn access(&self, headers: &mut HeaderMap) -> Option<(HeaderName, HeaderValue)> {
        let id = match headers.get(&self.header_name) {
            Some(own) if !own.is_empty() => own.clone(),
            _ => HeaderValue::from_str(&Uuid::new_v4().to_string()).ok()?,
        };
        headers.insert(self.header_name.clone(), id.clone());
        self.echo_downstream.then(|| (self.header_name.clone(), id))
    }
}
