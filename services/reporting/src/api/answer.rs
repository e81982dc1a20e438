//! One report as an answer: computed or read, encoded, and told where it comes from.
//!
//! A JSON answer of ordinary size is made in memory: its rows are encoded once per snapshot and parameters, the envelope
//! with age and freshness anew for every answer. Everything else is a file in the spool first.

use std::{collections::BTreeMap, io::Write};

use ::exports::{Format, Provenance, json};
use aggregator::{publish, report};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use chrono::NaiveDate;
use jobs::document::{self, Document};
use kit::error::ApiError;
use sha2::{Digest, Sha256};

use super::error;
use crate::{
    State,
    download::{self, Attachment, Spooled, spool::hex},
};

/// JSON answers of up to this many rows are made in memory.
const ROWS_IN_MEMORY: usize = 20_000;

/// A report computed now.
///
/// # Errors
/// What a client can mend as 4xx, naming the parameter; 503 while all slots are taken.
pub async fn computed(
    state: &State,
    name: &str,
    parameters: &BTreeMap<String, String>,
    snapshot: Option<i64>,
) -> Result<Document, ApiError> {
    let result = report::run(&state.aggregator, name, parameters, snapshot).await.map_err(error::of_report)?;
    Ok(document::of_result(&state.aggregator, &result))
}

/// A published revision; the newest of the day when no number is given.
///
/// # Errors
/// 404 when there is none.
pub async fn published(state: &State, name: &str, day: NaiveDate, revision: Option<i32>) -> Result<Document, ApiError> {
    let rows = publish::revision_rows(&state.pool, name, day, revision).await.map_err(error::of_publish)?;
    Ok(document::of_published(&state.aggregator, rows))
}

/// How long an answer may be kept by whoever receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Asked again each time: the next poll may change it.
    Asked,
    /// A numbered revision: it never changes.
    Immutable,
}

impl Kept {
    fn header(self) -> &'static str {
        match self {
            Self::Asked => "private, no-cache",
            Self::Immutable => "private, max-age=31536000, immutable",
        }
    }
}

/// Send a document in a format.
///
/// # Errors
/// 400 when the format cannot hold the rows, 503 when the spool cannot be written.
pub async fn send(
    state: &State,
    method: &Method,
    request: &HeaderMap,
    format: Format,
    kept: Kept,
    document: Document,
) -> Result<Response, ApiError> {
    let key = hex(&Sha256::digest(format!("{} {}", format.name(), document.identity)));
    let provenance = document.provenance.clone();
    let mut response = if format == Format::Json && document.frame.height() <= ROWS_IN_MEMORY {
        in_memory(state, method, request, kept, &key, document).await?
    } else {
        let attachment = Attachment {
            media_type: format.media_type(),
            file_name: file_name(&provenance, format),
            cache_control: kept.header(),
            save: !matches!(format, Format::Json | Format::Ndjson),
        };
        let spooled = spooled(state, format, key, document).await?;
        download::send(method, request, &attachment, spooled).await?
    };
    tell(response.headers_mut(), &provenance)?;
    Ok(response)
}

async fn in_memory(
    state: &State,
    method: &Method,
    request: &HeaderMap,
    kept: Kept,
    key: &str,
    document: Document,
) -> Result<Response, ApiError> {
    // Weak: two answers with this tag have equal rows, but each its own age.
    let etag = format!("W/\"{}\"", key.get(..32).unwrap_or(key));
    let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let unchanged =
        known.split(',').map(str::trim).any(|tag| tag == "*" || tag == etag || etag.ends_with(tag) && tag.len() > 2);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::ETAG, HeaderValue::try_from(etag).map_err(ApiError::internal)?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept.header()));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let Document { provenance, columns, frame, .. } = document;
    let row_count = frame.height() as u64;
    let encoded = columns.clone();
    let rows = state
        .rows
        .try_get_with(key.to_owned(), async move {
            let encode = tokio::task::spawn_blocking(move || json::encode_rows(&encoded, frame));
            let rows = encode.await.map_err(ApiError::internal)?;
            rows.map(std::sync::Arc::from).map_err(ApiError::internal)
        })
        .await
        .map_err(ApiError::internal)?;
    let mut body = Vec::with_capacity(rows.get().len() + 2_048);
    json::write_with_rows(&provenance, &columns, row_count, &rows, &mut body).map_err(ApiError::internal)?;
    headers_of_json(response.headers_mut(), body.len());
    if *method != Method::HEAD {
        *response.body_mut() = Body::from(body);
    }
    Ok(response)
}

fn headers_of_json(headers: &mut HeaderMap, length: usize) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Format::Json.media_type()));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}

/// The file of a key: from the spool, or built now in one of the slots.
async fn spooled(state: &State, format: Format, key: String, document: Document) -> Result<Spooled, ApiError> {
    if let Some(found) = state.spool.find(&key) {
        return Ok(found);
    }
    let waiting = state.slots.clone().acquire_owned();
    let slot = tokio::time::timeout(state.config.service.request_timeout, waiting).await;
    let Ok(Ok(slot)) = slot else {
        return Err(ApiError::unavailable("too many downloads are being built; try again in a few seconds"));
    };
    let spool = state.spool.clone();
    let built = tokio::task::spawn_blocking(move || {
        // Held until the work ends, even if the client has left: the disk and the cores are busy.
        let _slot = slot;
        spool.find(&key).map_or_else(
            || {
                let Document { provenance, columns, frame, .. } = document;
                spool.build(&key, |out: &mut (dyn Write + Send)| {
                    ::exports::write(format, &provenance, &columns, [Ok(frame)], out)
                })
            },
            Ok,
        )
    });
    built.await.map_err(ApiError::internal)?.map_err(error::of_spool)
}

/// Report, days and revision: what a person wants to read in a folder of downloads.
fn file_name(provenance: &Provenance, format: Format) -> String {
    let parameter = |name: &str| provenance.parameters.get(name).and_then(serde_json::Value::as_str);
    let mut name = provenance.report.clone();
    for part in ["from", "to"].into_iter().filter_map(parameter) {
        if !name.ends_with(part) {
            name.push('-');
            name.push_str(part);
        }
    }
    match provenance.revision {
        Some(revision) => name.push_str(&format!("-r{revision}")),
        None => name.push_str(&format!("-s{}", provenance.snapshot)),
    }
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    format!("{safe}.{}", format.extension())
}

fn tell(headers: &mut HeaderMap, provenance: &Provenance) -> Result<(), ApiError> {
    let mut insert = |name: &'static str, value: String| -> Result<(), ApiError> {
        headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value).map_err(ApiError::internal)?);
        Ok(())
    };
    insert("tributary-report", provenance.report.clone())?;
    insert("tributary-snapshot", provenance.snapshot.to_string())?;
    insert("tributary-stale", provenance.is_stale().to_string())?;
    insert("tributary-currency", provenance.currency.clone())?;
    insert("tributary-generated-at", provenance.generated_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))?;
    if let Some(rows) = provenance.row_count {
        insert("tributary-rows", rows.to_string())?;
    }
    if let Some(revision) = provenance.revision {
        insert("tributary-revision", revision.to_string())?;
    }
    if let Some(state) = &provenance.state {
        insert("tributary-state", state.clone())?;
    }
    Ok(())
}
