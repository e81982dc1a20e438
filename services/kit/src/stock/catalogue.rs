//! The products that an import names, by SKU or id, as Inventory knows them.

use std::collections::HashMap;

use super::client::{self, Product};
use crate::client::GatewayClient;
use crate::error::{ApiError, RETRY_AFTER};
use crate::id::ProductId;
use crate::import::Refusal;

/// Products asked for in one call.
const MOST: usize = 500;

/// What is known so far; kept for one import.
pub struct Catalogue {
    gateway: GatewayClient,
    by_sku: HashMap<String, Option<Known>>,
    /// Inventory did not answer.
    away: bool,
}

/// A product as Inventory knows it.
#[derive(Debug, Clone)]
pub struct Known {
    pub product_id: ProductId,
    pub name: String,
    pub category: String,
    pub unit_price_cents: i64,
    pub unit_cost_cents: i64,
}

impl Catalogue {
    pub(super) fn new(gateway: GatewayClient) -> Self {
        Self { gateway, by_sku: HashMap::new(), away: false }
    }

    /// Asks for what is not known yet.
    ///
    /// # Errors
    /// 503 where Inventory does not answer and a product is named by its SKU alone. Ids that a file gives itself need no
    /// answer: history may be told of a product that Inventory never had.
    pub async fn meet(&mut self, products: Vec<(Option<ProductId>, String)>) -> Result<(), ApiError> {
        let new: Vec<(Option<ProductId>, String)> =
            products.into_iter().filter(|(_, sku)| !self.by_sku.contains_key(sku)).collect();
        for part in new.chunks(MOST) {
            let needed = part.iter().any(|(id, _)| id.is_none());
            if self.away && !needed {
                return Ok(());
            }
            let skus: Vec<&str> = part.iter().map(|(_, sku)| sku.as_str()).collect();
            match client::look_up(&self.gateway, &skus).await {
                Ok(found) => {
                    self.by_sku.extend(part.iter().map(|(_, sku)| (sku.clone(), None)));
                    found.items.into_iter().for_each(|product| self.know(product));
                }
                Err(error) if needed => {
                    return Err(ApiError::Unavailable {
                        detail:
                            "Inventory does not answer, and products are named by SKU alone; nothing was imported, \
                                 send the file again"
                                .to_owned(),
                        retry_after: RETRY_AFTER,
                        extensions: serde_json::Map::new(),
                        source: Some(Box::new(error)),
                    });
                }
                Err(_) => self.away = true,
            }
        }
        Ok(())
    }

    fn know(&mut self, product: Product) {
        let known = Known {
            product_id: product.product_id,
            name: product.name,
            category: product.category,
            unit_price_cents: product.unit_price_cents.get(),
            unit_cost_cents: product.unit_cost_cents.get(),
        };
        self.by_sku.insert(product.sku, Some(known));
    }

    /// The product's id, and what Inventory knows of it.
    ///
    /// # Errors
    /// Id and SKU belong to two products, or the SKU alone to none.
    pub fn resolve(&self, id: Option<ProductId>, sku: &str) -> Result<(ProductId, Option<&Known>), Refusal> {
        let known = self.by_sku.get(sku).and_then(Option::as_ref);
        match (id, known) {
            (None, Some(known)) => Ok((known.product_id, Some(known))),
            (None, None) => Err(Refusal::new("sku", format!("Inventory knows no product {sku}"))),
            (Some(id), Some(known)) if known.product_id == id => Ok((id, Some(known))),
            (Some(id), Some(known)) => {
                let reason =
                    format!("is {id}, but {sku} is product {} at Inventory; both must agree", known.product_id);
                Err(Refusal::new("product_id", reason))
            }
            // History may be told of a product that Inventory never had under this SKU.
            (Some(id), None) => Ok((id, None)),
        }
    }
}
