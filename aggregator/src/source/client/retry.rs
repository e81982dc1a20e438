//! How long to wait before asking again.

use std::time::Duration;

use base::{backoff, jittered};
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::CallError;

/// Tries after the first.
const RETRIES: u32 = 6;
/// Upper bound of the first pause; it doubles with every try.
const FIRST: Duration = Duration::from_millis(200);
/// No pause is longer, whatever `Retry-After` says.
const LONGEST: Duration = Duration::from_secs(10);

/// The pause before try `attempt + 1`; `None` when asking again cannot help.
pub(super) fn pause(error: &CallError, attempt: u32) -> Option<Duration> {
    if attempt >= RETRIES || !error.is_retryable() {
        return None;
    }
    let bound = backoff(FIRST, attempt + 1, LONGEST);
    let jittered = jittered(bound);
    match error {
        CallError::Status { retry_after: Some(asked), .. } => Some((*asked).min(LONGEST).max(jittered)),
        _ => Some(jittered),
    }
}

/// `Retry-After` in either of its forms.
pub(super) fn after_header(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let instant = DateTime::parse_from_rfc2822(text).ok()?;
    Some((instant.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn status(code: u16, after: Option<u64>) -> CallError {
        CallError::from_status(StatusCode::from_u16(code).unwrap(), after.map(Duration::from_secs), b"")
    }

    #[test]
    fn only_passing_troubles_are_tried_again() {
        for code in [429, 502, 503, 504] {
            assert!(pause(&status(code, None), 0).is_some(), "{code}");
        }
        for code in [400, 401, 403, 404, 410, 500] {
            assert_eq!(pause(&status(code, None), 0), None, "{code}");
        }
        assert_eq!(pause(&status(503, None), RETRIES), None);
    }

    #[test]
    fn retry_after_is_honoured_up_to_the_cap() {
        assert!(pause(&status(429, Some(3)), 0).unwrap() >= Duration::from_secs(3));
        assert_eq!(pause(&status(429, Some(86_400)), 0), Some(LONGEST));
        assert!(pause(&status(429, None), 0).unwrap() < FIRST);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-11-22T08:00:00Z").unwrap().to_utc();
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            after_header(&headers, now)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("Sun, 22 Nov 2026 08:00:09 GMT"), Some(Duration::from_secs(9)));
        assert_eq!(read("Sun, 22 Nov 2026 07:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
    }
}
