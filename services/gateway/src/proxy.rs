//! One request from the client to an upstream and back, with the plugins in Kong's order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, VARY};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, StatusCode, Version};
use uuid::Uuid;

use crate::body::{Body, Passing, Payload};
use crate::forward::{Call, Timing, forward};
use crate::head::Head;
use crate::headers::{self, PROXY_LATENCY, Peer, REQUEST_ID, RESPONSE_LATENCY, UPSTREAM_LATENCY};
use crate::path::normalize;
use crate::plan::{Plan, Service};
use crate::plugins::prometheus::Meter;
use crate::plugins::{Chain, Consumer};
use crate::reply::Exit;
use crate::router::{Match, Route};

/// The gateway at work: shared by all connections.
pub(crate) struct Gateway {
    pub(crate) plan: Plan,
    /// The port that clients reach.
    pub(crate) port: u16,
}

/// What is known of one request beside its head and body.
struct Exchange {
    started: Instant,
    id: String,
    peer: SocketAddr,
    version: Version,
    raw_path: String,
    /// Headers for the client that plugins decided on while the request went in.
    downstream: Vec<(HeaderName, HeaderValue)>,
    consumer: Option<Arc<Consumer>>,
    /// Bytes of the request's body.
    ingress: u64,
    timing: Timing,
}

impl Gateway {
    /// Answers one request; every failure is an answer too.
    pub(crate) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        head: &Head,
        peer: SocketAddr,
    ) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let mut exchange = Exchange {
            started: Instant::now(),
            id: Uuid::new_v4().simple().to_string(),
            peer,
            version: parts.version,
            raw_path: parts.uri.path().to_owned(),
            downstream: Vec::new(),
            consumer: None,
            ingress: 0,
            timing: Timing::default(),
        };
        // hyper leaves a fragment out, which Kong takes for a part of the path.
        let path = normalize(if head.target.contains('#') { &head.target } else { parts.uri.path() });
        let sound = head.check(&parts.method);
        let found = sound.is_ok().then(|| self.plan.router.find(&parts.method, &path)).flatten();
        let chain = found.as_ref().map_or(&self.plan.fallback, |found| &found.route.chain);
        let waits = parts.headers.contains_key(EXPECT);
        let mut unread = Some(body);
        let result = match sound {
            Ok(()) => self.answer(&mut exchange, &mut parts, &mut unread, chain, found.as_ref()).await,
            Err(exit) => Err(exit.with(CONNECTION, HeaderValue::from_static("close"))),
        };
        // A client that still waits for leave to send its body might never send it; the connection is
        // closed on it instead.
        if let Some(body) = unread
            && !waits
        {
            discard(body);
        }
        let mut response = match result {
            Ok(response) => response,
            Err(exit) => exit_with(&exchange, exit, chain, found.as_ref()),
        };
        if let Ok(id) = HeaderValue::from_str(&exchange.id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        for (name, value) in exchange.downstream.drain(..) {
            // A plugin's word takes the place of the upstream's; only `Vary` is added to.
            if name == VARY {
                response.headers_mut().append(name, value);
            } else {
                response.headers_mut().insert(name, value);
            }
        }
        if let Some(prometheus) = &chain.prometheus {
            prometheus.count();
        }
        let consumer = exchange.consumer.as_ref().map(|consumer| &*consumer.username);
        let route = found.as_ref().map(|found| &*found.route.name);
        tracing::debug!(method = %parts.method, path, status = response.status().as_u16(), consumer, route, "request");
        response
    }

    /// The plugins in the order of Kong's priorities, then the upstream.
    async fn answer(
        &self,
        exchange: &mut Exchange,
        parts: &mut Parts,
        unread: &mut Option<Incoming>,
        chain: &Chain,
        found: Option<&Match<'_>>,
    ) -> Result<Response<Body>, Exit> {
        if parts.version == Version::HTTP_11 && !parts.headers.contains_key(HOST) {
            return Err(Exit::new(StatusCode::BAD_REQUEST, "Bad request"));
        }
        if let Some(correlation_id) = &chain.correlation_id {
            exchange.downstream.extend(correlation_id.access(&mut parts.headers));
        }
        if let Some(cors) = &chain.cors {
            if found.is_some()
                && let Some(preflight) = cors.preflight(&parts.method, &parts.headers)
            {
                return Err(preflight);
            }
            exchange.downstream.extend(cors.headers());
        }
        let found = found.ok_or_else(|| Exit::new(StatusCode::NOT_FOUND, "no Route matched with those values"))?;
        let mut query = parts.uri.query().map(str::to_owned);
        if let Some(key_auth) = &chain.key_auth {
            exchange.consumer = Some(key_auth.access(&mut parts.headers, &mut query)?);
        }
        let service = &found.route.service;
        let mut limit = 0;
        if let Some(size) = &chain.request_size_limiting {
            size.access(&parts.headers)?;
            limit = size.limit();
        }
        let payload = match unread {
            Some(body) if found.route.request_buffering => Some(Payload::collect(body, limit).await?),
            _ => None,
        };
        let consumer = exchange.consumer.as_deref();
        if let Some(acl) = &chain.acl {
            acl.access(consumer, &mut parts.headers)?;
        }
        if let Some(rate) = chain.rate_limiting(consumer) {
            exchange.downstream.extend(rate.access(consumer, exchange.peer.ip(), chrono::Utc::now().timestamp())?);
        }
        let mut path = found.upstream_path.clone();
        if let Some(transformer) = &chain.request_transformer {
            transformer.access(&mut parts.headers, &mut path, &found.captures);
        }
        let stream = |body| Payload::stream(body, limit, service.write_timeout);
        let payload = payload.or_else(|| unread.take().map(stream)).unwrap_or(Payload::Whole(Bytes::new()));
        exchange.ingress = payload.size();
        let bad = |_| Exit::new(StatusCode::BAD_REQUEST, "Bad request");
        let target = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let path = PathAndQuery::try_from(target).map_err(bad)?;
        let peer = Peer {
            ip: exchange.peer.ip(),
            port: self.port,
            version: exchange.version,
            path: &exchange.raw_path,
            prefix: found.prefix.as_deref(),
            request_id: &exchange.id,
        };
        headers::to_upstream(&mut parts.headers, &peer);
        let call = Call { method: parts.method.clone(), path, headers: std::mem::take(&mut parts.headers) };
        let response = forward(service, &call, payload, &mut exchange.timing).await?;
        let meter = exchange.meter(chain, found.route, response.status(), "service");
        Ok(relay(exchange, service, response, meter))
    }
}

/// An answer of the gateway's own, with the headers that tell how far the request got.
fn exit_with(exchange: &Exchange, exit: Exit, chain: &Chain, found: Option<&Match<'_>>) -> Response<Body> {
    let proxied = exit.was_proxied();
    let mut response = exit.into_response(&exchange.id);
    if proxied {
        headers::to_client(response.headers_mut(), Version::HTTP_11);
        exchange.latencies(response.headers_mut());
    } else {
        response.headers_mut().insert(RESPONSE_LATENCY, headers::millis(exchange.started.elapsed()));
    }
    let meter = found.and_then(|found| exchange.meter(chain, found.route, response.status(), "kong"));
    if let Some(mut meter) = meter {
        meter.egress = response.body().size_hint().lower();
    }
    response
}

/// Passes the upstream's response on as it comes.
fn relay(
    exchange: &Exchange,
    service: &Service,
    response: Response<Incoming>,
    mut meter: Option<Meter>,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    headers::to_client(&mut parts.headers, parts.version);
    exchange.latencies(&mut parts.headers);
    parts.version = Version::HTTP_11;
    let note = move |bytes: usize| {
        if let Some(meter) = &mut meter {
            meter.egress += bytes as u64;
        }
    };
    Response::from_parts(parts, Passing::new(body, service.read_timeout, note).boxed_unsync())
}

impl Exchange {
    fn latencies(&self, headers: &mut HeaderMap) {
        let before = self.timing.began.map_or(Duration::ZERO, |began| began.duration_since(self.started));
        headers.insert(UPSTREAM_LATENCY, headers::millis(self.timing.waited));
        headers.insert(PROXY_LATENCY, headers::millis(before));
    }

    fn meter(&self, chain: &Chain, route: &Route, status: StatusCode, source: &'static str) -> Option<Meter> {
        Some(Meter {
            plugin: chain.prometheus.clone()?,
            service: route.service.name.clone(),
            route: route.name.clone(),
            consumer: self.consumer.as_ref().map_or_else(|| "".into(), |consumer| consumer.username.clone()),
            code: status,
            source,
            started: self.started,
            upstream: self.timing.began.map(|_| self.timing.waited),
            ingress: self.ingress,
            egress: 0,
        })
    }
}

/// Reads on for a while what nobody wants: closing on a client that still sends would reset the
/// connection, and the answer could be lost with it.
fn discard(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    // Detached: it ends after 30 seconds at the latest.
    tokio::spawn(async move {
        let reading = async { while let Some(Ok(_)) = body.frame().await {} };
        // nginx lingers as long.
        if tokio::time::timeout(Duration::from_secs(30), reading).await.is_err() {
            tracing::debug!("a client went on sending a body that was refused");
        }
    });
}
