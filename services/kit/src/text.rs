//! Text that was checked when it came in: a value of one of these types is valid, and nothing below asks again.

use std::borrow::Cow;

use base::Tz;
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Not a [`Code`].
    #[error("must be 1 to 32 letters, digits, '_', '.' or '-'")]
    Code,
    /// Not a [`Sku`].
    #[error("must be 1 to 64 letters, digits, '_', '.', '/' or '-'")]
    Sku,
    /// Not a [`Reference`].
    #[error("must be 1 to 100 letters, digits, '_', '.', ':' or '-'")]
    Reference,
    /// Not a [`Text`].
    #[error("must be 1 to 200 characters, not blank and without control characters")]
    Text,
    /// Not a [`Zone`].
    #[error("must be an IANA time zone such as Europe/Berlin")]
    Zone,
}

macro_rules! checked_text {
    ($($(#[$doc:meta])* $kind:ident($pattern:tt, $longest:tt);)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema, sqlx::Type)]
        #[sqlx(transparent)]
        #[schema(value_type = String, pattern = $pattern, min_length = 1, max_length = $longest)]
        pub struct $kind(String);

        impl $kind {
            /// The text.
            pub fn as_str(&self) -> &str {
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

checked_text! {
    /// The code of a place: 1 to 32 letters, digits, `_`, `.` or `-`.
    Code("^[A-Za-z0-9_.-]+$", 32);
    /// What a product is ordered by: 1 to 64 letters, digits, `_`, `.`, `/` or `-`.
    Sku("^[A-Za-z0-9_./-]+$", 64);
    /// What a document is known by across services: 1 to 100 letters, digits, `_`, `.`, `:` or `-`,
    /// so that it can stand in a path as it is.
    Reference("^[A-Za-z0-9_.:-]+$", 100);
    /// A name that people read: 1 to 200 characters, not blank, without control characters.
    Text("\\S", 200);
    /// An IANA time zone, such as `Europe/Berlin`.
    Zone("^[A-Za-z0-9_+/-]+$", 64);
}

impl Code {
    /// Checks a code.
    ///
    /// # Errors
    /// [`TextError::Code`].
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if shaped(text, 32, b"_.-") { Ok(Self(text.to_owned())) } else { Err(TextError::Code) }
    }
}

impl Sku {
    /// Checks a SKU.
    ///
    /// # Errors
    /// [`TextError::Sku`].
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if shaped(text, 64, b"_./-") { Ok(Self(text.to_owned())) } else { Err(TextError::Sku) }
    }
}

impl Reference {
    /// Checks a reference.
    ///
    /// # Errors
    /// [`TextError::Reference`].
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if shaped(text, 100, b"_.:-") { Ok(Self(text.to_owned())) } else { Err(TextError::Reference) }
    }
}

impl Text {
    /// Trims and checks a name.
    ///
    /// # Errors
    /// [`TextError::Text`].
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        let valid = (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if valid { Ok(Self(text.to_owned())) } else { Err(TextError::Text) }
    }
}

impl Zone {
    /// Checks a zone against the IANA names of the zone data that are compiled in.
    ///
    /// # Errors
    /// [`TextError::Zone`].
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let zone: Tz = text.parse().map_err(|_| TextError::Zone)?;
        Ok(Self(zone.name().to_owned()))
    }

    /// The zone itself.
    pub fn tz(&self) -> Tz {
        self.0.parse().unwrap_or(Tz::UTC)
    }
}

fn shaped(text: &str, longest: usize, marks: &[u8]) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_a_shape() {
        assert_eq!(Code::parse("NYC-01").unwrap().as_str(), "NYC-01");
        for bad in ["", "a b", "é", "a/b", &"x".repeat(33)] {
            assert_eq!(Code::parse(bad), Err(TextError::Code), "{bad:?}");
        }
        assert!(Sku::parse("TEA/1").is_ok() && Reference::parse("sale-1:2").is_ok());
        assert!(Sku::parse("TEA 1").is_err() && Reference::parse("a?b").is_err());
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
        for bad in ["", "Mars/Olympus", "+02:00"] {
            assert_eq!(Zone::parse(bad), Err(TextError::Zone), "{bad:?}");
        }
    }
}
