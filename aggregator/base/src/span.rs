//! Spans of time as people write them in configuration: `90s`, `5m`, `2h`, `35d`.

use std::time::Duration;

use serde::Deserialize;

/// A span of time as it stands in configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl Span {
    /// So many days.
    #[must_use]
    pub const fn days(days: u64) -> Self {
        Self(Duration::from_secs(days * 86_400))
    }

    /// So many minutes.
    #[must_use]
    pub const fn minutes(minutes: u64) -> Self {
        Self(Duration::from_secs(minutes * 60))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_span(&text).map(Self)
    }
}

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Read a span such as `5m`: a whole number of seconds, minutes, hours or days.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a span of time; write a number and a unit, such as 30s, 5m, 2h or 35d");
    let trimmed = text.trim();
    let (number, seconds) =
        UNITS.iter().find_map(|(unit, size)| Some((trimmed.strip_suffix(*unit)?, *size))).ok_or_else(wrong)?;
    let number: u64 = number.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// The shortest exact way to write a span: the largest unit that divides it.
#[must_use]
pub fn format_span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (unit, size) =
        UNITS.iter().find(|(_, size)| seconds >= *size && seconds.is_multiple_of(*size)).unwrap_or(&('s', 1));
    format!("{}{unit}", seconds / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_back() {
        for text in ["0s", "30s", "5m", "90m", "2h", "35d"] {
            assert_eq!(format_span(parse_span(text).unwrap()), text);
        }
    }

    #[test]
    fn what_is_no_span_is_refused_with_an_example() {
        for text in ["", "5", "m", "-1s", "1.5h", "5 minutes", "5mm", "99999999999999999999d"] {
            assert!(parse_span(text).unwrap_err().contains("such as"), "{text}");
        }
    }
}
