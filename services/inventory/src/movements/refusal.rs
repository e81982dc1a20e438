//! Why a movement document was refused: stored with its reference, and answered again to a repeat.

use kit::error::ApiError;
use kit::id::{LocationId, ProductId};
use serde::{Deserialize, Serialize};

/// A refusal, as kept in `movement_documents.refusal`. Variants may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub(super) enum Refusal {
    /// Less is on hand than was asked for.
    InsufficientStock { short: Vec<Short> },
    /// The location would hold more than can be counted.
    TooMuchStock { product_id: ProductId },
    /// A line names a product that does not exist.
    UnknownProduct { line: usize, product_id: ProductId },
    /// The document names a location that does not exist.
    UnknownLocation { location_id: LocationId },
}

/// A product of which there is not enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Short {
    pub(super) product_id: ProductId,
    /// Pieces asked for.
    pub(super) requested: i64,
    /// Pieces there were.
    pub(super) on_hand: i64,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::InsufficientStock { short } => {
                let products: Vec<String> = short
                    .iter()
                    .map(|short| {
                        format!("product {}: {} asked, {} left", short.product_id, short.requested, short.on_hand)
                    })
                    .collect();
                ApiError::conflict("insufficient-stock", format!("not enough on hand ({})", products.join("; ")))
                    .with("short", serde_json::json!(short))
            }
            Refusal::TooMuchStock { product_id } => ApiError::conflict(
                "too-much-stock",
                format!("product {product_id} would exceed what a location may hold"),
            ),
            Refusal::UnknownProduct { line, product_id } => {
                ApiError::invalid(format!("lines[{line}].product_id"), format!("there is no product {product_id}"))
            }
            Refusal::UnknownLocation { location_id } => {
                ApiError::invalid("location_id", format!("there is no location {location_id}"))
            }
        }
    }
}
