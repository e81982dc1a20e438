//! Sends a request to an upstream, and again to another target where that is allowed.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use http_body_util::LengthLimitError;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::body::{Body, Payload};
use crate::plan::Service;
use crate::plugins::request_size_limiting::too_large;
use crate::reply::Exit;

/// Connections to the targets of one service, kept alive between requests.
pub(crate) type Client = legacy::Client<HttpConnector, Body>;

pub(crate) fn client(connect_timeout: Duration) -> Client {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(connect_timeout));
    // nginx's default in Kong.
    let idle = Duration::from_secs(60);
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(idle)
        .http1_max_buf_size(64 * 1024)
        .build(connector)
}

/// The request as every try sends it.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
}

impl Call {
    pub(crate) fn request(&self, authority: &Authority, body: Body) -> Request<Body> {
        let mut uri = hyper::http::uri::Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(authority.clone());
        uri.path_and_query = Some(self.path.clone());
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        // Its three parts are there, so it is a URI.
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        *request.headers_mut() = self.headers.clone();
        // The default port is left out, as nginx does.
        let host = authority.as_str();
        if let Ok(host) = HeaderValue::from_str(host.strip_suffix(":80").unwrap_or(host)) {
            request.headers_mut().insert(HOST, host);
        }
        request
    }
}

/// Of the last try: when it began, and how long the upstream took to answer.
#[derive(Default, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) began: Option<Instant>,
    pub(crate) waited: Duration,
}

/// Sends the request, to another target if the first cannot take it, within the service's tries.
pub(crate) async fn forward(
    service: &Service,
    call: &Call,
    mut payload: Payload,
    timing: &mut Timing,
) -> Result<Response<Incoming>, Exit> {
    let mut left = service.retries;
    loop {
        let no_peer = "failure to get a peer from the ring-balancer";
        let target = service.upstream.pick().ok_or_else(|| Exit::new(StatusCode::SERVICE_UNAVAILABLE, no_peer))?;
        let (body, pieces) = payload.attempt().ok_or_else(broken)?;
        let began = Instant::now();
        timing.began = Some(began);
        let outcome = tokio::select! {
            outcome = service.client.request(call.request(&target.authority, body)) => outcome.map_err(Failure::of),
            () = stalled(pieces, service) => Err(Failure { exit: late(), sent: true, why: "no answer in time".to_owned() }),
        };
        timing.waited = began.elapsed();
        let failure = match outcome {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        let (name, target) = (&*service.name, target.authority.as_str());
        tracing::warn!(service = name, target, error = failure.why, "upstream call failed");
        // Before anything was sent, always; after, only what may safely happen twice.
        let harmless = [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS].contains(&call.method);
        if left == 0 || (failure.sent && !harmless) {
            return Err(failure.exit);
        }
        left -= 1;
    }
}

/// Ends when the upstream, or the client behind it, has been silent for too long: between two pieces of the request's
/// body, or after it.
async fn stalled(mut pieces: watch::Receiver<()>, service: &Service) {
    loop {
        match timeout(service.write_timeout, pieces.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_body_is_gone)) => return tokio::time::sleep(service.read_timeout).await,
            Err(_elapsed) => return,
        }
    }
}

/// Why one try brought no response.
struct Failure {
    exit: Exit,
    /// Whether the upstream may have seen something of the request.
    sent: bool,
    why: String,
}

impl Failure {
    fn of(error: legacy::Error) -> Self {
        let why = kit::telemetry::chain(&error);
        let mut causes = std::iter::successors(Some(&error as &(dyn Error + 'static)), |&cause| cause.source());
        let exit = causes.find_map(|cause| {
            let late_io = cause.downcast_ref().is_some_and(|it: &io::Error| it.kind() == io::ErrorKind::TimedOut);
            // hyper-util has only these words for a name that does not resolve.
            let unknown = error.is_connect() && cause.to_string() == "dns error";
            match cause {
                _ if late_io => Some(late()),
                _ if unknown => Some(Exit::new(StatusCode::SERVICE_UNAVAILABLE, "name resolution failed")),
                _ => cause.is::<LengthLimitError>().then(too_large),
            }
        });
        Self { exit: exit.unwrap_or_else(broken), sent: !error.is_connect(), why }
    }
}

fn late() -> Exit {
    Exit::new(StatusCode::GATEWAY_TIMEOUT, "The upstream server is timing out")
}

fn broken() -> Exit {
    Exit::new(StatusCode::BAD_GATEWAY, "An invalid response was received from the upstream server")
}
