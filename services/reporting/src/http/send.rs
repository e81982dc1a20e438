//! Sending a whole file: status, headers, and exactly the bytes that were asked for.

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt, sync::Arc};

use ::exports::Format;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use base64::Engine as _;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{Stream, stream};
use kit::error::ApiError;
use utoipa::{
    IntoResponses,
    openapi::{Content, RefOr, Response as DocumentedResponse, ResponseBuilder},
};

use super::{
    conditional::{self, Verdict},
    pace::{Downloads, paced},
    range::{self, Wanted},
};
use crate::answer::{Coding, OpenFile};

/// How large the pieces are in which bytes are read and sent: what a slow client holds of our memory, twice.
pub const PIECE: u64 = 32 * 1024;

/// The documented answer with a report as a file, in whichever of the formats.
pub struct ReportFile;

impl IntoResponses for ReportFile {
    fn responses() -> BTreeMap<String, RefOr<DocumentedResponse>> {
        let mut file = ResponseBuilder::new().description("The file");
        for format in Format::ALL {
            let media_type = format.media_type().split(';').next().unwrap_or_default();
            let mut content = Content::default();
            if format == Format::Json {
                content.example = Some(serde_json::json!({"report": "daily_sales", "row_count": 0, "rows": []}));
            }
            file = file.content(media_type, content);
        }
        [("200".to_owned(), RefOr::T(file.build()))].into()
    }
}

/// What a response depends on beside its content.
#[derive(Debug, Clone, Copy)]
pub struct ClientRequest<'a> {
    /// GET or HEAD.
    pub method: &'a Method,
    /// Accepted codings, conditions, ranges.
    pub headers: &'a HeaderMap,
}

/// How a file is called and kept by whoever receives it.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// `Content-Type`.
    pub media_type: &'static str,
    /// The coding that its bytes are in.
    pub coding: Option<Coding>,
    /// The proposed name; ASCII letters, digits, dots and dashes only.
    pub file_name: String,
    /// `Cache-Control`.
    pub cache_control: &'static str,
    /// `Last-Modified`.
    pub modified: DateTime<Utc>,
    /// Whether the file exists once and for all, so that its date tells it from every other.
    pub lasting: bool,
    /// Whether a browser should save it rather than show it.
    pub save: bool,
}

/// Answer a GET or HEAD with a file: 200, 206, 304, 412 or 416.
///
/// # Errors
/// 412 when a condition does not hold, 503 when as many downloads as may be are on their way, 500 when a header cannot
/// be written.
pub fn send(
    downloads: &Downloads,
    client: ClientRequest<'_>,
    attachment: &Attachment,
    file: OpenFile,
) -> Result<Response, ApiError> {
    let etag = format!("\"{}\"", base::hex(file.sha256.get(..16).unwrap_or_default()));
    let text = |name: HeaderName| client.headers.get(name).and_then(|value| value.to_str().ok());
    let mut response = Response::new(Body::empty());
    if conditional::evaluate(client.headers, &etag, Some(attachment.modified))? == Verdict::Unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        validators(response.headers_mut(), &etag, Some(attachment.modified), attachment.cache_control)?;
        return Ok(response);
    }
    let lasting = attachment.lasting.then_some(attachment.modified);
    let wanted = if range::may_be_partial(text(header::IF_RANGE), &etag, lasting) {
        range::wanted(text(header::RANGE), file.length)
    } else {
        Wanted::Whole
    };
    let (status, first, length) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, file.length),
        Wanted::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    validators(headers, &etag, Some(attachment.modified), attachment.cache_control)?;
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        headers.insert(header::CONTENT_RANGE, value(format!("bytes */{}", file.length))?);
        return Ok(response);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(attachment.media_type));
    if let Some(coding) = attachment.coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    // Of the whole file, whatever part is sent: that is what tells the receiver of parts that they fit together.
    headers.insert(
        "repr-digest",
        value(format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(file.sha256)))?,
    );
    let disposition = if attachment.save { "attachment" } else { "inline" };
    headers
        .insert(header::CONTENT_DISPOSITION, value(format!("{disposition}; filename=\"{}\"", attachment.file_name))?);
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{}", first + length - 1, file.length);
        headers.insert(header::CONTENT_RANGE, value(range)?);
    }
    if *client.method != Method::HEAD {
        let pieces = pieces(downloads, file.file, first, length);
        *response.body_mut() = if length <= PIECE {
            Body::from_stream(pieces)
        } else {
            Body::from_stream(paced(downloads.begin()?, pieces))
        };
    }
    Ok(response)
}

/// The headers by which a receiver asks again, on every answer that has them.
///
/// # Errors
/// 500 when one cannot be written.
pub fn validators(
    headers: &mut HeaderMap,
    etag: &str,
    modified: Option<DateTime<Utc>>,
    cache_control: &'static str,
) -> Result<(), ApiError> {
    headers.insert(header::ETAG, value(etag.to_owned())?);
    if let Some(modified) = modified {
        headers.insert(header::LAST_MODIFIED, value(conditional::http_date(modified))?);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    Ok(())
}

/// Part of a file, piece by piece. A file that turns out shorter ends in an error, which breaks the connection off.
pub fn pieces(
    downloads: &Downloads,
    file: File,
    first: u64,
    length: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let begin = (Arc::new(file), downloads.readers(), first, length);
    stream::try_unfold(begin, |(file, readers, at, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let size = left.min(PIECE);
        let (reading, reader) = (Arc::clone(&file), Arc::clone(&readers).acquire_owned().await);
        let reader = reader.map_err(io::Error::other)?;
        let read = tokio::task::spawn_blocking(move || {
            let _reader = reader;
            let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
            reading.read_exact_at(&mut bytes, at).map(|()| bytes)
        });
        let bytes = read.await.map_err(io::Error::other)??;
        Ok(Some((Bytes::from(bytes), (file, readers, at + size, left - size))))
    })
}

/// Bytes in memory, piece by piece; none is copied.
pub fn slices(mut bytes: Bytes) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let piece = usize::try_from(PIECE).unwrap_or(usize::MAX);
    stream::iter(std::iter::from_fn(move || (!bytes.is_empty()).then(|| Ok(bytes.split_to(bytes.len().min(piece))))))
}

fn value(text: String) -> Result<HeaderValue, ApiError> {
    HeaderValue::try_from(text).map_err(ApiError::internal)
}
