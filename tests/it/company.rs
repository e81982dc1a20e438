//! A company small enough to check by eye, built through the gateway as its own people would.

use base::Tz;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use system_tests::{Api, Stack};

/// The zone of its store.
pub(crate) fn toronto() -> Tz {
    "America/Toronto".parse().unwrap()
}

/// Two products, a warehouse, one store in Toronto with a register.
pub(crate) struct Company {
    pub(crate) store_id: i64,
    pub(crate) register_id: i64,
    /// 12.50 a piece, cost 7.25.
    pub(crate) lamp: i64,
    /// 0.99 a piece, cost 0.40.
    pub(crate) bulb: i64,
    pub(crate) shop_id: i64,
}

/// The store's zone, which is not UTC: its business day ends at 04:00 or 05:00 UTC.
pub(crate) const STORE_ZONE: &str = "America/Toronto";

impl Company {
    /// Founds it with `on_hand` pieces of each product in the store and in the warehouse.
    pub(crate) async fn found(stack: &Stack, on_hand: i64) -> Self {
        let office = stack.api("backoffice");
        let category = created(&office, "/inventory/api/v1/categories", &json!({"name": "Lighting"})).await;
        let lamp = product(&office, category, "LAMP-1", "Desk lamp", 1250, 725).await;
        let bulb = product(&office, category, "BULB-1", "Bulb", 99, 40).await;
        let store = json!({"code": "TOR1", "name": "Toronto Union", "city": "Toronto", "time_zone": STORE_ZONE});
        let store_id = created(&office, "/retail/api/v1/stores", &store).await;
        let register = json!({"store_id": store_id, "number": 1});
        let register_id = created(&office, "/retail/api/v1/registers", &register).await;
        let warehouse = json!({"code": "WH1", "name": "Warehouse", "kind": "warehouse"});
        let warehouse_id = created(&office, "/inventory/api/v1/locations", &warehouse).await;
        let shop = json!({"code": "TOR1", "name": "Toronto Union", "kind": "store", "store_id": store_id});
        let shop_id = created(&office, "/inventory/api/v1/locations", &shop).await;
        let company = Self { store_id, register_id, lamp, bulb, shop_id };
        if on_hand > 0 {
            for location in [warehouse_id, shop_id] {
                company.replenish(&office, location, on_hand).await;
            }
        }
        company
    }

    async fn replenish(&self, office: &Api, location: i64, pieces: i64) {
        let document = json!({
            "reference": format!("opening-{location}"), "reason": "replenishment", "location_id": location,
            "occurred_at": "2026-01-01T12:00:00Z", "time_zone": "UTC",
            "lines": [{"product_id": self.lamp, "quantity": pieces}, {"product_id": self.bulb, "quantity": pieces}],
        });
        let reply = office.post("/inventory/api/v1/stock-movements", &document).await;
        assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
    }

    /// Sells lamps and bulbs at the register; the sale as the till sees it.
    pub(crate) async fn sell(
        &self,
        till: &Api,
        at: DateTime<Utc>,
        lamps: i64,
        bulbs: i64,
        discount_cents: i64,
    ) -> Value {
        let sale = json!({
            "store_id": self.store_id, "register_id": self.register_id, "occurred_at": at,
            "lines": [
                {"product_id": self.lamp, "quantity": lamps, "discount_cents": discount_cents},
                {"product_id": self.bulb, "quantity": bulbs},
            ],
        });
        till.post_json("/retail/api/v1/sales", &sale, 201).await
    }
}

async fn product(office: &Api, category: i64, sku: &str, name: &str, price: i64, cost: i64) -> i64 {
    let body = json!({
        "sku": sku, "name": name, "category_id": category,
        "unit_price_cents": price, "unit_cost_cents": cost, "reorder_point": 5,
    });
    created(office, "/inventory/api/v1/products", &body).await
}

/// Creates a resource; its id.
pub(crate) async fn created(api: &Api, path: &str, body: &Value) -> i64 {
    api.post_json(path, body, 201).await["id"].as_i64().expect("an id")
}
