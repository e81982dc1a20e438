//! Inventory: nothing is lost or doubled, whatever is repeated, delayed or tried at once.

mod away;
mod bad_input;
mod clerk;
mod import;
mod taking;

use serde_json::{Value, json};
use system_tests::{Api, Builder, Stack};
use tokio::sync::OnceCell;

/// Inventory with its database and nothing else: it needs no other service to start and to serve.
async fn alone(builder: Builder) -> Stack {
    let mut stack = builder.start_databases().await;
    stack.restart("inventory").await;
    stack
}

/// One for all tests that only add data of their own.
async fn inventory() -> Api {
    static SHARED: OnceCell<Stack> = OnceCell::const_new();
    SHARED.get_or_init(|| alone(Stack::builder())).await.direct("inventory")
}

/// A product and a location of a test's own, with opening stock.
struct Shelf {
    api: Api,
    product: i64,
    location: i64,
    sku: String,
    code: String,
}

/// Letters that no other test uses.
fn unique() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

async fn category(api: &Api) -> i64 {
    let body = json!({"name": format!("Category {}", unique())});
    api.post_json("/api/v1/categories", &body, 201).await["id"].as_i64().unwrap()
}

async fn product(api: &Api, category: i64) -> (i64, String) {
    let sku = unique();
    let body =
        json!({"sku": sku, "name": "Thing", "category_id": category, "unit_price_cents": 999, "unit_cost_cents": 400});
    (api.post_json("/api/v1/products", &body, 201).await["id"].as_i64().unwrap(), sku)
}

async fn warehouse(api: &Api) -> (i64, String) {
    let code = unique();
    let body = json!({"code": code, "name": "Warehouse", "kind": "warehouse"});
    (api.post_json("/api/v1/locations", &body, 201).await["id"].as_i64().unwrap(), code)
}

impl Shelf {
    async fn with(pieces: i64) -> Self {
        let api = inventory().await;
        let (product, sku) = product(&api, category(&api).await).await;
        let (location, code) = warehouse(&api).await;
        let shelf = Self { api, product, location, sku, code };
        if pieces > 0 {
            let reference = format!("in-{}", unique());
            shelf.api.post_json("/api/v1/stock-movements", &shelf.asks(&reference, "replenishment", pieces), 201).await;
        }
        shelf
    }

    /// A document of one line.
    fn asks(&self, reference: &str, reason: &str, quantity: i64) -> Value {
        json!({
            "reference": reference, "reason": reason, "location_id": self.location,
            "occurred_at": "2026-03-08T07:30:00.123456Z", "time_zone": "America/New_York",
            "lines": [{"product_id": self.product, "quantity": quantity}],
        })
    }

    async fn on_hand(&self) -> i64 {
        let path = format!("/api/v1/stock?product_id={}&location_id={}", self.product, self.location);
        self.api.get_json(&path).await["items"][0]["on_hand"].as_i64().unwrap_or(0)
    }

    /// All movements of the product: how many, and their sum.
    async fn moved(&self) -> (usize, i64) {
        let movements = self.api.get_all(&format!("/api/v1/stock-movements?product_id={}", self.product)).await;
        (movements.len(), movements.iter().map(|movement| movement["quantity"].as_i64().unwrap()).sum())
    }
}
