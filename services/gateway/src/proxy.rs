//! One request from the client to an upstream and back, with the plugins in Kong's order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use uuid::Uuid;

use crate::body::{ClientBody, Payload, PayloadError, Progress, Relay, UpstreamBody};
use crate::headers::{self, PROXY_LATENCY, Peer, REQUEST_ID, RESPONSE_LATENCY, UPSTREAM_LATENCY};
use crate::path::normalize;
use crate::plan::{Plan, Service};
use crate::plugins::prometheus::Meter;
use crate::plugins::{Chain, Consumer, request_size_limiting};
use crate::pool::{ConnectError, Pool};
use crate::reply::Exit;
use crate::router::{Match, Route};

/// The gateway at work: shared by all connections.
pub(crate) struct Gateway {
    pub(crate) plan: Plan,
    pub(crate) pool: Arc<Pool>,
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

/// Of the last try: when it began, and how long the upstream took to answer.
#[derive(Default, Clone, Copy)]
struct Timing {
    began: Option<Instant>,
    waited: Duration,
}

impl Gateway {
    /// Answers one request; every failure is an answer too.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Response<ClientBody> {
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
        let path = normalize(parts.uri.path());
        let found = self.plan.router.find(&parts.method, &path);
        let chain = found.as_ref().map_or(&self.plan.fallback, |found| &*found.route.chain);
        let mut unread = Some(body);
        let result = self.answer(&mut exchange, &mut parts, &mut unread, chain, found.as_ref()).await;
        if let Some(body) = unread {
            discard(body);
        }
        let mut response = match result {
            Ok(response) => response,
            Err(exit) => exit_with(&exchange, exit, chain, found.as_ref()),
        };
        if let Ok(id) = HeaderValue::from_str(&exchange.id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response.headers_mut().extend(exchange.downstream.drain(..));
        if let Some(prometheus) = &chain.prometheus {
            prometheus.count();
        }
        let consumer = exchange.consumer.as_ref().map(|consumer| consumer.username.as_str());
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
    ) -> Result<Response<ClientBody>, Exit> {
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
        let mut payload = None;
        if let Some(size) = &chain.request_size_limiting
            && !size.access(&parts.headers)?
        {
            // Its length is not known before it has been read.
            payload = Some(collect(unread, Some(size.limit())).await?);
        }
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
        let payload = match payload {
            Some(payload) => payload,
            None if found.route.request_buffering => collect(unread, None).await?,
            None => Payload::Stream(unread.take()),
        };
        exchange.ingress = payload.size();
        let bad = |_| Exit::new(StatusCode::BAD_REQUEST, "Bad request");
        let target = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let uri = Uri::from(PathAndQuery::try_from(target).map_err(bad)?);
        let peer = Peer {
            ip: exchange.peer.ip(),
            port: self.port,
            version: exchange.version,
            path: &exchange.raw_path,
            prefix: found.prefix.as_deref(),
            request_id: &exchange.id,
        };
        headers::to_upstream(&mut parts.headers, &peer);
        let call = Call { method: parts.method.clone(), uri, headers: std::mem::take(&mut parts.headers) };
        let service = &found.route.service;
        let response = self.forward(service, &call, payload, &mut exchange.timing).await?;
        let meter = exchange.meter(chain, found.route, response.status(), "service");
        Ok(relay(exchange, service, response, meter))
    }

    /// Sends the request, to another target if the first cannot take it, within the service's tries.
    async fn forward(
        &self,
        service: &Service,
        call: &Call,
        mut payload: Payload,
        timing: &mut Timing,
    ) -> Result<Response<Incoming>, Exit> {
        let mut left = service.retries;
        loop {
            let target = service.upstream.pick().ok_or_else(|| {
                Exit::new(StatusCode::SERVICE_UNAVAILABLE, "failure to get a peer from the ring-balancer")
            })?;
            let began = Instant::now();
            timing.began = Some(began);
            let error = match self.attempt(service, &target.authority, call, &mut payload).await {
                Ok(response) => {
                    timing.waited = began.elapsed();
                    return Ok(response);
                }
                Err(error) => error,
            };
            timing.waited = began.elapsed();
            tracing::warn!(service = service.name, target = target.authority, error = %kit::telemetry::chain(&error), "upstream call failed");
            if left == 0 || !error.may_be_tried_again(&call.method, &payload) {
                return Err(error.into());
            }
            left -= 1;
        }
    }

    async fn attempt(
        &self,
        service: &Service,
        authority: &str,
        call: &Call,
        payload: &mut Payload,
    ) -> Result<Response<Incoming>, AttemptError> {
        let progress = Progress::new();
        // Made at the first connection: a body that streams must not be lost to a refused one.
        let mut request: Option<Request<UpstreamBody>> = None;
        loop {
            let (mut sender, reused) = match self.pool.take(authority) {
                Some(sender) => (sender, true),
                None => (self.pool.connect(authority, service.connect_timeout).await?, false),
            };
            let ready = match request.take() {
                Some(request) => request,
                None => {
                    let body =
                        payload.attempt(&progress).await.map_err(AttemptError::Payload)?.ok_or(AttemptError::Spent)?;
                    call.request(authority, body)
                }
            };
            let sending = sender.try_send_request(ready);
            let outcome = tokio::select! {
                outcome = sending => outcome,
                () = progress.stalled(service.write_timeout, service.read_timeout) => return Err(AttemptError::Timeout),
            };
            match outcome {
                Ok(response) => {
                    self.pool.give_back(authority, sender);
                    return Ok(response);
                }
                // An idle connection that the upstream had closed: nothing was sent on it.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if reused => request = Some(unsent),
                    _ => return Err(AttemptError::Exchange(error.into_error())),
                },
            }
        }
    }
}

/// An answer of the gateway's own, with the headers that tell how far the request got.
fn exit_with(exchange: &Exchange, exit: Exit, chain: &Chain, found: Option<&Match<'_>>) -> Response<ClientBody> {
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
) -> Response<ClientBody> {
    let (mut parts, body) = response.into_parts();
    headers::to_client(&mut parts.headers, parts.version);
    exchange.latencies(&mut parts.headers);
    parts.version = Version::HTTP_11;
    let on_data = move |bytes: usize| {
        if let Some(meter) = &mut meter {
            meter.egress += bytes as u64;
        }
    };
    Response::from_parts(parts, Relay::new(body, service.read_timeout, Box::new(on_data)).boxed_unsync())
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
            consumer: self.consumer.as_ref().map(|consumer| consumer.username.clone()).unwrap_or_default(),
            code: status.as_u16(),
            source,
            started: self.started,
            upstream: self.timing.began.map(|_| self.timing.waited),
            ingress: self.ingress,
            egress: 0,
        })
    }
}

/// The request as every try sends it.
struct Call {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Call {
    fn request(&self, authority: &str, body: UpstreamBody) -> Request<UpstreamBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        // The default port is left out, as nginx does.
        let host = authority.strip_suffix(":80").unwrap_or(authority);
        if let Ok(host) = HeaderValue::from_str(host) {
            request.headers_mut().insert(HOST, host);
        }
        request
    }
}

/// Reads the whole body before anything is sent on, as request buffering wants it.
async fn collect(unread: &mut Option<Incoming>, limit: Option<u64>) -> Result<Payload, Exit> {
    let Some(body) = unread else { return Ok(Payload::Memory(bytes::Bytes::new())) };
    let payload = Payload::collect(body, limit).await.map_err(|error| match error {
        PayloadError::TooLarge => request_size_limiting::too_large(),
        PayloadError::Client => Exit::new(StatusCode::REQUEST_TIMEOUT, "Request timeout"),
        PayloadError::Io(error) => {
            tracing::error!(%error, "a request body could not be spooled");
            Exit::new(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred")
        }
    })?;
    *unread = None;
    Ok(payload)
}

/// Reads on for a while what nobody wants: closing on a client that still sends would reset the
/// connection, and the answer could be lost with it.
fn discard(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(async move {
        let reading = async { while let Some(Ok(_)) = body.frame().await {} };
        // nginx lingers as long.
        if tokio::time::timeout(Duration::from_secs(30), reading).await.is_err() {
            tracing::debug!("a client went on sending a body that was refused");
        }
    });
}

/// Why one try brought no response.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("no answer in time")]
    Timeout,
    #[error("the connection broke")]
    Exchange(#[source] hyper::Error),
    #[error("the body is gone with an earlier try")]
    Spent,
    #[error("the request body could not be read back")]
    Payload(#[source] std::io::Error),
}

impl AttemptError {
    /// Before anything was sent, always; after, only what may safely happen twice.
    fn may_be_tried_again(&self, method: &Method, payload: &Payload) -> bool {
        match self {
            Self::Connect(ConnectError::Resolve(_)) | Self::Spent | Self::Payload(_) => false,
            Self::Connect(_) => true,
            Self::Timeout | Self::Exchange(_) => {
                let harmless =
                    [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS].contains(method);
                harmless && !matches!(payload, Payload::Stream(None))
            }
        }
    }
}

impl From<AttemptError> for Exit {
    fn from(error: AttemptError) -> Self {
        match error {
            AttemptError::Connect(ConnectError::Resolve(_)) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "name resolution failed")
            }
            AttemptError::Connect(ConnectError::Timeout) | AttemptError::Timeout => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "The upstream server is timing out")
            }
            AttemptError::Payload(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred"),
            AttemptError::Connect(_) | AttemptError::Exchange(_) | AttemptError::Spent => {
                Self::new(StatusCode::BAD_GATEWAY, "An invalid response was received from the upstream server")
            }
        }
    }
}
