//! The plugins that `kong.yml` uses, one file each, and which instance of each acts on a request.

pub(crate) mod acl;
pub(crate) mod correlation_id;
pub(crate) mod cors;
pub(crate) mod key_auth;
pub(crate) mod prometheus;
pub(crate) mod rate_limiting;
pub(crate) mod request_size_limiting;
pub(crate) mod request_transformer;

use std::collections::HashMap;
use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use crate::file;
use crate::plan::{PlanError, typed};

use acl::Acl;
use correlation_id::CorrelationId;
use cors::Cors;
use key_auth::KeyAuth;
use prometheus::Prometheus;
use rate_limiting::RateLimiting;
use request_size_limiting::RequestSizeLimiting;
use request_transformer::RequestTransformer;

/// Somebody with a key.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) id: Uuid,
    pub(crate) credential: Uuid,
    pub(crate) username: Arc<str>,
    pub(crate) groups: Vec<String>,
}

impl Consumer {
    pub(crate) fn new(username: &str, groups: Vec<String>) -> Self {
        Self { id: Uuid::new_v4(), credential: Uuid::new_v4(), username: username.into(), groups }
    }
}

/// Where a list of plugins stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Global,
    Service,
    Route,
}

pub(crate) type Consumers = Arc<HashMap<String, Arc<Consumer>>>;

/// The plugins of one route, in the order in which they act: at most one instance of each, the most specific.
#[derive(Clone, Default)]
pub(crate) struct Chain {
    pub(crate) correlation_id: Option<Arc<CorrelationId>>,
    pub(crate) cors: Option<Arc<Cors>>,
    pub(crate) key_auth: Option<Arc<KeyAuth>>,
    pub(crate) request_size_limiting: Option<Arc<RequestSizeLimiting>>,
    pub(crate) acl: Option<Arc<Acl>>,
    rate_limiting: Option<Arc<RateLimiting>>,
    rate_by_consumer: HashMap<String, Arc<RateLimiting>>,
    pub(crate) request_transformer: Option<Arc<RequestTransformer>>,
    pub(crate) prometheus: Option<Arc<Prometheus>>,
}

impl Chain {
    /// An instance for the consumer beats one for the route, the service or all.
    pub(crate) fn rate_limiting(&self, consumer: Option<&Consumer>) -> Option<&Arc<RateLimiting>> {
        consumer.and_then(|consumer| self.rate_by_consumer.get(&*consumer.username)).or(self.rate_limiting.as_ref())
    }

    /// Adds the plugins of one level, from the general to the specific: a later one of a name replaces an earlier.
    /// `at` is the path of their list in the file.
    pub(crate) fn add_all(
        &mut self,
        plugins: Vec<file::Plugin>,
        at: &str,
        scope: Scope,
        consumers: &Consumers,
    ) -> Result<(), PlanError> {
        let mut seen = Vec::new();
        for (i, plugin) in plugins.into_iter().enumerate() {
            let at = format!("{at}[{i}]");
            let key = (plugin.name.clone(), plugin.consumer.clone());
            if seen.contains(&key) {
                return Err(PlanError::at(format!("{at}.name"), "a second instance in the same scope"));
            }
            seen.push(key);
            self.add(plugin, &at, scope, consumers)?;
        }
        Ok(())
    }

    fn add(&mut self, plugin: file::Plugin, at: &str, scope: Scope, consumers: &Consumers) -> Result<(), PlanError> {
        let (config, path) = (plugin.config, format!("{at}.config"));
        if let Some(consumer) = plugin.consumer {
            let fault = |reason: &str| PlanError::at(format!("{at}.consumer"), reason);
            if plugin.name != "rate-limiting" || scope != Scope::Global {
                return Err(fault("is implemented only for rate-limiting, in the list at the top level"));
            }
            if !consumers.values().any(|known| *known.username == *consumer) {
                return Err(fault("is not the username of a consumer with a key"));
            }
            self.rate_by_consumer.insert(consumer, Arc::new(RateLimiting::new(typed(config, &path)?, &path)?));
            return Ok(());
        }
        match plugin.name.as_str() {
            "correlation-id" => self.correlation_id = Some(Arc::new(typed(config, &path)?)),
            "cors" => self.cors = Some(Arc::new(typed(config, &path)?)),
            "key-auth" => self.key_auth = Some(Arc::new(KeyAuth::new(typed(config, &path)?, consumers.clone()))),
            "request-size-limiting" => self.request_size_limiting = Some(Arc::new(typed(config, &path)?)),
            "acl" => self.acl = Some(Arc::new(typed(config, &path)?)),
            "rate-limiting" => self.rate_limiting = Some(Arc::new(RateLimiting::new(typed(config, &path)?, &path)?)),
            "request-transformer" => self.request_transformer = Some(Arc::new(typed(config, &path)?)),
            "prometheus" if scope == Scope::Global => {
                let prometheus::Config { .. } = typed(config, &path)?;
                self.prometheus = Some(Arc::new(Prometheus::new()));
            }
            name => {
                let reason = format!("plugin '{name}' is not implemented here by the local gateway");
                return Err(PlanError::at(format!("{at}.name"), reason));
            }
        }
        Ok(())
    }
}

fn header_name<'de, D: Deserializer<'de>>(input: D) -> Result<HeaderName, D::Error> {
    HeaderName::from_bytes(String::deserialize(input)?.as_bytes()).map_err(serde::de::Error::custom)
}

/// A list as one header's value, as Kong joins it.
fn joined<'de, D: Deserializer<'de>>(input: D) -> Result<HeaderValue, D::Error> {
    HeaderValue::from_str(&Vec::<String>::deserialize(input)?.join(",")).map_err(serde::de::Error::custom)
}
