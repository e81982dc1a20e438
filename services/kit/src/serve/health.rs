//! `/health/live`: the process runs and each of its loops turns, else 503 naming those that have stopped.
//! `/health/live/NAME`: it runs; only the service of that name answers. The gateway asks this one: a service whose loops have
//! stopped still answers requests.
//! `/health/ready`: all it depends on answers, else 503 naming what does not.
//! All are 503 as soon as the service is asked to stop.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::join_all;
use serde_json::{Map, Value, json};

/// Where it is asked whether the process lives.
pub(super) const LIVE: &str = "/health/live";
/// Where readiness is asked.
pub(super) const READY: &str = "/health/ready";
/// A dependency that does not answer in this time counts as unavailable.
const TIMEOUT: Duration = Duration::from_secs(2);

type Probe = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// One dependency and how it is probed.
#[derive(Clone)]
pub(super) struct Check {
    name: &'static str,
    probe: Arc<dyn Fn() -> Probe + Send + Sync>,
}

impl Check {
    pub(super) fn new<F>(name: &'static str, probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, probe: Arc::new(move || Box::pin(probe())) }
    }
}

/// All dependencies of a service.
#[derive(Clone, Default)]
pub(super) struct Health(Vec<Check>);

impl Health {
    pub(super) fn add(&mut self, check: Check) {
        self.0.push(check);
    }

    /// The paths of the service called `name`.
    pub(super) fn router(self, name: &str) -> Router {
        Router::new()
            .route(LIVE, get(live))
            .route(&format!("{LIVE}/{name}"), get(async || axum::Json(json!({"status": "ok"}))))
            .route(READY, get(move || ready(self.clone())))
    }
}

async fn live() -> Response {
    let stopped: Vec<String> = base::stopped().into_iter().map(|it| it.name).collect();
    let (code, status) =
        if stopped.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "stopped") };
    (code, axum::Json(json!({"status": status, "failing": stopped}))).into_response()
}

async fn ready(health: Health) -> Response {
    let answers = join_all(health.0.iter().map(|check| async move {
        let answer = tokio::time::timeout(TIMEOUT, (check.probe)()).await;
        (check.name, answer.unwrap_or_else(|_| Err(format!("no answer in {} s", TIMEOUT.as_secs()))))
    }))
    .await;
    let failing: Vec<&str> = answers.iter().filter(|(_, answer)| answer.is_err()).map(|(name, _)| *name).collect();
    let (code, status) =
        if failing.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
    for (dependency, reason) in answers.iter().filter_map(|(name, answer)| Some((name, answer.as_ref().err()?))) {
        tracing::warn!(dependency, reason, "not ready");
    }
    // The reason may hold addresses: it goes to the log, the name to the caller.
    let checks: Map<String, Value> = answers
        .iter()
        .map(|(name, answer)| ((*name).to_owned(), Value::from(if answer.is_ok() { "ok" } else { "unavailable" })))
        .collect();
    (code, axum::Json(json!({"status": status, "failing": failing, "checks": checks}))).into_response()
}
