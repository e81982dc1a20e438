//! `kong.yml` as it is written: only the entities and fields that the local gateway obeys. An
//! unknown one is refused with its path, because half-obeyed configuration is worse than none.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) _format_version: String,
    #[serde(default)]
    pub(crate) services: Vec<Service>,
    #[serde(default)]
    pub(crate) upstreams: Vec<Upstream>,
    #[serde(default)]
    pub(crate) consumers: Vec<Consumer>,
    #[serde(default)]
    pub(crate) plugins: Vec<Plugin>,
}

/// Timeouts are milliseconds; `retries` counts the tries after the first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) name: String,
    /// The name of an upstream.
    pub(crate) host: String,
    pub(crate) retries: u32,
    pub(crate) connect_timeout: u64,
    pub(crate) write_timeout: u64,
    pub(crate) read_timeout: u64,
    #[serde(default)]
    pub(crate) routes: Vec<Route>,
    #[serde(default)]
    pub(crate) plugins: Vec<Plugin>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Http,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) paths: Vec<String>,
    #[serde(default)]
    pub(crate) methods: Vec<String>,
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
    /// `host:port`.
    pub(crate) target: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthChecks {
    pub(crate) active: Option<Active>,
}

/// `timeout` and the intervals are seconds; an interval of 0 is off.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Active {
    #[serde(rename = "type")]
    _kind: Kind,
    pub(crate) http_path: String,
    pub(crate) timeout: f64,
    pub(crate) healthy: Healthy,
    pub(crate) unhealthy: Unhealthy,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Healthy {
    pub(crate) interval: f64,
    pub(crate) successes: u32,
    pub(crate) http_statuses: Vec<u16>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unhealthy {
    pub(crate) interval: f64,
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
