//! `prometheus`: what went through, by service and route, for the admin listener's `/metrics`.

use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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

/// Upper bounds in milliseconds.
const KONG_BUCKETS: &[u64] = &[1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000];
const UPSTREAM_BUCKETS: &[u64] = &[25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10_000, 30_000, 60_000];

/// By service and route.
type Places = BTreeMap<(Arc<str>, Arc<str>), Place>;

#[derive(Default)]
pub(crate) struct Prometheus {
    places: Mutex<Places>,
    requests: AtomicU64,
}

/// What went through one route.
struct Place {
    /// By consumer, status code, and who answered.
    requests: BTreeMap<(Arc<str>, u16, &'static str), u64>,
    /// Bytes in and out, by consumer.
    bytes: BTreeMap<Arc<str>, [u64; 2]>,
    /// Of the whole request, of the gateway's own part, of the upstream's.
    latencies: [Histogram; 3],
}

const LATENCIES: [&str; 3] = ["kong_request_latency_ms", "kong_kong_latency_ms", "kong_upstream_latency_ms"];

struct Histogram {
    bounds: &'static [u64],
    counts: Vec<u64>,
    sum: u64,
    count: u64,
}

/// Notes one request when it is dropped, which is when its last byte has gone.
pub(crate) struct Meter {
    pub(crate) plugin: Arc<Prometheus>,
    pub(crate) service: Arc<str>,
    pub(crate) route: Arc<str>,
    pub(crate) consumer: Arc<str>,
    pub(crate) code: u16,
    /// `service` if the upstream answered, else `kong`.
    pub(crate) source: &'static str,
    pub(crate) started: Instant,
    pub(crate) upstream: Option<Duration>,
    pub(crate) ingress: u64,
    pub(crate) egress: u64,
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.plugin.note(self);
    }
}

impl Prometheus {
    /// Counts a request, matched by a route or not.
    pub(crate) fn count(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    fn note(&self, meter: &Meter) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry((meter.service.clone(), meter.route.clone())).or_default();
        *place.requests.entry((meter.consumer.clone(), meter.code, meter.source)).or_default() += 1;
        let [ingress, egress] = place.bytes.entry(meter.consumer.clone()).or_default();
        *ingress += meter.ingress;
        *egress += meter.egress;
        let [request, kong, upstream] = &mut place.latencies;
        let whole = meter.started.elapsed();
        request.observe(whole);
        kong.observe(whole.saturating_sub(meter.upstream.unwrap_or_default()));
        if let Some(waited) = meter.upstream {
            upstream.observe(waited);
        }
    }

    /// The text that Prometheus reads.
    pub(crate) fn render(&self, upstreams: &[Arc<Upstream>]) -> String {
        let mut out = String::new();
        let mut line = |text: Arguments<'_>| {
            out.push_str(&text.to_string());
            out.push('\n');
        };
        let requests = self.requests.load(Ordering::Relaxed);
        line(format_args!("# TYPE kong_nginx_requests_total gauge"));
        line(format_args!("kong_nginx_requests_total{{subsystem=\"http\"}} {requests}"));
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        line(format_args!("# TYPE kong_http_requests_total counter"));
        for ((service, route), place) in places.iter() {
            for ((consumer, code, source), count) in &place.requests {
                let labels = format!("service=\"{service}\",route=\"{route}\",code=\"{code}\",source=\"{source}\"");
                let who = format!("workspace=\"default\",consumer=\"{consumer}\"");
                line(format_args!("kong_http_requests_total{{{labels},{who}}} {count}"));
            }
        }
        line(format_args!("# TYPE kong_bandwidth_bytes counter"));
        for ((service, route), place) in places.iter() {
            for (consumer, both) in &place.bytes {
                let who = format!("workspace=\"default\",consumer=\"{consumer}\"");
                for (direction, bytes) in ["ingress", "egress"].iter().zip(both) {
                    let labels = format!("service=\"{service}\",route=\"{route}\",direction=\"{direction}\"");
                    line(format_args!("kong_bandwidth_bytes{{{labels},{who}}} {bytes}"));
                }
            }
        }
        for (index, name) in LATENCIES.iter().enumerate() {
            line(format_args!("# TYPE {name} histogram"));
            for ((service, route), place) in places.iter() {
                let labels = format!("service=\"{service}\",route=\"{route}\",workspace=\"default\"");
                let Some(Histogram { bounds, counts, sum, count }) = place.latencies.get(index) else { continue };
                for (bound, count) in bounds.iter().zip(counts) {
                    line(format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {count}"));
                }
                line(format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {count}"));
                line(format_args!("{name}_sum{{{labels}}} {sum}"));
                line(format_args!("{name}_count{{{labels}}} {count}"));
            }
        }
        line(format_args!("# TYPE kong_upstream_target_health gauge"));
        for upstream in upstreams {
            for target in &upstream.targets {
                let (name, target, is) = (&upstream.name, &target.authority, upstream.health(target).metric());
                let place = format!("upstream=\"{name}\",target=\"{target}\",address=\"{target}\",subsystem=\"http\"");
                for state in ["healthy", "unhealthy", "dns_error", "healthchecks_off"] {
                    let on = u8::from(state == is);
                    line(format_args!("kong_upstream_target_health{{{place},state=\"{state}\"}} {on}"));
                }
            }
        }
        out
    }
}

impl Default for Place {
    fn default() -> Self {
        let latencies = [UPSTREAM_BUCKETS, KONG_BUCKETS, UPSTREAM_BUCKETS].map(Histogram::new);
        Self { requests: BTreeMap::new(), bytes: BTreeMap::new(), latencies }
    }
}

impl Histogram {
    fn new(bounds: &'static [u64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len()], sum: 0, count: 0 }
    }

    fn observe(&mut self, value: Duration) {
        let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
        for (bound, count) in self.bounds.iter().zip(&mut self.counts) {
            *count += u64::from(millis <= *bound);
        }
        self.sum = self.sum.saturating_add(millis);
        self.count += 1;
    }
}
