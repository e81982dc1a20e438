//! Conditional requests (RFC 9110, section 13): has the client what we would send, or something else than it believes?

use axum::http::{HeaderMap, HeaderName, header};
use chrono::{DateTime, NaiveDateTime, Utc};
use kit::error::ApiError;

/// What the conditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The answer is wanted.
    Send,
    /// 304: the client has it.
    Unchanged,
}

/// Whether a request has any condition, or asks for a part: its answer hangs on more than what is asked.
#[must_use]
pub fn is_conditional(request: &HeaderMap) -> bool {
    let conditions = [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
        header::IF_RANGE,
        header::RANGE,
    ];
    conditions.iter().any(|name| request.contains_key(name))
}

/// A moment as HTTP writes it, to the second.
#[must_use]
pub fn http_date(moment: DateTime<Utc>) -> String {
    moment.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A moment as HTTP writes it, in any of the three forms that a recipient must know (RFC 9110, 5.6.7).
#[must_use]
pub fn read_http_date(text: &str) -> Option<DateTime<Utc>> {
    let forms = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text.trim(), form).ok()).map(|it| it.and_utc())
}

/// Evaluates the conditions in the order that RFC 9110, 13.2.2 gives them. Without the moment of the answer, which takes
/// computing it, only entity tags decide.
///
/// `If-Modified-Since` must be exactly our date, not "or later": the rows that a URL means (`yesterday`) may be older
/// than those it meant before.
///
/// # Errors
/// 412 when `If-Match` or `If-Unmodified-Since` does not hold.
pub fn evaluate(request: &HeaderMap, etag: &str, modified: Option<DateTime<Utc>>) -> Result<Verdict, ApiError> {
    let seconds = |moment: DateTime<Utc>| moment.timestamp();
    match named(request, header::IF_MATCH, |tag| tag == etag && !tag.starts_with("W/")) {
        Some(true) => {}
        Some(false) => return Err(failed("If-Match", etag)),
        None => {
            if let (Some(modified), Some(until)) = (modified, date(request, header::IF_UNMODIFIED_SINCE))
                && seconds(modified) > seconds(until)
            {
                return Err(failed("If-Unmodified-Since", &http_date(modified)));
            }
        }
    }
    // The comparison is weak here.
    let strip = |tag: &str| tag.trim_start_matches("W/").to_owned();
    let known = named(request, header::IF_NONE_MATCH, |tag| strip(tag) == strip(etag)).unwrap_or_else(|| {
        let since = date(request, header::IF_MODIFIED_SINCE);
        modified.zip(since).is_some_and(|(modified, since)| seconds(modified) == seconds(since))
    });
    Ok(if known { Verdict::Unchanged } else { Verdict::Send })
}

fn failed(field: &'static str, ours: &str) -> ApiError {
    let detail = format!("{field} names another version than there is now ({ours}); get it anew, without {field}");
    ApiError::PreconditionFailed { field, detail }
}

/// Whether one of the entity tags in a header is meant, or any (`*`); `None` when there is no such header.
fn named(request: &HeaderMap, name: HeaderName, is_ours: impl Fn(&str) -> bool) -> Option<bool> {
    let mut lists = texts(request, name).peekable();
    lists.peek()?;
    Some(lists.flat_map(|list| list.split(',')).map(str::trim).any(|tag| tag == "*" || is_ours(tag)))
}

/// The date in a header; one that cannot be read is none.
fn date(request: &HeaderMap, name: HeaderName) -> Option<DateTime<Utc>> {
    texts(request, name).next().and_then(read_http_date)
}

fn texts(request: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    request.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODIFIED: &str = "2026-03-08T07:30:00.5Z";
    const OURS: &str = "Sun, 08 Mar 2026 07:30:00 GMT";
    const EARLIER: &str = "Sun, 08 Mar 2026 07:29:59 GMT";
    const LATER: &str = "Sun, 08 Mar 2026 07:30:01 GMT";

    /// 200, 304 or 412.
    fn status(conditions: &[(HeaderName, &str)], etag: &str) -> u16 {
        let request = conditions.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        match evaluate(&request, etag, Some(MODIFIED.parse().unwrap())) {
            Ok(Verdict::Send) => 200,
            Ok(Verdict::Unchanged) => 304,
            Err(error) => error.problem().status,
        }
    }

    #[test]
    fn tags_decide_and_a_date_must_be_ours() {
        for (value, expected) in [("\"a\"", 304), ("\"b\", W/\"a\"", 304), ("*", 304), ("\"b\"", 200), ("a", 200)] {
            assert_eq!(status(&[(header::IF_NONE_MATCH, value)], "\"a\""), expected, "{value}");
        }
        for (value, expected) in [(OURS, 304), (LATER, 200), ("yesterday", 200)] {
            assert_eq!(status(&[(header::IF_MODIFIED_SINCE, value)], "\"a\""), expected, "{value}");
        }
        let both = [(header::IF_NONE_MATCH, "\"b\""), (header::IF_MODIFIED_SINCE, OURS)];
        assert_eq!(status(&both, "\"a\""), 200);
    }

    #[test]
    fn another_version_than_the_client_believes_fails() {
        for (value, expected) in [("\"a\"", 200), ("\"b\", \"a\"", 200), ("*", 200), ("\"b\"", 412), ("a", 412)] {
            assert_eq!(status(&[(header::IF_MATCH, value)], "\"a\""), expected, "{value}");
        }
        // The comparison is strong: a weak tag is never the same to the byte.
        assert_eq!(status(&[(header::IF_MATCH, "W/\"a\"")], "W/\"a\""), 412);
        for (value, expected) in [(OURS, 200), (LATER, 200), (EARLIER, 412), ("yesterday", 200)] {
            assert_eq!(status(&[(header::IF_UNMODIFIED_SINCE, value)], "\"a\""), expected, "{value}");
        }
        let tag_first = [(header::IF_MATCH, "\"a\""), (header::IF_UNMODIFIED_SINCE, EARLIER)];
        assert_eq!(status(&tag_first, "\"a\""), 200);
        let before_304 = [(header::IF_MATCH, "\"b\""), (header::IF_NONE_MATCH, "\"a\"")];
        assert_eq!(status(&before_304, "\"a\""), 412);
    }

    #[test]
    fn dates_are_written_in_one_form_and_read_in_three() {
        assert_eq!(http_date(MODIFIED.parse().unwrap()), OURS);
        for text in [OURS, "Sunday, 08-Mar-26 07:30:00 GMT", "Sun Mar  8 07:30:00 2026"] {
            assert_eq!(read_http_date(text).map(http_date).as_deref(), Some(OURS), "{text}");
        }
        for text in ["", "yesterday", "Mon, 08 Mar 2026 07:30:00 GMT", "2026-03-08T07:30:00Z"] {
            assert_eq!(read_http_date(text), None, "{text}");
        }
    }
}
