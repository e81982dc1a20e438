//! A small company for tests of the three services, opened through the gateway, apart from every other test's.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Api, Builder, Reply, Stack, wait_until};
use uuid::Uuid;

/// How long a busy machine may take to decide; far beyond what it needs, so that it only ends a broken test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The three services behind the gateway, without reporting, which they do not need.
pub(crate) async fn services(builder: Builder) -> Stack {
    builder.only(&["inventory", "ecommerce", "retail"]).start().await
}

/// [`services`], once for all tests that break nothing.
pub(crate) async fn shared_services() -> &'static Stack {
    static SHARED: tokio::sync::OnceCell<Stack> = tokio::sync::OnceCell::const_new();
    SHARED.get_or_init(|| services(Stack::builder())).await
}

/// One store with registers and stock, a warehouse for the online shop, products.
pub(crate) struct Shop {
    pub pos: Api,
    pub storefront: Api,
    pub backoffice: Api,
    /// Unique to this shop; begins all its codes.
    pub code: String,
    pub store_id: i64,
    pub register_id: i64,
    /// Inventory's location of the store.
    pub location_id: i64,
    pub products: Vec<i64>,
}

impl Shop {
    /// Opens a store with `products` products at 10.00 each, cost 4.00, of which `on_hand` lie in the store and as
    /// many in the warehouse.
    pub(crate) async fn open(stack: &Stack, products: usize, on_hand: i64) -> Self {
        let code = Uuid::new_v4().simple().to_string().split_off(24).to_uppercase();
        Self::named(stack, &code, products, on_hand).await
    }

    /// The same with a code of the test's choice.
    pub(crate) async fn named(stack: &Stack, code: &str, products: usize, on_hand: i64) -> Self {
        let code = code.to_owned();
        let backoffice = stack.api("backoffice");
        let store = json!({"code": code, "name": "Test store", "city": "Testville", "time_zone": "America/New_York"});
        let store_id = id(&backoffice.post_json("/retail/api/v1/stores", &store, 201).await);
        let register_id = id(&backoffice
            .post_json("/retail/api/v1/registers", &json!({"store_id": store_id, "number": 1}), 201)
            .await);
        let category =
            backoffice.post_json("/inventory/api/v1/categories", &json!({"name": format!("Tea {code}")}), 201).await;
        let mut ids = Vec::new();
        let mut stock = "sku,location_code,on_hand\n".to_owned();
        for number in 0..products {
            let sku = format!("{code}-{number}");
            let product = json!({"sku": sku, "name": format!("Tea no. {number}"), "category_id": category["id"],
                "unit_price_cents": 1000, "unit_cost_cents": 400, "reorder_point": 5, "active": true});
            ids.push(id(&backoffice.post_json("/inventory/api/v1/products", &product, 201).await));
            stock.push_str(&format!("{sku},{code},{on_hand}\n{sku},WH,{on_hand}\n"));
        }
        let location = json!({"code": code, "name": "Stock room", "kind": "store", "store_id": store_id});
        let location_id = id(&backoffice.post_json("/inventory/api/v1/locations", &location, 201).await);
        // Online orders ship from the first warehouse, so all tests share one.
        let warehouse = json!({"code": "WH", "name": "Warehouse", "kind": "warehouse"});
        let made = backoffice.post("/inventory/api/v1/locations", &warehouse).await;
        assert!([201, 409].contains(&made.status), "{}", made.text());
        let report = backoffice.import("/inventory/api/v1/stock/import", stock).await;
        assert_eq!(report["refused"], 0, "{report}");
        let (pos, storefront) = (stack.api("pos"), stack.api("storefront"));
        Self { pos, storefront, backoffice, code, store_id, register_id, location_id, products: ids }
    }

    /// The body of a sale of `quantity` of one product.
    pub(crate) fn sale(&self, product_id: i64, quantity: i64) -> Value {
        json!({"store_id": self.store_id, "register_id": self.register_id,
            "lines": [{"product_id": product_id, "quantity": quantity}]})
    }

    /// Sells and must succeed; the sale.
    pub(crate) async fn sell(&self, product_id: i64, quantity: i64) -> Value {
        post(&self.pos, "/retail/api/v1/sales", &self.sale(product_id, quantity)).await.expect(201).json()
    }

    /// A cart of a new customer with `quantity` of one product; its id.
    pub(crate) async fn cart(&self, product_id: i64, quantity: i64) -> i64 {
        let customer = json!({"name": "Ann Other", "email": format!("{}@example.com", Uuid::new_v4().simple())});
        let customer = self.storefront.post_json("/ecommerce/api/v1/customers", &customer, 201).await;
        let cart =
            self.storefront.post_json("/ecommerce/api/v1/carts", &json!({"customer_id": customer["id"]}), 201).await;
        let item = json!({"product_id": product_id, "quantity": quantity});
        self.storefront.post_json(&format!("/ecommerce/api/v1/carts/{}/items", id(&cart)), &item, 201).await;
        id(&cart)
    }

    /// Pieces of a product in the store.
    pub(crate) async fn on_hand(&self, product_id: i64) -> i64 {
        let path = format!("/inventory/api/v1/stock?product_id={product_id}&location_id={}", self.location_id);
        let page = self.backoffice.get_json(&path).await;
        page["items"][0]["on_hand"].as_i64().unwrap_or_else(|| panic!("no stock in {page}"))
    }
}

/// The `id` of a document.
#[track_caller]
pub(crate) fn id(document: &Value) -> i64 {
    document["id"].as_i64().unwrap_or_else(|| panic!("no id in {document}"))
}

/// POST with an `Idempotency-Key`, once.
pub(crate) async fn post_once(api: &Api, path: &str, key: &str, body: &Value) -> Reply {
    api.call(Method::POST, path).header("Idempotency-Key", key).json(body).send().await
}

/// POST with an `Idempotency-Key` until there is a yes or a no: what a till does that hears 503 or 202 from a busy system.
pub(crate) async fn post_with_key(api: &Api, path: &str, key: &str, body: &Value) -> Reply {
    wait_until("a decision", PATIENCE, async || {
        let reply = post_once(api, path, key, body).await;
        (![202, 503].contains(&reply.status)).then_some(reply)
    })
    .await
}

/// [`post_with_key`] with a key of its own.
pub(crate) async fn post(api: &Api, path: &str, body: &Value) -> Reply {
    post_with_key(api, path, &Uuid::new_v4().to_string(), body).await
}

/// The code at the end of a problem's type.
pub(crate) fn problem_code(reply: &Reply) -> String {
    reply.problem().and_then(|kind| kind.rsplit('/').next().map(str::to_owned)).unwrap_or_default()
}
