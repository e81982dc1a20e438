//! The `Range` and `If-Range` of a request (RFC 9110, section 14): one range of bytes, or the whole.

use chrono::{DateTime, Utc};

use super::conditional;

/// What part of a file a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// The bytes from `first` up to and with `last`.
    Part {
        /// First byte, from 0.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// A range beyond the end.
    Unsatisfiable,
}

/// Read `Range` for a file of `length` bytes.
///
/// Several ranges and what is no byte range are ignored, as the RFC allows: the answer is then the whole.
#[must_use]
pub fn wanted(header: Option<&str>, length: u64) -> Wanted {
    let Some((unit, spec)) = header.and_then(|text| text.split_once('=')) else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (Number::Is(first), Number::Absent) if first < length => Wanted::Part { first, last: length - 1 },
        (Number::Is(first), Number::Is(last)) if first <= last && first < length => {
            Wanted::Part { first, last: last.min(length - 1) }
        }
        (Number::Absent, Number::Is(tail)) if tail > 0 && length > 0 => {
            Wanted::Part { first: length.saturating_sub(tail), last: length - 1 }
        }
        (Number::Is(first), Number::Is(last)) if first > last => Wanted::Whole,
        (Number::Wrong, _) | (_, Number::Wrong) | (Number::Absent, Number::Absent) => Wanted::Whole,
        _ => Wanted::Unsatisfiable,
    }
}

/// Whether `If-Range` lets the range through (RFC 9110, 13.1.5).
///
/// It does where it is absent, exactly our strong entity tag, or exactly our date where that is a strong validator too.
/// A date is one only where nothing else was ever sent under the same name and could not have been within the same
/// second; `lasting` is then the date, else none.
#[must_use]
pub fn may_be_partial(if_range: Option<&str>, etag: &str, lasting: Option<DateTime<Utc>>) -> bool {
    let Some(text) = if_range.map(str::trim) else { return true };
    let is_ours = |date: DateTime<Utc>| lasting.is_some_and(|lasting| lasting.timestamp() == date.timestamp());
    (text == etag && !text.starts_with("W/")) || conditional::read_http_date(text).is_some_and(is_ours)
}

enum Number {
    Absent,
    Is(u64),
    Wrong,
}

fn number(text: &str) -> Number {
    if text.is_empty() {
        return Number::Absent;
    }
    // Only digits: `parse` alone would take a sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Number::Wrong;
    }
    text.parse().map_or(Number::Wrong, Number::Is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_hundred_bytes() {
        let part = |first, last| Wanted::Part { first, last };
        for (header, expected) in [
            ("bytes=0-9", part(0, 9)),
            ("bytes=90-", part(90, 99)),
            ("bytes=90-1000", part(90, 99)),
            ("bytes=-10", part(90, 99)),
            ("bytes=-1000", part(0, 99)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=9-3", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=99999999999999999999-", Wanted::Whole),
            ("items=0-9", Wanted::Whole),
            ("bytes", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(header), 100), expected, "{header}");
        }
        assert_eq!(wanted(None, 100), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=0-0"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn a_range_of_another_version_is_refused() {
        let lasting = Some("2026-03-08T07:30:00.5Z".parse().unwrap());
        for (if_range, lasting, partial) in [
            (None, None, true),
            (Some("\"a\""), None, true),
            (Some("\"b\""), None, false),
            (Some("W/\"a\""), None, false),
            (Some("Sun, 08 Mar 2026 07:30:00 GMT"), lasting, true),
            (Some("Sun, 08 Mar 2026 07:30:01 GMT"), lasting, false),
            // Rows that are computed anew may have been others in the same second.
            (Some("Sun, 08 Mar 2026 07:30:00 GMT"), None, false),
            (Some("soon"), lasting, false),
        ] {
            assert_eq!(may_be_partial(if_range, "\"a\"", lasting), partial, "{if_range:?}");
        }
        assert!(!may_be_partial(Some("W/\"a\""), "W/\"a\"", None), "a weak tag promises no bytes");
    }
}
