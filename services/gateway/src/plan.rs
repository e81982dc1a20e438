//! The configuration made ready to obey: routes in the order in which they are tried, each with the
//! plugins that act on it. Everything that can be wrong with a file is found here, before a request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::file::{self, File};
use crate::forward::{Client, client};
use crate::plugins::{Chain, Consumer, Consumers, Scope};
use crate::router::{Route, Router};
use crate::upstream::Upstream;

/// A fault in the file, with the path that leads to it.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("not YAML: {0}")]
    Yaml(String),
    #[error("{path}: {reason}")]
    At { path: String, reason: String },
}

impl PlanError {
    pub(crate) fn at(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::At { path: path.into(), reason: reason.into() }
    }
}

/// A service of the file: where its requests go, and how long each step may take.
pub(crate) struct Service {
    pub(crate) name: Arc<str>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) client: Client,
    pub(crate) retries: u32,
    pub(crate) write_timeout: Duration,
    pub(crate) read_timeout: Duration,
}

/// Everything that the gateway needs to serve.
pub(crate) struct Plan {
    pub(crate) router: Router,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    /// The plugins of a request that no route matched: the global ones.
    pub(crate) fallback: Chain,
}

/// Reads a rendered `kong.yml`.
pub(crate) fn parse(text: &str) -> Result<Plan, PlanError> {
    for (index, line) in text.lines().enumerate() {
        if line.contains("${") && !line.trim_start().starts_with('#') {
            let reason = "a placeholder is not filled in; render the file first (stack kong-config)";
            return Err(PlanError::at(format!("line {}", index + 1), reason));
        }
    }
    let value: serde_json::Value = serde_saphyr::from_str(text).map_err(|e| PlanError::Yaml(e.to_string()))?;
    build(typed(value, "")?)
}

/// Turns a value into its type; an error names the path of the fault, starting with `prefix`.
pub(crate) fn typed<T: DeserializeOwned>(value: serde_json::Value, prefix: &str) -> Result<T, PlanError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let inner = error.path().to_string();
        let path = match (prefix.is_empty(), inner.as_str()) {
            (true, _) => inner,
            (false, ".") => prefix.to_owned(),
            (false, _) => format!("{prefix}.{inner}"),
        };
        PlanError::at(path, error.into_inner().to_string())
    })
}

fn build(file: File) -> Result<Plan, PlanError> {
    let consumers = consumers(&file.consumers)?;
    let upstreams: Vec<_> = file.upstreams.into_iter().map(|it| Arc::new(Upstream::new(it))).collect();
    let mut fallback = Chain::default();
    fallback.add_all(file.plugins, "plugins", Scope::Global, &consumers)?;
    let mut routes = Vec::new();
    for (i, service) in file.services.into_iter().enumerate() {
        let at = format!("services[{i}]");
        let mut on_service = fallback.clone();
        on_service.add_all(service.plugins, &format!("{at}.plugins"), Scope::Service, &consumers)?;
        let upstream = upstreams.iter().find(|upstream| upstream.name == service.host).cloned();
        let ready = Arc::new(Service {
            name: service.name.into(),
            upstream: upstream.ok_or_else(|| PlanError::at(format!("{at}.host"), "is not the name of an upstream"))?,
            client: client(service.connect_timeout),
            retries: service.retries,
            write_timeout: service.write_timeout,
            read_timeout: service.read_timeout,
        });
        for (j, mut route) in service.routes.into_iter().enumerate() {
            let at = format!("{at}.routes[{j}]");
            if route.paths.is_empty() {
                return Err(PlanError::at(format!("{at}.paths"), "a route without paths is not implemented"));
            }
            let mut chain = on_service.clone();
            let plugins = std::mem::take(&mut route.plugins);
            chain.add_all(plugins, &format!("{at}.plugins"), Scope::Route, &consumers)?;
            if chain.request_size_limiting.is_none() {
                return Err(PlanError::at(at, "request-size-limiting is missing: it bounds what is held in memory"));
            }
            routes.push(Route::new(route, ready.clone(), chain));
        }
    }
    Ok(Plan { router: Router::new(routes), upstreams, fallback })
}

/// Consumers by their key. Two with one key, or one with a key that is empty, would let a request
/// in as somebody else.
fn consumers(list: &[file::Consumer]) -> Result<Consumers, PlanError> {
    let mut by_key = HashMap::new();
    for (i, consumer) in list.iter().enumerate() {
        for (j, credential) in consumer.keyauth_credentials.iter().enumerate() {
            let at = format!("consumers[{i}].keyauth_credentials[{j}].key");
            if credential.key.is_empty() {
                return Err(PlanError::at(at, "is empty"));
            }
            let groups = consumer.acls.iter().map(|acl| acl.group.clone()).collect();
            let ready = Arc::new(Consumer::new(&consumer.username, groups));
            if by_key.insert(credential.key.clone(), ready).is_some() {
                return Err(PlanError::at(at, "is already another consumer's key"));
            }
        }
    }
    Ok(Arc::new(by_key))
}
