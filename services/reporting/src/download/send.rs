//! Sending a whole file: status, headers, and exactly the bytes that were asked for.

use std::io::SeekFrom;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use base64::Engine as _;
use kit::error::ApiError;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::{Spooled, range, range::Wanted, spool::hex};

/// How large the pieces are in which a file is read and sent, in bytes.
const PIECE: usize = 64 * 1024;

/// How a file is called and kept by whoever receives it.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// `Content-Type`.
    pub media_type: &'static str,
    /// The proposed name; ASCII letters, digits, dots and dashes only.
    pub file_name: String,
    /// `Cache-Control`.
    pub cache_control: &'static str,
    /// Whether a browser should save it rather than show it.
    pub save: bool,
}

/// Answer a GET or HEAD with a file: 200, 206, 304 or 416.
///
/// # Errors
/// 500 when the file cannot be read.
pub async fn send(
    method: &Method,
    request: &HeaderMap,
    attachment: &Attachment,
    spooled: Spooled,
) -> Result<Response, ApiError> {
    let etag = format!("\"{}\"", hex(spooled.sha256.get(..16).unwrap_or_default()));
    let text = |name: header::HeaderName| request.get(name).and_then(|value| value.to_str().ok());
    let mut response = Response::new(Body::empty());
    if text(header::IF_NONE_MATCH).is_some_and(|tags| matches(tags, &etag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        common(response.headers_mut(), attachment, &etag)?;
        return Ok(response);
    }
    let wanted = if range::may_be_partial(text(header::IF_RANGE), &etag) {
        range::wanted(text(header::RANGE), spooled.length)
    } else {
        Wanted::Whole
    };
    let (status, first, length) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, spooled.length),
        Wanted::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    common(headers, attachment, &etag)?;
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        headers.insert(header::CONTENT_RANGE, value(format!("bytes */{}", spooled.length))?);
        return Ok(response);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(attachment.media_type));
    // Of the whole file, whatever part is sent: that is what tells the receiver of parts that they fit together.
    headers.insert(
        "repr-digest",
        value(format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(spooled.sha256)))?,
    );
    let disposition = if attachment.save { "attachment" } else { "inline" };
    headers
        .insert(header::CONTENT_DISPOSITION, value(format!("{disposition}; filename=\"{}\"", attachment.file_name))?);
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{}", first + length - 1, spooled.length);
        headers.insert(header::CONTENT_RANGE, value(range)?);
    }
    if *method != Method::HEAD {
        let mut file = tokio::fs::File::from_std(spooled.file);
        file.seek(SeekFrom::Start(first)).await.map_err(ApiError::internal)?;
        *response.body_mut() = Body::from_stream(ReaderStream::with_capacity(file.take(length), PIECE));
    }
    Ok(response)
}

fn common(headers: &mut HeaderMap, attachment: &Attachment, etag: &str) -> Result<(), ApiError> {
    headers.insert(header::ETAG, value(etag.to_owned())?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(attachment.cache_control));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(())
}

/// Whether a list of entity tags holds ours; weak comparison, as `If-None-Match` asks for.
fn matches(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn value(text: String) -> Result<HeaderValue, ApiError> {
    HeaderValue::try_from(text).map_err(ApiError::internal)
}
