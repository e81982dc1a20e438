//! One request from the client to an upstream and back, with the plugins in Kong's order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use uuid::Uuid;

use crate::body::{ClientBody, Payload, PayloadError, Progress, Relay, UpstreamBody};
use crate::headers::{self, PROXY_LATENCY, Peer, REQUEST_ID, RESPONSE_LATENCY, UPSTREAM_LATENCY};
use crate::path::normalize;
use crate::plan::{Plan, Service};
use crate::plugins::{Chain, Consumer};
use crate::pool::{ConnectError, Pool};
use crate::reply::Refusal;
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
        let original = parts.headers.clone();
        let mut exchange = Exchange {
            started: Instant::now(),
            id: Uuid::new_v4().simple().to_string(),
            peer,
            version: parts.version,
            raw_path: parts.uri.path().to_owned(),
            downstream: Vec::new(),
            consumer: None,
            timing: Timing::default(),
        };
        let path = normalize(parts.uri.path());
        let found = self.plan.router.find(&parts.method, &path);
        let chain = found.as_ref().map_or(&self.plan.fallback, |found| &*found.route.chain);
        let result = self.answer(&mut exchange, &mut parts, body, chain, found.as_ref()).await;
        let mut response = match result {
            Ok(response) => response,
            Err(refusal) => {
                let proxied = refusal.was_proxied();
                let mut response = refusal.into_response(&original, &exchange.id);
                if proxied {
                    headers::to_client(response.headers_mut(), Version::HTTP_11);
                    exchange.latencies(response.headers_mut());
                } else {
                    response.headers_mut().insert(RESPONSE_LATENCY, headers::millis(exchange.started.elapsed()));
                }
                response
            }
        };
        if let Ok(id) = HeaderValue::from_str(&exchange.id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response.headers_mut().extend(exchange.downstream.drain(..));
        let consumer = exchange.consumer.as_ref().map(|consumer| consumer.username.as_str());
        let route = found.as_ref().map(|found| &*found.route.name);
        tracing::debug!(method = %parts.method, path, status = response.status().as_u16(), consumer, route, "request");
        response
    }

    async fn answer(
        &self,
        exchange: &mut Exchange,
        parts: &mut hyper::http::request::Parts,
        body: Incoming,
        chain: &Chain,
        found: Option<&Match<'_>>,
    ) -> Result<Response<ClientBody>, Refusal> {
        if parts.version == Version::HTTP_11 && !parts.headers.contains_key(HOST) {
            return Err(Refusal::nginx(StatusCode::BAD_REQUEST, "Bad request"));
        }
        if let Some(correlation_id) = &chain.correlation_id {
            exchange.downstream.extend(correlation_id.access(&mut parts.headers));
        }
        let found = found.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "no Route matched with those values"))?;
        let mut query = parts.uri.query().map(str::to_owned);
        if let Some(key_auth) = &chain.key_auth {
            exchange.consumer = Some(key_auth.access(&mut parts.headers, &mut query)?);
        }
        if let Some(acl) = &chain.acl {
            acl.access(exchange.consumer.as_deref(), &mut parts.headers)?;
        }
        let mut path = found.upstream_path.clone();
        if let Some(transformer) = &chain.request_transformer {
            transformer.access(&mut parts.headers, &mut path, &found.captures);
        }
        let payload = payload(found.route, &parts.headers, body).await?;
        let target = match query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        let bad = |_| Refusal::nginx(StatusCode::BAD_REQUEST, "Bad request");
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
        let response = self.forward(&found.route.service, &call, payload, &mut exchange.timing).await?;
        Ok(self.relay(exchange, &found.route.service, response))
    }

    /// Sends the request, to another target if the first cannot take it, within the service's tries.
    async fn forward(&self, service: &Service, call: &Call, mut payload: Payload, timing: &mut Timing) -> Result<Response<Incoming>, Refusal> {
        let mut left = service.retries;
        loop {
            let target = service.balancer.pick().ok_or_else(|| {
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "failure to get a peer from the ring-balancer")
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

    async fn attempt(&self, service: &Service, authority: &str, call: &Call, payload: &mut Payload) -> Result<Response<Incoming>, AttemptError> {
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
                    let body = payload.attempt(&progress).await.map_err(AttemptError::Payload)?.ok_or(AttemptError::Spent)?;
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

    fn relay(&self, exchange: &Exchange, service: &Service, response: Response<Incoming>) -> Response<ClientBody> {
        let (mut parts, body) = response.into_parts();
        headers::to_client(&mut parts.headers, parts.version);
        exchange.latencies(&mut parts.headers);
        parts.version = Version::HTTP_11;
        let relay = Relay::new(body, service.read_timeout, Box::new(|_| {}));
        Response::from_parts(parts, relay.boxed_unsync())
    }
}

impl Exchange {
    fn latencies(&self, headers: &mut HeaderMap) {
        let before = self.timing.began.map_or(Duration::ZERO, |began| began.duration_since(self.started));
        headers.insert(UPSTREAM_LATENCY, headers::millis(self.timing.waited));
        headers.insert(PROXY_LATENCY, headers::millis(before));
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

/// Takes the body in as the route wants it.
async fn payload(route: &Route, headers: &HeaderMap, body: Incoming) -> Result<Payload, Refusal> {
    if body.is_end_stream() {
        return Ok(Payload::Memory(bytes::Bytes::new()));
    }
    let _ = headers.get(CONTENT_LENGTH);
    if !route.request_buffering {
        return Ok(Payload::Stream(Some(body)));
    }
    Payload::collect(body, None).await.map_err(|error| match error {
        PayloadError::TooLarge => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "Request size limit exceeded"),
        PayloadError::Client => Refusal::nginx(StatusCode::REQUEST_TIMEOUT, "Request timeout"),
        PayloadError::Io(error) => {
            tracing::error!(%error, "a request body could not be spooled");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred")
        }
    })
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
                let harmless = [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS].contains(method);
                harmless && !matches!(payload, Payload::Stream(None))
            }
        }
    }
}

impl From<AttemptError> for Refusal {
    fn from(error: AttemptError) -> Self {
        match error {
            AttemptError::Connect(ConnectError::Resolve(_)) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "name resolution failed"),
            AttemptError::Connect(ConnectError::Timeout) | AttemptError::Timeout => {
                Self::nginx(StatusCode::GATEWAY_TIMEOUT, "The upstream server is timing out")
            }
            AttemptError::Payload(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred"),
            AttemptError::Connect(_) | AttemptError::Exchange(_) | AttemptError::Spent => {
                Self::nginx(StatusCode::BAD_GATEWAY, "An invalid response was received from the upstream server")
            }
        }
    }
}
