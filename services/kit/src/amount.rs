//! Amounts that were checked when they came in, as [`crate::text`] does for texts. The bounds are chosen so that
//! pieces times a price never leave 64 bits.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a number is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be from {least} to {most}")]
pub struct OutOfBounds {
    least: i64,
    most: i64,
}

macro_rules! bounded {
    ($($(#[$doc:meta])* $kind:ident($least:tt, $most:tt);)+) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema, sqlx::Type,
        )]
        #[serde(try_from = "i64")]
        #[sqlx(transparent)]
        #[schema(value_type = i64, minimum = $least, maximum = $most)]
        pub struct $kind(i64);

        impl $kind {
            /// The largest there is.
            pub const MAX: Self = Self($most);

            /// The number.
            pub fn get(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<i64> for $kind {
            type Error = OutOfBounds;

            fn try_from(number: i64) -> Result<Self, OutOfBounds> {
                if ($least..=$most).contains(&number) {
                    Ok(Self(number))
                } else {
                    Err(OutOfBounds { least: $least, most: $most })
                }
            }
        }
    )+};
}

bounded! {
    /// Pieces on one line of a document.
    Pieces(1, 1_000_000_i64);
    /// The price or cost of one piece, in minor units.
    Price(0, 100_000_000_000_i64);
    /// What is taken off a line, in minor units: at most the dearest line's price.
    Discount(0, 100_000_000_000_000_000_i64);
    /// With fewer pieces than this it is time to order.
    ReorderPoint(0, 10_000_000_i64);
}

impl Pieces {
    /// What these pieces cost at this price, in minor units.
    pub fn times(self, price: Price) -> i64 {
        self.0 * price.0
    }
}

impl Discount {
    /// Nothing taken off.
    pub const NONE: Self = Self(0);
}

impl Default for Discount {
    fn default() -> Self {
        Self::NONE
    }
}

impl ReorderPoint {
    /// Never time to order.
    pub const NONE: Self = Self(0);
}

impl Default for ReorderPoint {
    fn default() -> Self {
        Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_bounds_do_not_come_in() {
        for (text, valid) in [("1", true), ("1000000", true), ("0", false), ("-1", false), ("1000001", false)] {
            assert_eq!(serde_json::from_str::<Pieces>(text).is_ok(), valid, "{text}");
        }
        let error = serde_json::from_str::<Price>("-1").unwrap_err().to_string();
        assert!(error.starts_with("must be from 0 to 100000000000"), "{error}");
        assert!(serde_json::from_str::<Price>("1.5").is_err() && serde_json::from_str::<Price>("1e30").is_err());
    }

    #[test]
    fn the_dearest_line_stays_within_64_bits() {
        assert_eq!(Pieces::MAX.times(Price::MAX), Discount::MAX.get());
    }
}
