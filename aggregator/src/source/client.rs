//! Asking a source through the gateway: one deadline, retries with full jitter, a rate, a breaker.

mod error;
mod protocol;
mod retry;

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, ETAG, IF_NONE_MATCH};
use tokio::sync::mpsc::UnboundedSender;

pub use error::CallError;
pub(crate) use protocol::{Head, HeadAnswer, Moved, Page};

use super::breaker::Breaker;
use super::declare::{Dataset, Declaration};
use crate::metric;
use crate::settings::Settings;

/// The largest page body that is taken, in bytes.
const LARGEST_PAGE: usize = 512 * 1024 * 1024;
/// The largest head that is taken, in bytes: hundreds of datasets.
const LARGEST_HEAD: usize = 1024 * 1024;
/// Bytes of a refusal that are read: what it says is for people.
const LARGEST_REFUSAL: usize = 64 * 1024;
/// Bytes of a field that room is made for, more than most have.
const FIELD: usize = 16;
/// Time a head may take; it is a few hundred bytes.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks one source.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    source: String,
    key: String,
    changes: String,
    page: u32,
    timeout: Duration,
    rate: DefaultDirectRateLimiter,
    pub(crate) breaker: Breaker,
}

impl Client {
    /// A client with a connection pool, a rate and a breaker of its own.
    pub(crate) fn new(settings: &Settings, declaration: &Declaration) -> Self {
        // A burst of one: a quota's own burst would let twice the rate through in the first second.
        let per_second = NonZeroU32::new(declaration.rate).unwrap_or(NonZeroU32::MIN);
        let rate = RateLimiter::direct(Quota::per_second(per_second).allow_burst(NonZeroU32::MIN));
        let http = reqwest::Client::builder()
            .no_proxy()
            .no_gzip()
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap_or_default();
        Self {
            http,
            source: declaration.name.clone(),
            key: settings.gateway_key.clone(),
            changes: format!("{}{}/changes", settings.gateway_url.trim_end_matches('/'), declaration.base),
            page: declaration.page,
            timeout: declaration.timeout,
            rate,
            breaker: Breaker::new(declaration.cool_down),
        }
    }

    /// The feed's head; with the last one's `ETag`, the short answer when nothing changed.
    pub(crate) async fn head(&self, etag: Option<&str>) -> Result<HeadAnswer, CallError> {
        self.call(HEAD_TIMEOUT, move || async move {
            let mut request = self.get(&self.changes).timeout(HEAD_TIMEOUT).header(ACCEPT, "application/json");
            if let Some(etag) = etag {
                request = request.header(IF_NONE_MATCH, etag);
            }
            let response = accepted(request.send().await.map_err(CallError::from_request)?).await?;
            if response.status() == StatusCode::NOT_MODIFIED {
                return Ok(HeadAnswer::Unchanged(protocol::Moved::from_headers(response.headers())?));
            }
            let etag = protocol::header(response.headers(), ETAG.as_str())?.to_owned();
            let body = read_body(response, 0, LARGEST_HEAD).await?;
            Ok(HeadAnswer::Changed(protocol::Head::parse(&body, etag)?))
        })
        .await
    }

    /// One page of a dataset, whole or an error.
    ///
    /// `ends` is given the place where the page ends, if more follows, as soon as its headers have come: at each attempt, for a
    /// page that is asked for again may end elsewhere.
    pub(crate) async fn page(
        &self,
        dataset: &Dataset,
        after: Option<&str>,
        head: &str,
        ends: &UnboundedSender<String>,
    ) -> Result<Page, CallError> {
        let url = format!("{}/{}", self.changes, dataset.feed);
        let asked: Vec<&str> = dataset.feed_columns().into_iter().map(|it| it.name.as_str()).collect();
        let (columns, limit, row) = (&asked.join(","), &self.page.to_string(), asked.len() * FIELD);
        let url = &url;
        self.call(self.timeout, move || async move {
            let mut query = vec![("columns", columns.as_str()), ("head", head), ("limit", limit.as_str())];
            query.extend(after.map(|it| ("after", it)));
            let request = self.get(url).timeout(self.timeout).header(ACCEPT, "text/csv").query(&query);
            let response = accepted(request.send().await.map_err(CallError::from_request)?).await?;
            let mut page = Page::from_headers(response.headers())?;
            page.check(self.page, after)?;
            if let Some(next) = &page.next {
                // Nobody listens when the page was cancelled.
                ends.send(next.clone()).ok();
            }
            page.body = read_body(response, page.rows.saturating_mul(row), LARGEST_PAGE).await?;
            Ok(page)
        })
        .await
    }

    fn get(&self, url: &str) -> reqwest::RequestBuilder {
        self.http.get(url).header("apikey", &self.key)
    }

    /// Send until it is answered, the deadline has passed or trying again cannot help.
    async fn call<T, F>(&self, timeout: Duration, send: impl Fn() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let deadline = Instant::now() + timeout * 2;
        let mut attempt = 0;
        let mut before = None;
        loop {
            if let Err(wait) = self.breaker.admit(Instant::now()) {
                metric::call(&self.source, "refused");
                // Whose own failures opened it says what they were: that the source was asked, and how it answered.
                return Err(before.unwrap_or(CallError::BreakerOpen { wait }));
            }
            self.rate.until_ready().await;
            let error = match send().await {
                Ok(answer) => {
                    self.breaker.succeeded();
                    metric::call(&self.source, "ok");
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if error.blames_source() {
                self.breaker.failed(Instant::now());
            } else {
                self.breaker.succeeded();
            }
            let Some(pause) = retry::pause(&error, attempt).filter(|it| Instant::now() + *it < deadline) else {
                metric::call(&self.source, "failed");
                return Err(error);
            };
            metric::call(&self.source, "retried");
            attempt += 1;
            tracing::debug!(url = self.changes, attempt, ?pause, %error, "asking again");
            before = Some(error);
            tokio::time::sleep(pause).await;
        }
    }
}

/// Pass on a good answer; turn any other into an error with what the source said.
async fn accepted(response: reqwest::Response) -> Result<reqwest::Response, CallError> {
    let status = response.status();
    if status == StatusCode::OK || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let retry_after = retry::after_header(response.headers(), chrono::Utc::now());
    // The explanation is for people; without one the status must do.
    let body = read_body(response, 0, LARGEST_REFUSAL).await.unwrap_or_default();
    Err(CallError::from_status(status, retry_after, &body))
}

/// `likely` is the size to make room for. What is not filled costs an address and no memory; what is too small is moved
/// each time that it has doubled.
///
/// An answer of more than `most` bytes is refused as soon as it is.
async fn read_body(mut response: reqwest::Response, likely: usize, most: usize) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    body.try_reserve(likely.min(most)).ok();
    while let Some(chunk) = response.chunk().await.map_err(CallError::from_request)? {
        if body.len() + chunk.len() > most {
            return Err(CallError::Unusable(format!("an answer is larger than {most} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
