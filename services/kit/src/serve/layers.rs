//! What every request passes: measuring, the gateway's token, the time limit.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use metrics::{counter, gauge, histogram};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::health::{LIVE, READY};
use crate::error::ApiError;
use crate::serve::BODY_LIMIT;
use crate::{correlation, metric};

/// The header in which the gateway shows its token.
pub(crate) const TOKEN_HEADER: &str = "x-gateway-token";

/// What the layers know of the service: the token that requests must show, and the name in the metrics.
pub(super) struct Inbound {
    service: &'static str,
    token: Box<[u8]>,
}

impl Inbound {
    pub(super) fn new(service: &'static str, token: &str) -> Self {
        Self { service, token: token.as_bytes().into() }
    }
}

/// Refuses a request that did not come through the gateway; compares in constant time, for the token is a secret.
pub(super) async fn through_gateway(State(inbound): State<Arc<Inbound>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(TOKEN_HEADER).map_or(&b""[..], |value| value.as_bytes());
    if bool::from(shown.ct_eq(&inbound.token)) { next.run(request).await } else { ApiError::Forbidden.into_response() }
}

/// Gives up on a handler after `limit`; its transaction is rolled back when it is dropped.
pub(super) async fn time_limit(limit: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::Timeout { limit }.into_response(),
    }
}

/// How much of a refused body is drained, in bytes.
const DRAINED: usize = 64 * BODY_LIMIT;

/// Refuses a body that is announced as too large, after it is drained: read and discarded.
///
/// An answer that is sent while the client still writes is often lost: the connection is reset, and the client sees a
/// broken pipe instead of the answer.
pub(super) async fn drain_large_body(request: Request, next: Next) -> Response {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_none_or(|length| length <= BODY_LIMIT as u64) {
        return next.run(request).await;
    }
    let mut body = request.into_body();
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, bytes::Bytes::len);
        if drained > DRAINED {
            break;
        }
    }
    ApiError::TooLarge { limit: BODY_LIMIT }.into_response()
}

/// Once `stop` is cancelled: closes the connection with each answer, and answers health checks with 503.
///
/// The gateway checks liveness too: it sends the next requests to another replica while open requests are answered.
pub(super) async fn announce_stop(stop: CancellationToken, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if stop.is_cancelled() && (path == READY || path.starts_with(LIVE)) {
        let body = axum::Json(serde_json::json!({"status": "stopping", "failing": ["service"], "checks": {}}));
        return (StatusCode::SERVICE_UNAVAILABLE, [(CONNECTION, "close")], body).into_response();
    }
    let mut response = next.run(request).await;
    if stop.is_cancelled() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Puts a request under its correlation id, in a span, and into the metrics.
pub(super) async fn observe(State(inbound): State<Arc<Inbound>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = known_method(request.method());
    // The pattern, never the path: a metric must not grow with the ids that clients ask for.
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let id = correlation::from_headers(request.headers());
    let path = request.uri().path();
    let span = tracing::info_span!(
        "request",
        service = inbound.service,
        method,
        path,
        correlation_id = correlation::text(&id)
    );
    let open = InFlight::enter(inbound.service);
    let mut response = correlation::scope(id.clone(), next.run(request)).instrument(span.clone()).await;
    drop(open);

    let elapsed = began.elapsed();
    let status = response.status();
    let labels = [
        ("service", inbound.service.to_owned()),
        ("method", method.to_owned()),
        ("route", route),
        ("status", status.as_str().to_owned()),
    ];
    histogram!(metric::HTTP_REQUEST_SECONDS, &labels).record(elapsed.as_secs_f64());
    span.in_scope(|| tracing::debug!(status = status.as_u16(), seconds = elapsed.as_secs_f64(), "answered"));
    response.headers_mut().insert(correlation::HEADER, id);
    response
}

/// The answer to a panic in a handler: a bug, counted and logged, and the service goes on.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the panic catcher asks for")]
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    counter!(metric::PANICS).increment(1);
    ApiError::internal(format!("panic: {text}")).into_response()
}

/// Methods are free text on the wire; a label is not.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

/// Counts an open request down again also where its client left and the future was dropped.
struct InFlight(&'static str);

impl InFlight {
    fn enter(service: &'static str) -> Self {
        gauge!(metric::HTTP_REQUESTS_IN_FLIGHT, "service" => service).increment(1);
        Self(service)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!(metric::HTTP_REQUESTS_IN_FLIGHT, "service" => self.0).decrement(1);
    }
}
