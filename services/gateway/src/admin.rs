//! The private side: health checks in the background, and a listener that shows metrics and health.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::proxy::Gateway;

/// Starts what runs beside the requests; dropping the set stops it.
pub(crate) fn start(gateway: &Arc<Gateway>, listener: Option<TcpListener>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for upstream in &gateway.plan.upstreams {
        for target in &upstream.targets {
            tasks.spawn(upstream.clone().watch(target.clone()));
        }
    }
    if let Some(prometheus) = gateway.plan.fallback.prometheus.clone() {
        tasks.spawn(async move {
            let mut clock = tokio::time::interval(Duration::from_secs(5));
            loop {
                clock.tick().await;
                prometheus.tidy();
            }
        });
    }
    if let Some(listener) = listener {
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/upstreams/{name}/health", get(health))
            .with_state(gateway.clone());
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the private listener ended");
            }
        });
    }
    tasks
}

async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    match &gateway.plan.fallback.prometheus {
        Some(plugin) => {
            ([(CONTENT_TYPE, "text/plain; charset=UTF-8")], plugin.render(&gateway.plan.upstreams)).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn health(State(gateway): State<Arc<Gateway>>, Path(name): Path<String>) -> Response {
    let Some(upstream) = gateway.plan.upstreams.iter().find(|upstream| upstream.name == name) else {
        return (StatusCode::NOT_FOUND, Json(json!({"message": "Not found"}))).into_response();
    };
    let data: Vec<_> = upstream
        .targets
        .iter()
        .map(|it| json!({"target": it.authority.as_str(), "health": upstream.health(it).to_ascii_uppercase()}))
        .collect();
    Json(json!({"data": data, "next": null})).into_response()
}
