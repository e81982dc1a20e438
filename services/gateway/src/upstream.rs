//! Where requests go: targets, which of them is next, and which answer their health checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Method};

use crate::body::full;
use crate::file;
use crate::forward::{Call, Client, client};

/// One `host:port` that answers for a service.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) authority: Authority,
    healthy: AtomicBool,
}

/// A named set of targets, taken in turn.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) targets: Vec<Arc<Target>>,
    active: Option<file::Active>,
    next: AtomicUsize,
}

impl Upstream {
    pub(crate) fn new(upstream: file::Upstream) -> Self {
        let ready = |it: file::Target| Target { authority: it.target, healthy: AtomicBool::new(true) };
        let targets = upstream.targets.into_iter().map(|it| Arc::new(ready(it))).collect();
        Self { name: upstream.name, targets, active: upstream.healthchecks.active, next: AtomicUsize::new(0) }
    }

    /// The next healthy target in turn; none when all are down.
    pub(crate) fn pick(&self) -> Option<&Arc<Target>> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        (0..self.targets.len())
            .filter_map(|step| self.targets.get(first.wrapping_add(step) % self.targets.len()))
            .find(|target| target.healthy.load(Ordering::Relaxed))
    }

    /// A target's health as the metrics spell it; the admin API has the same words in capitals.
    pub(crate) fn health(&self, target: &Target) -> &'static str {
        match (&self.active, target.healthy.load(Ordering::Relaxed)) {
            (None, _) => "healthchecks_off",
            (Some(_), true) => "healthy",
            (Some(_), false) => "unhealthy",
        }
    }

    /// Asks one target for its health, again and again; ends at once when checks are off.
    pub(crate) async fn watch(self: Arc<Self>, target: Arc<Target>) {
        let Some(active) = &self.active else { return };
        let (client, mut tally) = (client(active.timeout), Tally::default());
        let call = Call { method: Method::GET, path: active.http_path.clone(), headers: HeaderMap::new() };
        loop {
            let healthy = target.healthy.load(Ordering::Relaxed);
            let interval = if healthy { active.healthy.interval } else { active.unhealthy.interval };
            if interval == Duration::ZERO {
                return;
            }
            let probed = probe(active, &target.authority, &client, &call).await;
            if let Some(now) = tally.judge(active, probed)
                && now != healthy
            {
                target.healthy.store(now, Ordering::Relaxed);
                let (upstream, target) = (&self.name, target.authority.as_str());
                tracing::warn!(upstream, target, healthy = now, "health changed");
            }
            tokio::time::sleep(interval).await;
        }
    }
}

/// The outcome of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    Status(u16),
    NoConnection,
    Timeout,
}

async fn probe(active: &file::Active, authority: &Authority, client: &Client, call: &Call) -> Probe {
    match tokio::time::timeout(active.timeout, client.request(call.request(authority, full(Bytes::new())))).await {
        Ok(Ok(response)) => Probe::Status(response.status().as_u16()),
        Ok(Err(_)) => Probe::NoConnection,
        Err(_) => Probe::Timeout,
    }
}

/// Outcomes since the last of the other kind.
#[derive(Debug, Default)]
struct Tally {
    successes: u32,
    http_failures: u32,
    tcp_failures: u32,
    timeouts: u32,
}

impl Tally {
    /// What the target is, once enough outcomes agree; a threshold of 0 never decides.
    fn judge(&mut self, active: &file::Active, probe: Probe) -> Option<bool> {
        let file::Active { healthy, unhealthy, .. } = active;
        let (count, threshold, well) = match probe {
            Probe::Status(status) if healthy.http_statuses.contains(&status) => {
                *self = Self { successes: self.successes, ..Self::default() };
                (&mut self.successes, healthy.successes, true)
            }
            Probe::Status(status) if unhealthy.http_statuses.contains(&status) => {
                (&mut self.http_failures, unhealthy.http_failures, false)
            }
            Probe::Status(_) => return None,
            Probe::NoConnection => (&mut self.tcp_failures, unhealthy.tcp_failures, false),
            Probe::Timeout => (&mut self.timeouts, unhealthy.timeouts, false),
        };
        *count = count.saturating_add(1);
        let decided = threshold > 0 && *count >= threshold;
        if !well {
            self.successes = 0;
        }
        decided.then_some(well)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active() -> file::Active {
        let value = serde_json::json!({
            "type": "http", "http_path": "/health/live", "timeout": 1,
            "healthy": {"interval": 1, "successes": 2, "http_statuses": [200]},
            "unhealthy": {"interval": 1, "http_failures": 2, "tcp_failures": 1, "timeouts": 0, "http_statuses": [500]},
        });
        serde_json::from_value(value).expect("valid")
    }

    #[test]
    fn a_target_changes_only_when_enough_checks_agree() {
        let (active, mut tally) = (active(), Tally::default());
        assert_eq!(tally.judge(&active, Probe::Status(500)), None);
        assert_eq!(tally.judge(&active, Probe::Status(200)), None, "forgets the failure");
        assert_eq!(tally.judge(&active, Probe::Status(500)), None, "forgets the success");
        assert_eq!(tally.judge(&active, Probe::Status(500)), Some(false));
        assert_eq!(tally.judge(&active, Probe::Status(200)), None);
        assert_eq!(tally.judge(&active, Probe::Status(200)), Some(true));
        assert_eq!(tally.judge(&active, Probe::NoConnection), Some(false));
        assert_eq!(tally.judge(&active, Probe::Timeout), None, "a threshold of 0 is off");
        assert_eq!(tally.judge(&active, Probe::Status(418)), None, "neither list");
    }
}
