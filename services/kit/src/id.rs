//! Typed ids: a product's number where a location's belongs does not compile.
//!
//! Those that travel between services stand here; each service declares its own with [`ids!`](crate::ids).

/// Declares ids: one number each in PostgreSQL and on the wire, a type of its own in the program.
#[macro_export]
macro_rules! ids {
    ($($(#[$doc:meta])* $kind:ident;)+) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize, utoipa::ToSchema, sqlx::Type,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        #[schema(value_type = i64)]
        pub struct $kind(pub i64);

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<i64> for $kind {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }

        impl From<$kind> for i64 {
            fn from(id: $kind) -> Self {
                id.0
            }
        }

        impl From<$kind> for serde_json::Value {
            fn from(id: $kind) -> Self {
                id.0.into()
            }
        }
    )+};
}

ids! {
    /// A product of Inventory.
    ProductId;
    /// A place of Inventory where stock lies: a warehouse, or the stock room of a store.
    LocationId;
    /// A store of Retail.
    StoreId;
}
