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

/// The three series of each histogram.
const KONG: [&str; 3] = ["kong_kong_latency_ms_bucket", "kong_kong_latency_ms_sum", "kong_kong_latency_ms_count"];
const REQUEST: [&str; 3] =
    ["kong_request_latency_ms_bucket", "kong_request_latency_ms_sum", "kong_request_latency_ms_count"];
const UPSTREAM: [&str; 3] =
    ["kong_upstream_latency_ms_bucket", "kong_upstream_latency_ms_sum", "kong_upstream_latency_ms_count"];

#[derive(Default)]
pub(crate) struct Prometheus {
    /// Values by metric and labels, the labels as they are written.
    series: Mutex<BTreeMap<(&'static str, String), u64>>,
    requests: AtomicU64,
}

/// Notes one request when it is dropped, which is when its last byte has gone.
pub(crate) struct Meter {
    pub(crate) plugin: Arc<Prometheus>,
    pub(crate) service: String,
    pub(crate) route: Arc<str>,
    pub(crate) consumer: String,
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
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let mut add = |name, labels: String, by: u64| *series.entry((name, labels)).or_default() += by;
        let Meter { service, route, code, source, consumer, .. } = meter;
        let place = format!("service=\"{service}\",route=\"{route}\"");
        let who = format!("workspace=\"default\",consumer=\"{consumer}\"");
        add("kong_http_requests_total", format!("{place},code=\"{code}\",source=\"{source}\",{who}"), 1);
        add("kong_bandwidth_bytes", format!("{place},direction=\"ingress\",{who}"), meter.ingress);
        add("kong_bandwidth_bytes", format!("{place},direction=\"egress\",{who}"), meter.egress);

        let place = format!("{place},workspace=\"default\"");
        let mut observe = |[bucket, sum, count]: [&'static str; 3], bounds: &[u64], value: Duration| {
            let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
            for bound in bounds {
                add(bucket, format!("{place},le=\"{bound}\""), u64::from(millis <= *bound));
            }
            add(bucket, format!("{place},le=\"+Inf\""), 1);
            add(sum, place.clone(), millis);
            add(count, place.clone(), 1);
        };
        let whole = meter.started.elapsed();
        observe(REQUEST, UPSTREAM_BUCKETS, whole);
        observe(KONG, KONG_BUCKETS, whole.saturating_sub(meter.upstream.unwrap_or_default()));
        if let Some(upstream) = meter.upstream {
            observe(UPSTREAM, UPSTREAM_BUCKETS, upstream);
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
        let mut last = "";
        for ((name, labels), value) in self.series.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let (family, kind) = match name.find("_latency_ms").and_then(|at| name.split_at_checked(at + 11)) {
                Some((family, _)) => (family, "histogram"),
                None => (*name, "counter"),
            };
            if family != last {
                line(format_args!("# TYPE {family} {kind}"));
                last = family;
            }
            line(format_args!("{name}{{{labels}}} {value}"));
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
