//! `kong.yml` as it is written: only the entities and fields that the local gateway obeys. An
//! unknown one is refused with its path, because half-obeyed configuration is worse than none.

use std::time::Duration;

use hyper::Method;
use hyper::http::uri::{Authority, PathAndQuery};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::router::Pattern;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(rename = "_format_version")]
    _format_version: Version,
    #[serde(default)]
    pub(crate) services: Vec<Service>,
    #[serde(default)]
    pub(crate) upstreams: Vec<Upstream>,
    #[serde(default)]
    pub(crate) consumers: Vec<Consumer>,
    #[serde(default)]
    pub(crate) plugins: Vec<Plugin>,
}

#[derive(Debug, Deserialize)]
enum Version {
    #[serde(rename = "3.0")]
    Three,
}

/// `retries` counts the tries after the first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) name: String,
    /// The name of an upstream.
    pub(crate) host: String,
    pub(crate) retries: u32,
    #[serde(deserialize_with = "milliseconds")]
    pub(crate) connect_timeout: Duration,
    #[serde(deserialize_with = "milliseconds")]
    pub(crate) write_timeout: Duration,
    #[serde(deserialize_with = "milliseconds")]
    pub(crate) read_timeout: Duration,
    #[serde(default)]
    pub(crate) routes: Vec<Route>,
    #[serde(default)]
    pub(crate) plugins: Vec<Plugin>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) paths: Vec<Pattern>,
    #[serde(default)]
    pub(crate) methods: Vec<Verb>,
    #[serde(default)]
    pub(crate) regex_priority: u32,
    #[serde(default = "yes")]
    pub(crate) strip_path: bool,
    #[serde(default = "yes")]
    pub(crate) request_buffering: bool,
    /// Accepted, and without effect here: the local gateway never holds a response back.
    #[serde(default, rename = "response_buffering")]
    _response_buffering: bool,
    #[serde(default)]
    pub(crate) plugins: Vec<Plugin>,
}

/// A method in upper case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Verb(pub(crate) Method);

impl TryFrom<String> for Verb {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let upper = !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase());
        let method = Method::from_bytes(text.as_bytes()).ok().filter(|_| upper);
        method.map(Self).ok_or("not a method in upper case")
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plugin {
    pub(crate) name: String,
    /// Only at the top level: the consumer this instance is for.
    pub(crate) consumer: Option<String>,
    #[serde(default = "empty")]
    pub(crate) config: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Consumer {
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) keyauth_credentials: Vec<Key>,
    #[serde(default)]
    pub(crate) acls: Vec<Acl>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub(crate) key: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acl {
    pub(crate) group: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) targets: Vec<Target>,
    #[serde(default)]
    pub(crate) healthchecks: HealthChecks,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    #[serde(deserialize_with = "host_and_port")]
    pub(crate) target: Authority,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthChecks {
    pub(crate) active: Option<Active>,
}

/// Times are seconds; an interval of 0 is off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Active {
    #[serde(rename = "type")]
    _kind: Kind,
    #[serde(deserialize_with = "path")]
    pub(crate) http_path: PathAndQuery,
    #[serde(deserialize_with = "seconds")]
    pub(crate) timeout: Duration,
    pub(crate) healthy: Healthy,
    pub(crate) unhealthy: Unhealthy,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Http,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Healthy {
    #[serde(deserialize_with = "seconds")]
    pub(crate) interval: Duration,
    pub(crate) successes: u32,
    pub(crate) http_statuses: Vec<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unhealthy {
    #[serde(deserialize_with = "seconds")]
    pub(crate) interval: Duration,
    pub(crate) http_failures: u32,
    pub(crate) tcp_failures: u32,
    pub(crate) timeouts: u32,
    pub(crate) http_statuses: Vec<u16>,
}

// Kong's own defaults.
fn yes() -> bool {
    true
}
fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

fn milliseconds<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    u64::deserialize(input).map(Duration::from_millis)
}

fn seconds<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    Duration::try_from_secs_f64(f64::deserialize(input)?).map_err(D::Error::custom)
}

fn path<'de, D: Deserializer<'de>>(input: D) -> Result<PathAndQuery, D::Error> {
    String::deserialize(input)?.parse().map_err(D::Error::custom)
}

fn host_and_port<'de, D: Deserializer<'de>>(input: D) -> Result<Authority, D::Error> {
    let target: Option<Authority> = String::deserialize(input)?.parse().ok();
    let named = |it: &Authority| it.port_u16().is_some() && !it.host().is_empty();
    target.filter(named).ok_or_else(|| D::Error::custom("should be host:port"))
}
