//! `/health/live`: the process runs and each of its loops turns, else 503 naming those that have stopped.
//! `/health/live/NAME`: it runs; only the service of that name answers. The gateway asks this one: a service whose loops have
//! stopped still answers requests.
//! `/health/ready`: all it depends on answers, else 503 naming what does not.
//! Each tells the version of its zone data.
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
            .route(LIVE, get(async || alive(base::stopped())))
            .route(
                &format!("{LIVE}/{name}"),
                get(async || axum::Json(json!({"status": "ok", "zone_data": base::ZONE_DATA}))),
            )
            .route(READY, get(move || ready(self.clone())))
    }
}

fn alive(stopped: Vec<base::Stopped>) -> Response {
    let stopped: Vec<String> = stopped.into_iter().map(|it| it.name).collect();
    let (code, status) =
        if stopped.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "stopped") };
    (code, axum::Json(json!({"status": status, "failing": stopped, "zone_data": base::ZONE_DATA}))).into_response()
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
    (code, axum::Json(json!({"status": status, "failing": failing, "checks": checks, "zone_data": base::ZONE_DATA})))
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_whose_loop_has_stopped_does_not_live() {
        assert_eq!(alive(Vec::new()).status(), StatusCode::OK);
        let answer = alive(vec![base::Stopped { name: "scheduler".to_owned(), silence: Duration::from_secs(16) }]);
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains(r#""failing":["scheduler"]"#), "{body:?}");
    }
}
