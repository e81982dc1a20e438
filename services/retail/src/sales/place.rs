//! Where a document happens: a register, the store around it, and the place where the store's stock lies.

use kit::error::ApiError;
use kit::id::{LocationId, ProductId, StoreId};
use kit::stock::Validated;

use crate::App;
use crate::ids::RegisterId;

/// A register that may take documents, and the store around it.
#[derive(Debug)]
pub(super) struct Place {
    pub store_id: StoreId,
    pub store_code: String,
    pub time_zone: String,
    pub register_id: RegisterId,
    pub register_number: i32,
    store_active: bool,
    register_active: bool,
}

/// The register with its store.
///
/// # Errors
/// 422 for no such register, 409 for an inactive one.
pub(super) async fn place(app: &App, register_id: RegisterId) -> Result<Place, ApiError> {
    let place: Place = sqlx::query_as!(
        Place,
        "SELECT s.id AS store_id, s.code AS store_code, s.time_zone, r.id AS register_id, r.number AS register_number, \
         s.active AS store_active, r.active AS register_active \
         FROM registers r JOIN stores s ON s.id = r.store_id WHERE r.id = $1 AND NOT r.deleted",
        register_id.0
    )
    .fetch_optional(&app.db)
    .await?
    .ok_or_else(|| ApiError::invalid("register_id", format!("there is no register {register_id}")))?;
    if !place.store_active {
        return Err(ApiError::conflict("store-inactive", format!("store {} is closed", place.store_code)));
    }
    if !place.register_active {
        return Err(ApiError::conflict("register-inactive", format!("register {register_id} is out of use")));
    }
    Ok(place)
}

/// Asks Inventory about products at a store.
///
/// # Errors
/// 503 where it is silent; nothing is stored yet.
pub(super) async fn ask(app: &App, place: &Place, products: &[ProductId]) -> Result<Validated, ApiError> {
    let mut distinct = products.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    app.outbox.validate(&distinct, Some(place.store_id)).await
}

/// Where the store's stock lies.
pub(super) fn location_of(place: &Place, validated: &Validated) -> Result<LocationId, ApiError> {
    validated.location_id.ok_or_else(|| {
        let detail =
            format!("Inventory has no stock location for store {}; create one with its store_id", place.store_code);
        ApiError::conflict("no-stock-location", detail)
    })
}
