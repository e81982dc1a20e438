//! A visitor's client: its consumer's key, patience with a system that is being restarted, and a tally.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::tally::Tally;
use crate::error::{Error, Result};
use crate::state::State;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum As {
    Storefront,
    Pos,
    Backoffice,
    Analyst,
    Nobody,
}

/// One thing a visitor does.
pub(super) struct Ask<'a> {
    /// Its name in the tally.
    pub(super) action: &'static str,
    pub(super) who: As,
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<Value>,
    /// Makes a write safe to send again.
    pub(super) key: Option<String>,
    /// Refusals that are part of life.
    pub(super) may: &'static [u16],
}

/// The client of all visitors.
pub(super) struct Client {
    http: reqwest::Client,
    gateway: String,
    storefront: String,
    pos: String,
    backoffice: String,
    analyst: String,
    /// Tries of a request that may be sent again.
    tries: u32,
    tally: Mutex<Tally>,
}

impl Client {
    pub(super) fn new(state: &State, tries: u32) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()
            .map_err(|error| Error::Call { what: "HTTP client".to_owned(), reason: error.to_string() })?;
        let key = |consumer: &str| state.keys.get(consumer).cloned().unwrap_or_default();
        Ok(Self {
            http,
            gateway: state.gateway.clone(),
            storefront: key("storefront"),
            pos: key("pos"),
            backoffice: key("backoffice"),
            analyst: key("analyst"),
            tries: tries.max(1),
            tally: Mutex::default(),
        })
    }

    /// Status and body of the answer, if it is one of those that may be; `None` when the visit is over.
    pub(super) async fn ask(&self, ask: &Ask<'_>) -> Option<(u16, Value)> {
        let again = ask.method == Method::GET || ask.key.is_some();
        for attempt in 1..=self.tries {
            let begun = Instant::now();
            self.tally().service(ask.path).asked += 1;
            let (kind, wait) = match self.send(ask).await {
                Ok((status, body, _)) if (200..300).contains(&status) => {
                    self.tally().actions.entry(ask.action).or_default().took(begun.elapsed());
                    return Some((status, body));
                }
                Ok((status, body, _)) if ask.may.contains(&status) => {
                    let mut tally = self.tally();
                    let action = tally.actions.entry(ask.action).or_default();
                    action.took(begun.elapsed());
                    *action.refused.entry(status).or_default() += 1;
                    return Some((status, body));
                }
                Ok((status, _, wait)) if matches!(status, 429 | 502 | 503 | 504) => (status.to_string(), wait),
                Ok((status, _, _)) => {
                    self.failed(ask, status.to_string());
                    return None;
                }
                Err(error) if error.is_connect() => ("connect".to_owned(), None),
                Err(error) if error.is_timeout() => ("timeout".to_owned(), None),
                Err(_) => ("broken answer".to_owned(), None),
            };
            self.failed(ask, kind);
            if !again || attempt == self.tries {
                break;
            }
            // A server that names a time is believed, within reason.
            let pause = wait.unwrap_or(Duration::from_millis(100 << attempt.min(4)));
            tokio::time::sleep(pause.min(Duration::from_secs(2))).await;
        }
        self.tally().lost += 1;
        None
    }

    /// Whether a path answers as it should at the first try; nothing is counted.
    pub(super) async fn answers(&self, who: As, path: &str) -> bool {
        let ask = Ask { action: "look around", who, method: Method::GET, path, body: None, key: None, may: &[] };
        self.send(&ask).await.is_ok_and(|(status, ..)| status == 200)
    }

    async fn send(&self, ask: &Ask<'_>) -> reqwest::Result<(u16, Value, Option<Duration>)> {
        let mut request = self.http.request(ask.method.clone(), format!("{}{}", self.gateway, ask.path));
        request = match ask.who {
            As::Storefront => request.header("apikey", &self.storefront),
            As::Pos => request.header("apikey", &self.pos),
            As::Backoffice => request.header("apikey", &self.backoffice),
            As::Analyst => request.header("apikey", &self.analyst),
            As::Nobody => request,
        };
        if let Some(key) = &ask.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = answer.bytes().await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null), wait.map(Duration::from_secs)))
    }

    /// Counts something that should not be.
    pub(super) fn failed(&self, ask: &Ask<'_>, kind: String) {
        let mut tally = self.tally();
        *tally.service(ask.path).failed.entry((ask.action, kind.clone())).or_default() += 1;
        *tally.actions.entry(ask.action).or_default().errors.entry(kind).or_default() += 1;
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tally until now; a new one begins.
    pub(super) fn take_tally(&self) -> Tally {
        std::mem::take(&mut self.tally())
    }

    /// Progress in a few words.
    pub(super) fn so_far(&self) -> String {
        let total = self.tally().total();
        let errors: u64 = total.errors.values().sum();
        format!("{} answered, {errors} errors, p95 {:.1} ms", total.answered(), total.percentile(95))
    }
}
