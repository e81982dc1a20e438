//! Sends a request to an upstream, and again to another target where that is allowed.

use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};

use crate::body::{Payload, Progress, UpstreamBody};
use crate::plan::Service;
use crate::pool::ConnectError;
use crate::proxy::Gateway;
use crate::reply::Exit;

/// The request as every try sends it.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
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

/// Of the last try: when it began, and how long the upstream took to answer.
#[derive(Default, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) began: Option<Instant>,
    pub(crate) waited: Duration,
}

impl Gateway {
    /// Sends the request, to another target if the first cannot take it, within the service's tries.
    pub(crate) async fn forward(
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
            tracing::warn!(service = &*service.name, target = target.authority, error = %kit::telemetry::chain(&error), "upstream call failed");
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
