//! The plugins that `kong.yml` uses, one file each, and which instance of each acts on a request.

pub(crate) mod acl;
pub(crate) mod correlation_id;
pub(crate) mod key_auth;
pub(crate) mod request_transformer;

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::file;
use crate::plan::{PlanError, typed};

/// Somebody with a key.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) id: Uuid,
    pub(crate) credential: Uuid,
    pub(crate) username: String,
    pub(crate) groups: Vec<String>,
}

impl Consumer {
    pub(crate) fn new(username: &str, groups: Vec<String>) -> Self {
        Self { id: Uuid::new_v4(), credential: Uuid::new_v4(), username: username.to_owned(), groups }
    }
}

/// The plugins of one route: at most one instance of each name, the most specific.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) correlation_id: Option<Arc<correlation_id::CorrelationId>>,
    pub(crate) key_auth: Option<Arc<key_auth::KeyAuth>>,
    pub(crate) acl: Option<Arc<acl::Acl>>,
    pub(crate) request_transformer: Option<Arc<request_transformer::RequestTransformer>>,
}

/// Collects plugins from the general to the specific; a later one of a name replaces an earlier.
#[derive(Clone)]
pub(crate) struct ChainBuilder {
    chain: Chain,
    consumers: Arc<HashMap<String, Arc<Consumer>>>,
}

impl ChainBuilder {
    pub(crate) fn new(consumers: Arc<HashMap<String, Arc<Consumer>>>) -> Self {
        let chain = Chain { correlation_id: None, key_auth: None, acl: None, request_transformer: None };
        Self { chain, consumers }
    }

    pub(crate) fn build(self) -> Chain {
        self.chain
    }

    /// Adds the plugins of one level; `at` is the path of their list in the file.
    pub(crate) fn add_all(&mut self, plugins: Vec<file::Plugin>, at: &str, global: bool) -> Result<(), PlanError> {
        let mut seen = Vec::new();
        for (i, plugin) in plugins.into_iter().enumerate() {
            let at = format!("{at}[{i}]");
            let scope = (plugin.name.clone(), plugin.consumer.clone());
            if seen.contains(&scope) {
                return Err(PlanError::at(format!("{at}.name"), "a second instance in the same scope"));
            }
            seen.push(scope);
            self.add(plugin, &at, global)?;
        }
        Ok(())
    }

    fn add(&mut self, plugin: file::Plugin, at: &str, _global: bool) -> Result<(), PlanError> {
        if plugin.consumer.is_some() {
            return Err(PlanError::at(format!("{at}.consumer"), "not implemented for this plugin"));
        }
        let path = format!("{at}.config");
        let chain = &mut self.chain;
        match plugin.name.as_str() {
            "correlation-id" => chain.correlation_id = Some(Arc::new(typed(plugin.config, &path)?)),
            "key-auth" => chain.key_auth = Some(Arc::new(key_auth::KeyAuth::new(typed(plugin.config, &path)?, self.consumers.clone()))),
            "acl" => chain.acl = Some(Arc::new(typed(plugin.config, &path)?)),
            "request-transformer" => {
                let config = typed(plugin.config, &path)?;
                chain.request_transformer = Some(Arc::new(request_transformer::RequestTransformer::new(config, &path)?));
            }
            _ => return Err(PlanError::at(format!("{at}.name"), format!("plugin '{}' is not implemented by the local gateway", plugin.name))),
        }
        Ok(())
    }
}

pub(crate) fn header_name<'de, D: serde::Deserializer<'de>>(input: D) -> Result<hyper::header::HeaderName, D::Error> {
    let text = <String as serde::Deserialize>::deserialize(input)?;
    hyper::header::HeaderName::from_bytes(text.as_bytes()).map_err(serde::de::Error::custom)
}

pub(crate) fn yes() -> bool {
    true
}
