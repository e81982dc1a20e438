//! Where requests go: targets, which of them is next, and which answer their health checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::header::{CONNECTION, HOST, HeaderValue};

use crate::body::UpstreamBody;
use crate::file;
use crate::plan::PlanError;
use crate::pool::{ConnectError, Pool};

/// One `host:port` that answers for a service.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) authority: String,
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

/// What an operator is told of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Healthy,
    Unhealthy,
    Off,
}

impl Health {
    /// As the admin API spells it.
    pub(crate) fn admin(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
            Self::Off => "HEALTHCHECKS_OFF",
        }
    }

    /// As the metric spells it.
    pub(crate) fn metric(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Off => "healthchecks_off",
        }
    }
}

impl Upstream {
    pub(crate) fn new(upstream: file::Upstream, at: &str) -> Result<Self, PlanError> {
        let mut targets = Vec::new();
        for (i, target) in upstream.targets.iter().enumerate() {
            let port = target
                .target
                .rsplit_once(':')
                .and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>().ok())?);
            if port.is_none() {
                return Err(PlanError::at(format!("{at}.targets[{i}].target"), "should be host:port"));
            }
            targets.push(Arc::new(Target { authority: target.target.clone(), healthy: AtomicBool::new(true) }));
        }
        if let Some(active) = &upstream.healthchecks.active {
            let times = [
                ("timeout", active.timeout),
                ("healthy.interval", active.healthy.interval),
                ("unhealthy.interval", active.unhealthy.interval),
            ];
            for (field, seconds) in times {
                if !(0.0..=65_535.0).contains(&seconds) {
                    return Err(PlanError::at(
                        format!("{at}.healthchecks.active.{field}"),
                        "should be between 0 and 65535",
                    ));
                }
            }
        }
        Ok(Self { name: upstream.name, targets, active: upstream.healthchecks.active, next: AtomicUsize::new(0) })
    }

    /// The next healthy target in turn; none when all are down.
    pub(crate) fn pick(&self) -> Option<&Arc<Target>> {
        let count = self.targets.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        (0..count)
            .filter_map(|step| self.targets.get(first.wrapping_add(step) % count))
            .find(|target| target.healthy.load(Ordering::Relaxed))
    }

    pub(crate) fn health(&self, target: &Target) -> Health {
        match (&self.active, target.healthy.load(Ordering::Relaxed)) {
            (None, _) => Health::Off,
            (Some(_), true) => Health::Healthy,
            (Some(_), false) => Health::Unhealthy,
        }
    }

    /// Asks one target for its health, again and again; ends at once when checks are off.
    pub(crate) async fn watch(self: Arc<Self>, target: Arc<Target>, pool: Arc<Pool>) {
        let Some(active) = &self.active else { return };
        let mut tally = Tally::default();
        loop {
            let healthy = target.healthy.load(Ordering::Relaxed);
            let interval = if healthy { active.healthy.interval } else { active.unhealthy.interval };
            if interval == 0.0 {
                return;
            }
            let probed = probe(active, &target.authority, &pool).await;
            if let Some(now) = tally.judge(active, probed)
                && now != healthy
            {
                target.healthy.store(now, Ordering::Relaxed);
                tracing::warn!(upstream = self.name, target = target.authority, healthy = now, "health changed");
            }
            tokio::time::sleep(Duration::from_secs_f64(interval)).await;
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

async fn probe(active: &file::Active, authority: &str, pool: &Pool) -> Probe {
    let limit = Duration::from_secs_f64(active.timeout);
    let asking = async {
        let mut sender = match pool.connect(authority, limit).await {
            Ok(sender) => sender,
            Err(ConnectError::Timeout) => return Probe::Timeout,
            Err(_) => return Probe::NoConnection,
        };
        let mut request = Request::new(UpstreamBody::Memory(bytes::Bytes::new()));
        if let (Ok(path), Ok(host)) = (active.http_path.parse(), HeaderValue::from_str(authority)) {
            *request.uri_mut() = path;
            request.headers_mut().insert(HOST, host);
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        sender
            .send_request(request)
            .await
            .map_or(Probe::NoConnection, |response| Probe::Status(response.status().as_u16()))
    };
    tokio::time::timeout(limit, asking).await.unwrap_or(Probe::Timeout)
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
        let (count, threshold, healthy) = match probe {
            Probe::Status(status) if active.healthy.http_statuses.contains(&status) => {
                *self = Self { successes: self.successes, ..Self::default() };
                (&mut self.successes, active.healthy.successes, true)
            }
            Probe::Status(status) if active.unhealthy.http_statuses.contains(&status) => {
                (&mut self.http_failures, active.unhealthy.http_failures, false)
            }
            Probe::Status(_) => return None,
            Probe::NoConnection => (&mut self.tcp_failures, active.unhealthy.tcp_failures, false),
            Probe::Timeout => (&mut self.timeouts, active.unhealthy.timeouts, false),
        };
        *count = count.saturating_add(1);
        let decided = threshold > 0 && *count >= threshold;
        if !healthy {
            self.successes = 0;
        }
        decided.then_some(healthy)
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
