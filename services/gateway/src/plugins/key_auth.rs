//! `key-auth`: who is asking, by the key in a header or, unless the file says otherwise, in the query.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;

use super::{Consumer, Consumers};
use crate::reply::Exit;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    key_names: Vec<String>,
    #[serde(default)]
    hide_credentials: bool,
    #[serde(default = "yes")]
    key_in_query: bool,
}

fn yes() -> bool {
    true
}

pub(crate) struct KeyAuth {
    config: Config,
    consumers: Consumers,
}

/// Headers that only the gateway may set, because services trust them.
const IDENTITY: [&str; 6] = [
    "x-consumer-id",
    "x-consumer-custom-id",
    "x-consumer-username",
    "x-consumer-groups",
    "x-credential-identifier",
    "x-anonymous-consumer",
];

impl KeyAuth {
    pub(crate) fn new(config: Config, consumers: Consumers) -> Self {
        Self { config, consumers }
    }

    /// Finds the consumer, writes who it is into the upstream's headers, and hides the key.
    pub(crate) fn access(&self, headers: &mut HeaderMap, query: &mut Option<String>) -> Result<Arc<Consumer>, Exit> {
        let (name, key) = self.find(headers, query.as_deref())?;
        let consumer = self.consumers.get(&key).ok_or_else(|| unauthorized("Unauthorized"))?.clone();
        if self.config.hide_credentials {
            headers.remove(name);
            *query = query.take().and_then(|query| without(&query, name));
        }
        for header in IDENTITY {
            headers.remove(header);
        }
        let values = [
            ("x-consumer-id", consumer.id.to_string()),
            ("x-consumer-username", consumer.username.to_string()),
            ("x-credential-identifier", consumer.credential.to_string()),
        ];
        for (header, value) in values {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(header), value);
            }
        }
        Ok(consumer)
    }

    /// The first key that is present, and the name it came under.
    fn find(&self, headers: &HeaderMap, query: Option<&str>) -> Result<(&str, String), Exit> {
        for name in &self.config.key_names {
            let header = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let in_header: Vec<String> = headers.get_all(name).iter().map(header).collect();
            let query = query.filter(|_| self.config.key_in_query).unwrap_or_default();
            let arguments = form_urlencoded::parse(query.as_bytes());
            let in_query = arguments.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect();
            for found in [in_header, in_query] {
                match found.as_slice() {
                    [] => {}
                    [key] if key.is_empty() => {}
                    [key] => return Ok((name, key.clone())),
                    _ => return Err(unauthorized("Duplicate API key found")),
                }
            }
        }
        Err(unauthorized("No API key found in request"))
    }
}

fn unauthorized(text: &'static str) -> Exit {
    Exit::new(StatusCode::UNAUTHORIZED, text).with(WWW_AUTHENTICATE, HeaderValue::from_static("Key"))
}

/// The query without the arguments of one name; none at all when nothing is left.
fn without(query: &str, name: &str) -> Option<String> {
    let is_it = |raw: &str| form_urlencoded::parse(raw.as_bytes()).any(|(key, _)| key == name);
    let kept: Vec<&str> = query.split('&').filter(|raw| !is_it(raw)).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leaves_the_query_and_the_rest_stays_as_sent() {
        assert_eq!(without("apikey=k&b=2", "apikey").as_deref(), Some("b=2"));
        assert_eq!(without("b=%32&api%6bey=k&c", "apikey").as_deref(), Some("b=%32&c"));
        assert_eq!(without("apikey=k", "apikey"), None);
        assert_eq!(without("", "apikey").as_deref(), Some(""));
    }
}
