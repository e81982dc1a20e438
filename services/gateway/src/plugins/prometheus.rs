//! `prometheus`: what went through, by service and route, for the admin listener's `/metrics`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use serde::Deserialize;

use crate::upstream::Upstream;

/// All of these are on; a file that wants fewer is not implemented.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(rename = "per_consumer")]
    _per_consumer: On,
    #[serde(rename = "status_code_metrics")]
    _status_code_metrics: On,
    #[serde(rename = "latency_metrics")]
    _latency_metrics: On,
    #[serde(rename = "bandwidth_metrics")]
    _bandwidth_metrics: On,
    #[serde(rename = "upstream_health_metrics")]
    _upstream_health_metrics: On,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "bool")]
struct On;

impl TryFrom<bool> for On {
    type Error = &'static str;

    fn try_from(on: bool) -> Result<Self, Self::Error> {
        if on { Ok(Self) } else { Err("only true is implemented") }
    }
}

const KONG: &str = "kong_kong_latency_ms";
const REQUEST: &str = "kong_request_latency_ms";
const UPSTREAM: &str = "kong_upstream_latency_ms";

/// Upper bounds in milliseconds, as Kong has them: of its own part, and of what an upstream's is in.
const KONG_MS: [f64; 17] =
    [1.0, 2.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, 100.0, 200.0, 500.0, 750.0, 1e3, 3e3, 6e3];
const UPSTREAM_MS: [f64; 13] = [25.0, 50.0, 80.0, 100.0, 250.0, 400.0, 700.0, 1e3, 2e3, 5e3, 1e4, 3e4, 6e4];

/// A recorder of the gateway's own: a process may hold several gateways, as the tests do.
pub(crate) struct Prometheus {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Prometheus {
    pub(crate) fn new() -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(KONG.to_owned()), &KONG_MS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_latency_ms".to_owned()), &UPSTREAM_MS))
            .expect("the lists of buckets are not empty")
            .build_recorder();
        Self { handle: recorder.handle(), recorder }
    }

    /// Counts a request, matched by a route or not.
    pub(crate) fn count(&self) {
        metrics::with_local_recorder(&self.recorder, || counter!("kong_nginx_requests_total").increment(1));
    }

    /// Sorts what was recorded into its buckets; without it, samples pile up until somebody asks.
    pub(crate) fn tidy(&self) {
        self.handle.run_upkeep();
    }

    /// The text that Prometheus reads.
    pub(crate) fn render(&self, upstreams: &[Arc<Upstream>]) -> String {
        metrics::with_local_recorder(&self.recorder, || {
            for upstream in upstreams {
                for target in &upstream.targets {
                    let (is, authority) = (upstream.health(target), target.authority.to_string());
                    for state in ["healthy", "unhealthy", "dns_error", "healthchecks_off"] {
                        let health = gauge!("kong_upstream_target_health", "upstream" => upstream.name.clone(),
                            "target" => authority.clone(), "address" => authority.clone(), "state" => state, "subsystem" => "http");
                        health.set(f64::from(u8::from(state == is)));
                    }
                }
            }
        });
        self.handle.render()
    }
}

/// Notes one request when it is dropped, which is when its last byte is sent.
pub(crate) struct Meter {
    pub(crate) plugin: Arc<Prometheus>,
    pub(crate) service: Arc<str>,
    pub(crate) route: Arc<str>,
    pub(crate) consumer: Arc<str>,
    pub(crate) code: StatusCode,
    /// `service` if the upstream answered, else `kong`.
    pub(crate) source: &'static str,
    pub(crate) started: Instant,
    pub(crate) upstream: Option<Duration>,
    pub(crate) ingress: u64,
    pub(crate) egress: u64,
}

impl Drop for Meter {
    fn drop(&mut self) {
        metrics::with_local_recorder(&self.plugin.recorder, || self.note());
    }
}

impl Meter {
    fn note(&self) {
        let (service, route, consumer) = (&self.service, &self.route, &self.consumer);
        counter!("kong_http_requests_total", "service" => service.clone(), "route" => route.clone(),
            "code" => self.code.as_u16().to_string(), "source" => self.source, "workspace" => "default",
            "consumer" => consumer.clone())
        .increment(1);
        for (direction, bytes) in [("ingress", self.ingress), ("egress", self.egress)] {
            counter!("kong_bandwidth_bytes", "service" => service.clone(), "route" => route.clone(),
                "direction" => direction, "workspace" => "default", "consumer" => consumer.clone())
            .increment(bytes);
        }
        let whole = self.started.elapsed();
        let own = whole.saturating_sub(self.upstream.unwrap_or_default());
        for (name, time) in [(REQUEST, Some(whole)), (KONG, Some(own)), (UPSTREAM, self.upstream)] {
            let Some(time) = time else { continue };
            let labels = [("service", service.clone()), ("route", route.clone()), ("workspace", "default".into())];
            histogram!(name, &labels).record(time.as_secs_f64() * 1e3);
        }
    }
}
