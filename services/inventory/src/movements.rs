//! Stock movements: documents that change what is on hand, each decided once.

mod adjust;
mod apply;
mod document;
mod import;
mod list;
mod refusal;
mod reverse;
mod withdraw;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list_movements, apply::create_movements))
        .routes(routes!(document::get_document))
        .routes(routes!(reverse::reverse_document))
        .routes(routes!(withdraw::withdraw_import))
}

/// The bulk import, which streams.
pub(crate) fn imports() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import::import_movements))
}

/// Most pieces that one line may move, either way; with the bound on prices it keeps every amount within 64 bits.
pub(crate) const MAX_QUANTITY: i64 = 10_000_000;

/// Why stock moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum Reason {
    /// Sold: takes.
    Sale,
    /// Came back from a customer: gives.
    Return,
    /// Came from a supplier: gives.
    Replenishment,
    /// Counted anew: takes or gives.
    Adjustment,
    /// To or from another location: takes or gives.
    Transfer,
}

impl Reason {
    /// The text of the column.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Return => "return",
            Self::Replenishment => "replenishment",
            Self::Adjustment => "adjustment",
            Self::Transfer => "transfer",
        }
    }

    /// Whether a quantity of this sign can have this reason.
    pub(crate) fn allows(self, quantity: i64) -> bool {
        match self {
            Self::Sale => quantity < 0,
            Self::Return | Self::Replenishment => quantity > 0,
            Self::Adjustment | Self::Transfer => quantity != 0,
        }
    }
}
