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

/// What `pieces` of a whole of `of` pieces, above zero, carry of an amount in minor units: cumulative, so that the shares of
/// pieces that go one after the other add up to the amount to the cent.
///
/// # Panics
/// There are more pieces than the whole has, and what they would carry does not fit 64 bits.
#[must_use]
pub fn share(amount: i64, pieces: i64, of: i64) -> i64 {
    let share = i128::from(amount) * i128::from(pieces) / i128::from(of);
    i64::try_from(share).expect("a share is not above the whole, which is an i64")
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
    fn shares_add_up_to_the_cent() {
        assert_eq!([0, 1, 2, 3].map(|pieces| share(200, pieces, 3)), [0, 66, 133, 200]);
        assert_eq!(share(Discount::MAX.get(), Pieces::MAX.get(), Pieces::MAX.get()), Discount::MAX.get());
    }

    #[test]
    fn the_dearest_line_stays_within_64_bits() {
        assert_eq!(Pieces::MAX.times(Price::MAX), Discount::MAX.get());
    }
}
