//! Text that was checked when it came in: a value of one of these types is valid.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de};

/// A store's code: 1 to 32 letters, digits, `_`, `.` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Code(String);

/// A name that people read: 1 to 200 characters, not blank, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Text(String);

/// An IANA time zone, such as `Europe/Berlin`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Zone(String);

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TextError {
    #[error("must be 1 to 32 letters, digits, '_', '.' or '-'")]
    Code,
    #[error("must be 1 to 200 characters, not blank and without control characters")]
    Text,
    #[error("must be an IANA time zone such as Europe/Berlin")]
    Zone,
}

impl Code {
    /// Checks a code.
    ///
    /// # Errors
    /// [`TextError::Code`].
    pub(crate) fn parse(text: &str) -> Result<Self, TextError> {
        let valid = (1..=32).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
        if valid { Ok(Self(text.to_owned())) } else { Err(TextError::Code) }
    }
}

impl Text {
    /// Trims and checks a name.
    ///
    /// # Errors
    /// [`TextError::Text`].
    pub(crate) fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        let valid = (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if valid { Ok(Self(text.to_owned())) } else { Err(TextError::Text) }
    }
}

impl Zone {
    /// Checks a zone.
    ///
    /// # Errors
    /// [`TextError::Zone`].
    pub(crate) fn parse(text: &str) -> Result<Self, TextError> {
        let zone: chrono_tz::Tz = text.parse().map_err(|_| TextError::Zone)?;
        Ok(Self(zone.name().to_owned()))
    }
}

macro_rules! checked_text {
    ($($kind:ident),+) => {$(
        impl $kind {
            /// The text.
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(de::Error::custom)
            }
        }
    )+};
}
checked_text!(Code, Text, Zone);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_a_shape() {
        assert_eq!(Code::parse("NYC-01").unwrap().as_str(), "NYC-01");
        for bad in ["", "a b", "é", &"x".repeat(33)] {
            assert_eq!(Code::parse(bad), Err(TextError::Code), "{bad:?}");
        }
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(Text::parse("  Zürich ").unwrap().as_str(), "Zürich");
        for bad in ["", "   ", "a\nb", "nul\0", &"x".repeat(201)] {
            assert_eq!(Text::parse(bad), Err(TextError::Text), "{bad:?}");
        }
    }

    #[test]
    fn zones_are_iana_names() {
        assert_eq!(Zone::parse("America/New_York").unwrap().as_str(), "America/New_York");
        for bad in ["", "Mars/Olympus", "EST5EDT4", "+02:00"] {
            assert_eq!(Zone::parse(bad), Err(TextError::Zone), "{bad:?}");
        }
    }
}
