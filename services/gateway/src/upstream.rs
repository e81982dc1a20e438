//! Where requests go: targets, and which of them is next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::file;
use crate::plan::PlanError;

/// One `host:port` that answers for a service.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) authority: String,
    pub(crate) healthy: AtomicBool,
}

/// A named set of targets, taken in turn.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) targets: Vec<Arc<Target>>,
    pub(crate) active: Option<file::Active>,
    next: AtomicUsize,
}

#[derive(Debug)]
pub(crate) enum Balancer {
    Upstream(Arc<Upstream>),
    Host(Arc<Target>),
}

impl Target {
    fn new(authority: &str) -> Arc<Self> {
        Arc::new(Self { authority: authority.to_owned(), healthy: AtomicBool::new(true) })
    }
}

impl Upstream {
    pub(crate) fn new(upstream: file::Upstream, at: &str) -> Result<Self, PlanError> {
        let mut targets = Vec::new();
        for (i, target) in upstream.targets.iter().enumerate() {
            let port = target.target.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>().ok())?);
            if port.is_none() {
                return Err(PlanError::at(format!("{at}.targets[{i}].target"), "should be host:port"));
            }
            targets.push(Target::new(&target.target));
        }
        Ok(Self { name: upstream.name, targets, active: upstream.healthchecks.active, next: AtomicUsize::new(0) })
    }
}

impl Balancer {
    pub(crate) fn host(host: &str, port: u16) -> Self {
        Self::Host(Target::new(&format!("{host}:{port}")))
    }

    /// The next healthy target in turn; none when all are down.
    pub(crate) fn pick(&self) -> Option<Arc<Target>> {
        match self {
            Self::Host(target) => Some(target.clone()),
            Self::Upstream(upstream) => {
                let count = upstream.targets.len();
                let first = upstream.next.fetch_add(1, Ordering::Relaxed);
                (0..count)
                    .filter_map(|step| upstream.targets.get(first.wrapping_add(step) % count))
                    .find(|target| target.healthy.load(Ordering::Relaxed))
                    .cloned()
            }
        }
    }
}
