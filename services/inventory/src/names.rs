//! From the names that people and files use (SKU, location code) to ids, for a batch of an import at once.

use std::collections::HashMap;

use kit::id::{LocationId, ProductId};
use kit::import::Fault;
use kit::text::{Code, Sku};
use sqlx::PgConnection;

/// The ids of a batch's products and locations.
pub(crate) struct Names {
    products: HashMap<String, ProductId>,
    locations: HashMap<String, LocationId>,
}

impl Names {
    /// Looks the names up.
    pub(crate) async fn look_up<'a>(
        db: &mut PgConnection,
        names: impl Iterator<Item = (&'a Sku, &'a Code)> + Clone,
    ) -> Result<Self, sqlx::Error> {
        let mut skus: Vec<&str> = names.clone().map(|(sku, _)| sku.as_str()).collect();
        let mut codes: Vec<&str> = names.map(|(_, code)| code.as_str()).collect();
        for given in [&mut skus, &mut codes] {
            given.sort_unstable();
            given.dedup();
        }
        let products: Vec<(String, ProductId)> =
            sqlx::query_as("SELECT sku, id FROM products WHERE sku = ANY($1) AND NOT deleted")
                .bind(&skus)
                .fetch_all(&mut *db)
                .await?;
        let locations: Vec<(String, LocationId)> =
            sqlx::query_as("SELECT code, id FROM locations WHERE code = ANY($1) AND NOT deleted")
                .bind(&codes)
                .fetch_all(db)
                .await?;
        Ok(Self { products: products.into_iter().collect(), locations: locations.into_iter().collect() })
    }

    /// The ids of a product and a location, or why there are none.
    pub(crate) fn ids(&self, sku: &Sku, code: &Code) -> Result<(ProductId, LocationId), Fault> {
        let product = self.products.get(sku.as_str());
        let product = product.ok_or_else(|| Fault::new("sku", format!("there is no product {}", sku.as_str())))?;
        let location = self.locations.get(code.as_str());
        let location =
            location.ok_or_else(|| Fault::new("location_code", format!("there is no location {}", code.as_str())))?;
        Ok((*product, *location))
    }
}
