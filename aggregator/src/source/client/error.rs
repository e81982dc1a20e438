//! Why a call to a source failed, and whether asking again may help.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection, or it broke before the body's end.
    #[error("the connection failed or broke")]
    Connection(#[source] reqwest::Error),
    /// No whole answer within the deadline.
    #[error("no whole answer within the deadline")]
    Timeout(#[source] reqwest::Error),
    /// A status that says no.
    #[error("answered {status}: {detail}")]
    Status {
        /// The status.
        status: u16,
        /// The source's own words, shortened.
        detail: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// 410: the source is not the one the cursor came from; read everything again.
    #[error("the source's epoch is another one: everything must be read again")]
    EpochGone,
    /// 410: the dataset's shape is another one; read that dataset again.
    #[error("the dataset's shape is another one: it must be read again")]
    ShapeGone,
    /// The answer does not follow the feed's protocol.
    #[error("unusable answer: {0}")]
    Unusable(String),
    /// Not sent: the breaker is open.
    #[error("not asked, the circuit breaker is open for another {} s", wait.as_secs())]
    BreakerOpen {
        /// Until one call may try.
        wait: Duration,
    },
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    message: String,
}

impl CallError {
    pub(crate) fn from_request(error: reqwest::Error) -> Self {
        if error.is_timeout() { Self::Timeout(error) } else { Self::Connection(error) }
    }

    pub(crate) fn unexpected_304() -> Self {
        Self::Unusable("304 to a question without an ETag".to_owned())
    }

    pub(crate) fn from_status(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let problem: Option<Problem> = serde_json::from_slice(body).ok();
        if status == StatusCode::GONE {
            let kind = problem.as_ref().map_or("", |it| it.kind.as_str());
            // An unknown reason asks for the larger cure.
            return if kind.ends_with("/feed-shape") { Self::ShapeGone } else { Self::EpochGone };
        }
        let words = problem.map(|it| [it.detail, it.title, it.message].into_iter().find(|it| !it.is_empty()));
        let detail: String = match words.flatten() {
            Some(words) => words.chars().take(300).collect(),
            None => String::from_utf8_lossy(body).chars().take(120).collect(),
        };
        Self::Status { status: status.as_u16(), detail, retry_after }
    }

    /// Whether the same request may be answered a moment later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Timeout(_) => true,
            Self::Status { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            // A body cut short at a line end is nonsense that a second reading mends.
            Self::Unusable(_) => true,
            Self::EpochGone | Self::ShapeGone | Self::BreakerOpen { .. } => false,
        }
    }

    /// Whether it counts against the source's health: a refusal of ours does not.
    pub(crate) fn blames_source(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Timeout(_) | Self::Unusable(_) => true,
            Self::Status { status, .. } => *status >= 500,
            Self::EpochGone | Self::ShapeGone | Self::BreakerOpen { .. } => false,
        }
    }
}
