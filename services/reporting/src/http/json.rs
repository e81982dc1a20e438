//! A report as JSON: the rows are encoded once and shared, the envelope with age and freshness is made for every answer.

use std::{
    io::{self, Write},
    sync::Arc,
};

use ::exports::{Column, Format, Provenance, json};
use aggregator::report::FEW;
use axum::{
    body::Body,
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use jobs::document::Document;
use kit::error::ApiError;

use super::{
    accept_encoding::{self, preferred},
    conditional::{self, Verdict},
    in_flight::InFlightRows,
    pace::paced,
    respond::{CachePolicy, STALE, provenance_headers, stale},
    send::{ClientRequest, PIECE, pieces, slices, validators},
};
use crate::{
    State,
    answer::{
        Coding, Content, ReportRequest,
        rows::{self, Found, Made, Rows},
    },
};

/// Bytes of rows below which a coding costs more than it spares.
const WORTH_CODING: usize = 1_024;

/// Answers that are encoded while their client reads them.
pub const CODERS: usize = 16;

/// Send a report as JSON.
///
/// # Errors
/// 503 when the spool cannot be written or all slots are taken; what computing the rows meets.
pub(super) async fn send(
    state: &State,
    client: ClientRequest<'_>,
    cache: CachePolicy,
    report: &ReportRequest,
) -> Result<Response, ApiError> {
    let key = Content::JsonRows.key(&report.identity());
    // Weak: two answers with this tag have equal rows, but each its own age. One that is outdated says so.
    let tag = report.outdated.as_ref();
    let tag = tag.map_or_else(|| key.clone(), |it| base::sha256_hex(format!("{key} {} {}", it.since, it.by)));
    let etag = format!("W/\"{}\"", tag.get(..32).unwrap_or(&tag));
    if conditional::evaluate(client.headers, &etag, None)? == Verdict::Unchanged {
        // That the client has the current answer is known without computing.
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        validators(response.headers_mut(), &etag, None, cache.header())?;
        response.headers_mut().insert(STALE, stale(&report.sources));
        return Ok(response);
    }
    let answer = Answer { client, cache, etag };
    let made = match rows::of(&state.answers, report, Content::JsonRows, &key).await? {
        Rows::File(found) => return answer.around_file(state, found),
        Rows::Memory(made) => made,
    };
    if made.document.frame().height() > FEW {
        return answer.around_file(state, build(state, report, &key, made).await?);
    }
    let rows = encoded(&made.document).await?;
    let Made { document, right } = made;
    drop(right);
    let (mut response, head) =
        answer.begin(&document.provenance, &document.columns, document.frame().height() as u64)?;
    let Some(mut head) = head else { return Ok(response) };
    let coding = preferred(client.headers).filter(|_| rows.len() >= WORTH_CODING);
    let short = |length: usize| length as u64 <= PIECE;
    if let Some(coding) = coding {
        let coded = coded(coding, head, rows.clone()).await?;
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        let length = coded.len();
        if short(length) {
            return Ok(answer.at_once(response, coded));
        }
        if let Some(coded) = InFlightRows::reserve(&state.in_flight, coded.into()) {
            return answer.slowly(state, response, length, slices(coded));
        }
    } else if short(rows.len()) {
        head.extend_from_slice(&rows);
        head.extend_from_slice(json::TAIL);
        return Ok(answer.at_once(response, head));
    } else if let Some(reserved) = InFlightRows::reserve(&state.in_flight, rows.clone()) {
        let length = head.len() + reserved.len() + json::TAIL.len();
        return answer.slowly(state, response, length, around(head, slices(reserved)));
    }
    // Too much is on its way to slow clients already: this one reads from a file.
    answer.around_file(state, build(state, report, &key, Made { document, right: None }).await?)
}

/// Rows between the envelope's two ends.
fn around(
    head: Vec<u8>,
    rows: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let part = |part: Bytes| stream::iter([Ok(part)]);
    part(head.into()).chain(rows).chain(part(Bytes::from_static(json::TAIL)))
}

/// A whole answer in a coding.
async fn coded(coding: Coding, head: Vec<u8>, rows: Bytes) -> Result<Vec<u8>, ApiError> {
    let encode = move || -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(rows.len() / 8);
        let mut coded = coding.writer(&mut out);
        for part in [&head[..], &rows[..], json::TAIL] {
            coded.write_all(part)?;
        }
        coded.finish()?;
        Ok(out)
    };
    tokio::task::spawn_blocking(encode).await.map_err(ApiError::internal)?.map_err(ApiError::internal)
}

/// The rows as JSON: encoded once, for every answer that holds them.
async fn encoded(document: &Document) -> Result<Bytes, ApiError> {
    let encode = || async {
        let (computed, columns) = (document.computed.clone(), document.columns.clone());
        let encode = move || {
            let mut rows = Vec::new();
            json::encode_rows(&columns, computed.frame.clone(), &mut rows).map(|_| Bytes::from(rows))
        };
        tokio::task::spawn_blocking(encode).await.map_err(ApiError::internal)?.map_err(ApiError::internal)
    };
    document.computed.encoded.get_or_try_init(encode).await.cloned()
}

async fn build(state: &State, report: &ReportRequest, key: &str, made: Made) -> Result<Found, ApiError> {
    Ok(rows::build(&state.answers, report, Content::JsonRows, key, made).await?)
}

/// A response in the making: what it needs of its request.
struct Answer<'a> {
    client: ClientRequest<'a>,
    cache: CachePolicy,
    etag: String,
}

impl Answer<'_> {
    /// The answer without its body, and the body up to its rows unless there is to be none.
    fn begin(
        &self,
        provenance: &Provenance,
        columns: &[Column],
        row_count: u64,
    ) -> Result<(Response, Option<Vec<u8>>), ApiError> {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        provenance_headers(headers, provenance)?;
        validators(headers, &self.etag, Some(provenance.generated_at), self.cache.header())?;
        if conditional::evaluate(self.client.headers, &self.etag, Some(provenance.generated_at))? == Verdict::Unchanged
        {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok((response, None));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Format::Json.media_type()));
        Ok((response, Some(json::head(provenance, columns, row_count).map_err(ApiError::internal)?)))
    }

    /// The answer around rows that lie in the spool.
    fn around_file(&self, state: &State, (file, note): Found) -> Result<Response, ApiError> {
        let row_count = note.provenance.row_count.unwrap_or_default();
        let (mut response, head) = self.begin(&note.provenance, &note.columns, row_count)?;
        let Some(head) = head else { return Ok(response) };
        let length = (head.len() + json::TAIL.len()) as u64 + file.length;
        let body = around(head, pieces(&state.downloads, file.file, 0, file.length));
        // An encoder holds megabytes as long as its client is slow: only so many may.
        let coder = preferred(self.client.headers)
            .and_then(|coding| Some((coding, Arc::clone(&state.coders).try_acquire_owned().ok()?)));
        let Some((coding, right)) = coder else { return self.slowly(state, response, length, body) };
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        if *self.client.method != Method::HEAD {
            let body = accept_encoding::coded(coding, body).inspect(move |_| _ = &right);
            *response.body_mut() = Body::from_stream(paced(state.downloads.begin()?, body));
        }
        Ok(response)
    }

    /// The answer with a body that leaves at once.
    fn at_once(&self, mut response: Response, body: Vec<u8>) -> Response {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        if *self.client.method != Method::HEAD {
            *response.body_mut() = body.into();
        }
        response
    }

    /// The answer with a body of so many bytes that may take its client long.
    fn slowly(
        &self,
        state: &State,
        mut response: Response,
        length: impl Into<HeaderValue>,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<Response, ApiError> {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        if *self.client.method != Method::HEAD {
            *response.body_mut() = Body::from_stream(paced(state.downloads.begin()?, body));
        }
        Ok(response)
    }
}
