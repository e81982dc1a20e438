//! The client with which one service calls another, always through the gateway.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, StatusCode, header};
use metrics::histogram;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::correlation;
use crate::metric;
use crate::problem::Problem;

/// Why a call to another service gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The gateway's address is no URL, or the key is no header value.
    #[error("the gateway client cannot be made")]
    Setup(#[source] reqwest::Error),
    /// No connection to the gateway: the request did not leave.
    #[error("cannot connect to the gateway for {target}")]
    Connect { target: String, source: reqwest::Error },
    /// No whole answer in time; the other side may or may not have done the work.
    #[error("{target} did not answer in time")]
    Timeout { target: String, source: reqwest::Error },
    /// The connection broke, or the answer is not of the agreed shape; the work may or may not be done.
    #[error("the answer of {target} broke off or is not as agreed")]
    Body { target: String, source: reqwest::Error },
    /// An answer with another status than success.
    #[error("{target} answered {status}")]
    Status { target: String, status: StatusCode, problem: Option<Box<Problem>>, retry_after: Option<Duration> },
}

impl GatewayError {
    /// Whether the same request may do better later. Only for requests that are safe to repeat.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Setup(_) => false,
            Self::Connect { .. } | Self::Timeout { .. } | Self::Body { .. } => true,
            Self::Status { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }

    /// The considered refusal of the other service: a 4xx with a problem, which a repeat cannot change.
    ///
    /// Anything else is no answer. So are the gateway's own 4xx (no route, no key, too many requests): they carry
    /// no problem of ours and say nothing about what was asked.
    pub fn refusal(&self) -> Option<&Problem> {
        match self {
            Self::Status { status, problem: Some(problem), .. }
                if status.is_client_error() && !matches!(status.as_u16(), 401 | 403 | 408 | 429) =>
            {
                Some(problem)
            }
            _ => None,
        }
    }

    /// How long the other side asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    fn outcome(&self) -> String {
        match self {
            Self::Setup(_) => "setup".to_owned(),
            Self::Connect { .. } => "connect".to_owned(),
            Self::Timeout { .. } => "timeout".to_owned(),
            Self::Body { .. } => "body".to_owned(),
            Self::Status { status, .. } => status.as_str().to_owned(),
        }
    }
}

/// Calls in flight at once; the rest wait their turn. Under a rush every call that has begun is answered in good
/// time, where all of them together would run into their deadlines and be asked again.
const IN_FLIGHT: usize = 16;

/// A client with one key, keep-alive connections and a deadline per call. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GatewayClient {
    slots: Arc<Semaphore>,
    http: reqwest::Client,
    base: String,
    deadline: Duration,
}

impl GatewayClient {
    /// A client of the gateway at `base` (such as `http://127.0.0.1:8000`) that shows `api_key`.
    ///
    /// # Errors
    /// [`GatewayError::Setup`].
    pub fn new(base: &str, api_key: &str, deadline: Duration) -> Result<Self, GatewayError> {
        let mut headers = HeaderMap::new();
        if let Ok(mut key) = header::HeaderValue::from_str(api_key) {
            key.set_sensitive(true);
            headers.insert("apikey", key);
        }
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(deadline.min(Duration::from_secs(2)))
            .timeout(deadline)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            // The gateway is in our own network: a proxy in the environment is meant for something else.
            .no_proxy()
            .build()
            .map_err(GatewayError::Setup)?;
        http.get(base).build().map_err(GatewayError::Setup)?;
        Ok(Self {
            slots: Arc::new(Semaphore::new(IN_FLIGHT)),
            http,
            base: base.trim_end_matches('/').to_owned(),
            deadline,
        })
    }

    /// The deadline of one call.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// GET of `path` (from the gateway's root, such as `/inventory/api/v1/products/7`).
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, GatewayError> {
        self.call(Method::GET, path, None::<&()>).await
    }

    /// POST of a JSON body to `path`.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, GatewayError> {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, GatewayError> {
        let target = path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
        // Never closed, so there is no error to speak of.
        let _slot = self.slots.acquire().await;
        let began = Instant::now();
        let answer = self.attempt(method.clone(), path, body, &target).await;
        let outcome = match &answer {
            Ok((status, _)) => status.as_str().to_owned(),
            Err(error) => error.outcome(),
        };
        let labels = [("target", target), ("method", method.to_string()), ("outcome", outcome)];
        histogram!(metric::CALL_SECONDS, &labels).record(began.elapsed().as_secs_f64());
        answer.map(|(_, value)| value)
    }

    async fn attempt<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        target: &str,
    ) -> Result<(StatusCode, T), GatewayError> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(id) = correlation::current() {
            request = request.header(correlation::HEADER, id);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| failure(target, error))?;
        let status = response.status();
        if !status.is_success() {
            let retry_after = retry_after(response.headers());
            // A refusal whose body does not arrive is still this status, without its problem.
            let problem = response.json::<Problem>().await.ok().map(Box::new);
            return Err(GatewayError::Status { target: target.to_owned(), status, problem, retry_after });
        }
        Ok((status, response.json().await.map_err(|error| failure(target, error))?))
    }
}

fn failure(target: &str, source: reqwest::Error) -> GatewayError {
    let target = target.to_owned();
    // The URL is ours and says nothing new; without it messages of one kind are equal.
    let source = source.without_url();
    if source.is_connect() {
        GatewayError::Connect { target, source }
    } else if source.is_timeout() {
        GatewayError::Timeout { target, source }
    } else {
        GatewayError::Body { target, source }
    }
}

/// `Retry-After` in seconds; our services and Kong send no dates.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, problem: bool) -> GatewayError {
        let status = StatusCode::from_u16(status).unwrap();
        let problem = problem.then(|| Box::new(Problem::new(status, "insufficient-stock", "")));
        GatewayError::Status { target: "inventory".to_owned(), status, problem, retry_after: None }
    }

    #[test]
    fn only_a_problem_of_the_service_is_a_refusal() {
        let cases = [
            (409, true, true),
            (422, true, true),
            (404, false, false),
            (403, true, false),
            (429, true, false),
            (500, true, false),
        ];
        for (code, problem, refused) in cases {
            assert_eq!(status(code, problem).refusal().is_some(), refused, "{code}");
        }
    }

    #[test]
    fn what_may_be_retried() {
        for (code, retryable) in [(429, true), (502, true), (503, true), (504, true), (500, false), (409, false)] {
            assert_eq!(status(code, true).is_retryable(), retryable, "{code}");
        }
    }
}
