//! The private side: health checks in the background, and a listener that shows metrics and health.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::body::ClientBody;
use crate::proxy::Gateway;
use crate::reply::typed;
use crate::upstream::Target;

/// Starts what runs beside the requests; dropping the set stops it.
pub(crate) fn start(gateway: &Arc<Gateway>, listener: Option<TcpListener>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for upstream in &gateway.plan.upstreams {
        for target in &upstream.targets {
            tasks.spawn(upstream.clone().watch(target.clone(), gateway.pool.clone()));
        }
    }
    if let Some(listener) = listener {
        tasks.spawn(listen(gateway.clone(), listener));
    }
    tasks
}

async fn listen(gateway: Arc<Gateway>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let gateway = gateway.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let response = respond(&gateway, request.method(), request.uri().path());
                    async move { Ok::<_, Infallible>(response) }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

fn respond(gateway: &Gateway, method: &Method, path: &str) -> Response<ClientBody> {
    let not_found =
        || typed(StatusCode::NOT_FOUND, "application/json; charset=utf-8", "{\"message\":\"Not found\"}".to_owned());
    if method != Method::GET {
        return not_found();
    }
    if path == "/metrics"
        && let Some(prometheus) = &gateway.plan.fallback.prometheus
    {
        return typed(StatusCode::OK, "text/plain; charset=UTF-8", prometheus.render(&gateway.plan.upstreams));
    }
    let name = path.strip_prefix("/upstreams/").and_then(|rest| rest.strip_suffix("/health"));
    let Some(upstream) = gateway.plan.upstreams.iter().find(|upstream| Some(upstream.name.as_str()) == name) else {
        return not_found();
    };
    let target = |target: &Arc<Target>| serde_json::json!({"target": target.authority, "health": upstream.health(target).admin()});
    let data: Vec<_> = upstream.targets.iter().map(target).collect();
    typed(
        StatusCode::OK,
        "application/json; charset=utf-8",
        serde_json::json!({"data": data, "next": null}).to_string(),
    )
}
