//! Typed ids: a product's number where a location's belongs does not compile.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! ids {
    ($($(#[$doc:meta])* $kind:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        #[schema(value_type = i64)]
        pub struct $kind(pub i64);

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

ids! {
    /// A category.
    CategoryId;
    /// A product.
    ProductId;
    /// A warehouse, or the stock room of a store.
    LocationId;
    /// One line of a movement document.
    MovementId;
    /// A store of Retail; Inventory knows no more of it.
    StoreId;
}
