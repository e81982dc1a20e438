//! Sending a whole file: status, headers, and exactly the bytes that were asked for.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Coding, Whole, conditional, hex, range, range::Wanted};

/// How large the pieces are in which a file is read and sent, in bytes: what a slow client holds of our memory.
const PIECE: u64 = 32 * 1024;

/// How many pieces may be on their way to one client.
const PIECES: usize = 2;

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
    /// Whether a browser should save it rather than show it.
    pub save: bool,
}

/// Answer a GET or HEAD with a file: 200, 206, 304 or 416.
///
/// # Errors
/// 500 when a header cannot be written.
pub fn send(method: &Method, request: &HeaderMap, attachment: &Attachment, whole: Whole) -> Result<Response, ApiError> {
    let etag = format!("\"{}\"", hex(whole.sha256.get(..16).unwrap_or_default()));
    let text = |name: HeaderName| request.get(name).and_then(|value| value.to_str().ok());
    let mut response = Response::new(Body::empty());
    if conditional::is_unchanged(request, &etag, attachment.modified) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        validators(response.headers_mut(), &etag, Some(attachment.modified), attachment.cache_control)?;
        return Ok(response);
    }
    let wanted = if range::may_be_partial(text(header::IF_RANGE), &etag) {
        range::wanted(text(header::RANGE), whole.length)
    } else {
        Wanted::Whole
    };
    let (status, first, length) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, whole.length),
        Wanted::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    validators(headers, &etag, Some(attachment.modified), attachment.cache_control)?;
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        headers.insert(header::CONTENT_RANGE, value(format!("bytes */{}", whole.length))?);
        return Ok(response);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(attachment.media_type));
    if let Some(coding) = attachment.coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    // Of the whole file, whatever part is sent: that is what tells the receiver of parts that they fit together.
    headers.insert(
        "repr-digest",
        value(format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(whole.sha256)))?,
    );
    let disposition = if attachment.save { "attachment" } else { "inline" };
    headers
        .insert(header::CONTENT_DISPOSITION, value(format!("{disposition}; filename=\"{}\"", attachment.file_name))?);
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{}", first + length - 1, whole.length);
        headers.insert(header::CONTENT_RANGE, value(range)?);
    }
    if *method != Method::HEAD {
        *response.body_mut() = Body::from_stream(pieces(whole.file, first, length));
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
///
/// A piece is read when the one before the last has left for the client: the server would otherwise read ahead a
/// dozen of them for a client that takes none.
pub fn pieces(file: File, first: u64, length: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let begin = (Arc::new(file), Arc::new(Semaphore::new(PIECES)), first, length);
    stream::try_unfold(begin, |(file, unsent, at, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let counted = Arc::clone(&unsent).acquire_owned().await.map_err(io::Error::other)?;
        let size = left.min(PIECE);
        let reading = Arc::clone(&file);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
            reading.read_exact_at(&mut bytes, at).map(|()| Piece { bytes, _counted: counted })
        });
        let piece = Bytes::from_owner(read.await.map_err(io::Error::other)??);
        Ok(Some((piece, (file, unsent, at + size, left - size))))
    })
}

/// Bytes that are counted until they have left.
struct Piece {
    bytes: Vec<u8>,
    _counted: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn value(text: String) -> Result<HeaderValue, ApiError> {
    HeaderValue::try_from(text).map_err(ApiError::internal)
}
