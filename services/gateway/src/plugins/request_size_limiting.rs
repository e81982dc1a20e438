//! `request-size-limiting`: refuses a body that is too large, before an upstream sees any of it.

use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, EXPECT, HeaderMap};
use serde::Deserialize;

use crate::reply::Exit;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestSizeLimiting {
    /// Megabytes of 1,048,576 bytes.
    allowed_payload_size: usize,
}

const TEXT: &str = "Request size limit exceeded";

impl RequestSizeLimiting {
    /// The most bytes that a body may have.
    pub(crate) fn limit(&self) -> usize {
        self.allowed_payload_size.saturating_mul(1 << 20)
    }

    /// Refuses a body that is too long by its head; one that does not say is measured while it is read.
    pub(crate) fn access(&self, headers: &HeaderMap) -> Result<(), Exit> {
        let Some(length) = headers.get(CONTENT_LENGTH) else { return Ok(()) };
        let length: Option<usize> = length.to_str().ok().and_then(|length| length.parse().ok());
        if length.is_some_and(|length| length <= self.limit()) {
            return Ok(());
        }
        let waits = headers.get(EXPECT).is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        Err(if waits { Exit::new(StatusCode::EXPECTATION_FAILED, TEXT) } else { too_large() })
    }
}

pub(crate) fn too_large() -> Exit {
    Exit::new(StatusCode::PAYLOAD_TOO_LARGE, TEXT)
}
