//! JSON responses that are sent again as they are: as long as the lake was not looked at anew, the same request has the
//! same bytes.
//!
//! What is kept lives as long as one look ([`Reports::present`](aggregator::report::Reports::present), half a second at
//! most), so a commit, a poll's outcome or a changed catalogue ends it. The age of an answer is that of the look, kept or
//! not.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use aggregator::report::Present;
use axum::{
    body::{Body, HttpBody as _},
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use bytes::Bytes;

use super::{
    accept_encoding::preferred,
    conditional,
    send::{ClientRequest, PIECE},
};
use crate::answer::{Coding, ReportQuery};

/// Bytes of questions and answers that are kept.
const ROOM: usize = 16 << 20;

/// What an answer depends on, beside the moment. The query counts as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    report: String,
    query: String,
    coding: Option<Coding>,
}

impl Key {
    /// The key of a question in JSON; none for one whose answer depends on more than [`Key`] holds, or is read from
    /// what was published.
    #[must_use]
    pub(super) fn of(client: ClientRequest<'_>, report: &str, text: Option<&str>, query: &ReportQuery) -> Option<Self> {
        let plain = client.method == Method::GET && !conditional::is_conditional(client.headers);
        let now = query.published.is_none() && query.max_age.is_none();
        let key = || Self {
            report: report.to_owned(),
            query: text.unwrap_or_default().to_owned(),
            coding: preferred(client.headers),
        };
        (plain && now).then(key)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.report.len() + self.query.len()
    }
}

/// The responses of the present moment.
#[derive(Debug, Default)]
pub struct ResponseCache(Mutex<Moment>);

#[derive(Debug, Default)]
struct Moment {
    present: Option<Present>,
    size: usize,
    answers: HashMap<Key, (HeaderMap, Bytes)>,
}

impl ResponseCache {
    /// The answer to the same question of the same moment. With a new moment, what was kept of the last one goes.
    #[must_use]
    pub fn get(&self, present: &Present, key: &Key) -> Option<Response> {
        let (headers, body) = {
            let mut moment = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if moment.present.as_ref() != Some(present) {
                *moment = Moment { present: Some(present.clone()), ..Moment::default() };
            }
            moment.answers.get(key).cloned()?
        };
        let mut response = Response::new(Body::from(body));
        *response.headers_mut() = headers;
        Some(response)
    }

    /// Keeps an answer to a question that was asked at `present`, if that still is the moment, the answer is whole and
    /// short, and there is room.
    pub async fn keep(&self, present: &Present, key: Key, response: Response) -> Response {
        let length = response.body().size_hint().exact().filter(|length| *length <= PIECE);
        if response.status() != StatusCode::OK || length.is_none() {
            return response;
        }
        let (parts, body) = response.into_parts();
        // In memory already, of the length that it says.
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let size = key.size() + body.len();
        let mut moment = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = moment.present.as_ref() == Some(present) && !moment.answers.contains_key(&key);
        if is_new && moment.size + size <= ROOM {
            moment.size += size;
            moment.answers.insert(key, (parts.headers.clone(), body.clone()));
        }
        Response::from_parts(parts, Body::from(body))
    }
}
