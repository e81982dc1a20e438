//! A client of one consumer: short calls, and answers that explain themselves when they are not the expected ones.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::wait_until;

/// Calls as one consumer (through the gateway), or as the gateway itself (to one service).
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    base: String,
}

/// A request under construction.
#[derive(Debug)]
pub struct Call {
    request: RequestBuilder,
    what: String,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    what: String,
}

impl Api {
    /// A client of `base` that sends these headers with every request. It keeps its own connections: clients of
    /// different tests live in different runtimes.
    pub fn new(base: &str, headers: &[(&str, &str)]) -> Self {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().expect("a header name");
                (name, HeaderValue::from_str(value).expect("a header value"))
            })
            .collect();
        // What comes is what was sent: a client that unpacks by itself would also ask for packed answers by itself.
        let client = Client::builder()
            .no_proxy()
            .no_gzip()
            .timeout(Duration::from_secs(120))
            .default_headers(headers)
            .build()
            .expect("an HTTP client");
        Self { client, base: base.to_owned() }
    }

    /// The address that paths are appended to.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Begins a request.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let url = format!("{}{path}", self.base);
        Call { what: format!("{method} {path}"), request: self.client.request(method, url) }
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path).send().await
    }

    /// GET that must answer 200 with JSON.
    pub async fn get_json(&self, path: &str) -> Value {
        self.get(path).await.expect(200).json()
    }

    /// Every item of a keyset-paged collection.
    pub async fn get_all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut call = self.call(Method::GET, path);
            if let Some(after) = &after {
                call = call.query(&[("after", after.as_str())]);
            }
            let page = call.send().await.expect(200).json();
            items.extend(page["items"].as_array().expect("a page has items").iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => return items,
            }
        }
    }

    /// Sends a POST with a JSON body.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Reply {
        self.call(Method::POST, path).json(body).send().await
    }

    /// POST that must answer `status`, with JSON.
    pub async fn post_json(&self, path: &str, body: &impl Serialize, status: u16) -> Value {
        self.post(path, body).await.expect(status).json()
    }

    /// Sends a CSV file to an import endpoint; the answer's counts.
    pub async fn import(&self, path: &str, csv: impl Into<String>) -> Value {
        let csv: String = csv.into();
        self.import_body(path, csv).await
    }

    /// Sends a body of CSV, however long, to an import endpoint, and waits until it is applied; its counts.
    pub async fn import_body(&self, path: &str, body: impl Into<reqwest::Body>) -> Value {
        let reply = self.call(Method::POST, path).header("content-type", "text/csv").body(body).send().await;
        if reply.status != 202 {
            return reply.expect(200).json();
        }
        // `../imports/7`, as seen from `…/sales/import`.
        let location = reply.header("location").expect("a Location").trim_start_matches("..").to_owned();
        let base = path.split('?').next().unwrap_or(path).rsplitn(3, '/').last().unwrap_or_default().to_owned();
        wait_until("an import to be applied", Duration::from_secs(600), async || {
            let report = self.get_json(&format!("{base}{location}")).await;
            (report["state"] != "applying").then_some(report)
        })
        .await
    }
}

impl Call {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Adds query parameters.
    pub fn query(mut self, parameters: &(impl Serialize + ?Sized)) -> Self {
        self.request = self.request.query(parameters);
        self
    }

    /// Sets a JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// Sets a body as it is.
    pub fn body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.request = self.request.body(body);
        self
    }

    /// Sends it. A consumer who asked too often in this second is told when to come again (429), and does: how many
    /// requests a test makes in a second depends on the machine.
    ///
    /// # Panics
    /// When no whole answer comes; see [`Call::try_send`].
    pub async fn send(mut self) -> Reply {
        loop {
            let (what, again) = (self.what.clone(), self.request.try_clone());
            let reply = self.try_send().await.unwrap_or_else(|error| panic!("{what}: no answer: {error:?}"));
            let Some((request, pause)) = again.zip(reply.pause()) else { return reply };
            tokio::time::sleep(pause).await;
            self = Self { request, what };
        }
    }

    /// Sends it; a connection that breaks is an error and not a panic.
    pub async fn try_send(self) -> Result<Reply, reqwest::Error> {
        let answer = self.request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await?.to_vec();
        Ok(Reply { status, headers, body, what: self.what })
    }
}

impl Reply {
    /// The same, if its status is the expected one.
    ///
    /// # Panics
    /// Otherwise, with the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} answered {}: {}", self.what, self.status, self.text());
        self
    }

    /// How long the gateway's limit of the second asks to wait; none where it does not.
    fn pause(&self) -> Option<Duration> {
        let seconds = self.header("retry-after").filter(|_| self.status == 429)?.parse().ok()?;
        (seconds <= 1).then(|| Duration::from_secs(seconds))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        self.parse()
    }

    /// The body as a type.
    #[track_caller]
    pub fn parse<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error} in the answer {}", self.what, self.text()))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Media type of the body, without parameters.
    pub fn media_type(&self) -> &str {
        self.header(CONTENT_TYPE.as_str()).and_then(|value| value.split(';').next()).unwrap_or_default().trim()
    }

    /// The problem's `type`, if the answer is `application/problem+json`.
    pub fn problem(&self) -> Option<String> {
        (self.media_type() == "application/problem+json")
            .then(|| self.json()["type"].as_str().unwrap_or_default().to_owned())
    }
}
