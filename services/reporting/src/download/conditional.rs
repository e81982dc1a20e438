//! Conditional requests (RFC 9110, section 13): has the client what we would send?

use axum::http::{HeaderMap, HeaderName, header};
use chrono::{DateTime, Utc};

/// A moment as HTTP writes it, to the second.
#[must_use]
pub fn http_date(moment: DateTime<Utc>) -> String {
    moment.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Whether one of the entity tags that the client knows is ours; `None` when it names none.
///
/// The comparison is weak, as `If-None-Match` asks for.
#[must_use]
pub fn knows(request: &HeaderMap, etag: &str) -> Option<bool> {
    let strip = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let mut tags = texts(request, header::IF_NONE_MATCH).peekable();
    tags.peek()?;
    Some(tags.flat_map(|list| list.split(',')).any(|tag| tag.trim() == "*" || strip(tag) == strip(etag)))
}

/// Whether a 304 says it all. Entity tags decide where the client has one; a date only if it is exactly ours.
///
/// Not "or later": the rows that a URL means (`yesterday`) may be older than those it meant before.
#[must_use]
pub fn is_unchanged(request: &HeaderMap, etag: &str, modified: DateTime<Utc>) -> bool {
    knows(request, etag).unwrap_or_else(|| {
        let mut dates = texts(request, header::IF_MODIFIED_SINCE);
        dates.any(|date| DateTime::parse_from_rfc2822(date).is_ok_and(|it| it.timestamp() == modified.timestamp()))
    })
}

fn texts(request: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    request.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: HeaderName, value: &str) -> bool {
        let request = HeaderMap::from_iter([(name, value.parse().unwrap())]);
        is_unchanged(&request, "\"a\"", "2026-03-08T07:30:00.5Z".parse().unwrap())
    }

    #[test]
    fn tags_decide_and_a_date_must_be_ours() {
        for (value, unchanged) in
            [("\"a\"", true), ("\"b\", W/\"a\"", true), ("*", true), ("\"b\"", false), ("a", false)]
        {
            assert_eq!(asked(header::IF_NONE_MATCH, value), unchanged, "{value}");
        }
        for (value, unchanged) in
            [("Sun, 08 Mar 2026 07:30:00 GMT", true), ("Sun, 08 Mar 2026 07:30:01 GMT", false), ("yesterday", false)]
        {
            assert_eq!(asked(header::IF_MODIFIED_SINCE, value), unchanged, "{value}");
        }
        assert_eq!(http_date("2026-03-08T07:30:00.5Z".parse().unwrap()), "Sun, 08 Mar 2026 07:30:00 GMT");
        let mut both = HeaderMap::from_iter([(header::IF_NONE_MATCH, "\"b\"".parse().unwrap())]);
        both.insert(header::IF_MODIFIED_SINCE, "Sun, 08 Mar 2026 07:30:00 GMT".parse().unwrap());
        assert!(!is_unchanged(&both, "\"a\"", "2026-03-08T07:30:00Z".parse().unwrap()));
    }
}
