//! The `Range` and `If-Range` of a request (RFC 9110, section 14): one range of bytes, or the whole.

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

/// Whether `If-Range` lets the range through: absent, or exactly our (strong) entity tag.
#[must_use]
pub fn may_be_partial(if_range: Option<&str>, etag: &str) -> bool {
    if_range.is_none_or(|text| text.trim() == etag)
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
        assert!(may_be_partial(None, "\"a\""));
        assert!(may_be_partial(Some("\"a\""), "\"a\""));
        assert!(!may_be_partial(Some("\"b\""), "\"a\""));
        assert!(!may_be_partial(Some("W/\"a\""), "\"a\""));
    }
}
