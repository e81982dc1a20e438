//! Every filter of every list finds what a clerk looks for and leaves it out where it should not be. What filters there
//! are is read from each service's own OpenAPI document, so that a new one cannot go without.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::Api;
use uuid::Uuid;

use crate::shop::{Shop, id, post, shared_services};

/// A filter, a value by which the known item is found, and one by which it is not.
type Case = (&'static str, String, String);

fn case(filter: &'static str, found: impl ToString, left_out: impl ToString) -> Case {
    (filter, found.to_string(), left_out.to_string())
}

/// What a moment's filters find: from it on, and before a later one.
fn moments(item: &Value) -> [Case; 2] {
    let (at, late) = (item["occurred_at"].as_str().unwrap(), "2999-01-01T00:00:00Z");
    [case("from", at, late), case("to", late, at)]
}

fn text(item: &Value, member: &str) -> String {
    match &item[member] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The document of one service, and how to ask it.
struct Service {
    api: Api,
    document: Value,
}

impl Service {
    async fn of(name: &str) -> Self {
        let api = shared_services().await.direct(name);
        let document = api.get_json("/openapi.json").await;
        Self { api, document }
    }

    async fn list(&self, collection: &str, filter: &str, value: &str) -> Vec<Value> {
        let path = format!("/api/v1/{collection}");
        let (mut items, mut after) = (Vec::new(), None::<String>);
        loop {
            let mut call = self.api.call(Method::GET, &path).query(&[(filter, value), ("limit", "500")]);
            if let Some(after) = &after {
                call = call.query(&[("after", after)]);
            }
            let page = call.send().await.expect(200).json();
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => return items,
            }
        }
    }

    /// Tries every filter of a collection; `key` names the members by which the known item is recognised.
    async fn check(&self, collection: &str, known: &Value, key: &[&str], cases: impl IntoIterator<Item = Case>) {
        let parameters = &self.document["paths"][format!("/api/v1/{collection}")]["get"]["parameters"];
        let mut left: BTreeSet<&str> = parameters
            .as_array()
            .unwrap_or_else(|| panic!("{collection} is not documented"))
            .iter()
            .filter(|it| it["in"] == "query")
            .filter_map(|it| it["name"].as_str())
            .filter(|name| !["limit", "after"].contains(name))
            .collect();
        for (filter, found, left_out) in cases {
            assert!(left.remove(filter), "{collection} has no filter {filter}");
            for (value, wanted) in [(&found, true), (&left_out, false)] {
                let items = self.list(collection, filter, value).await;
                let is_there = items.iter().any(|item| key.iter().all(|member| item[member] == known[member]));
                assert_eq!(is_there, wanted, "{collection}?{filter}={value} and {known}");
            }
        }
        assert!(left.is_empty(), "filters of {collection} that nothing tries: {left:?}");
    }
}

#[tokio::test]
async fn every_filter_of_inventory() {
    let service = Service::of("inventory").await;
    let shop = Shop::open(shared_services().await, 1, 2).await;
    let product = service.api.get_json(&format!("/api/v1/products/{}", shop.products[0])).await;
    let category = service.api.get_json(&format!("/api/v1/categories/{}", product["category_id"])).await;
    let location = service.api.get_json(&format!("/api/v1/locations/{}", shop.location_id)).await;
    let (sku, other) = (text(&product, "sku"), i64::MAX);
    service.check("categories", &category, &["id"], [case("name", text(&category, "name"), "Coffee")]).await;
    // Four lie in the two locations, and the reorder point is five.
    let cases = [
        case("sku", &sku, sku.to_lowercase() + "x"),
        case("q", sku.to_lowercase(), "%"),
        case("category_id", id(&category), other),
        case("active", true, false),
        case("below_reorder_point", true, false),
    ];
    service.check("products", &product, &["id"], cases).await;
    let cases = [
        case("code", &shop.code, "nowhere"),
        case("kind", "store", "warehouse"),
        case("store_id", shop.store_id, other),
        case("active", true, false),
    ];
    service.check("locations", &location, &["id"], cases).await;
    let stock = json!({"product_id": id(&product), "location_id": shop.location_id});
    let cases =
        [case("product_id", id(&product), other), case("location_id", shop.location_id, other), case("on_hand", 2, 0)];
    service.check("stock", &stock, &["product_id", "location_id"], cases).await;
    let sale = shop.sell(shop.products[0], 1).await;
    let movements = service.list("stock-movements", "reference", &text(&sale, "reference")).await;
    let moved = &movements[0];
    let cases = [
        case("reference", text(&sale, "reference"), "sale-nobody"),
        case("product_id", id(&product), other),
        case("location_id", shop.location_id, other),
        case("reason", "sale", "return"),
    ];
    service.check("stock-movements", moved, &["id"], cases.into_iter().chain(moments(moved))).await;
}

#[tokio::test]
async fn every_filter_of_retail() {
    let service = Service::of("retail").await;
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let (product, other) = (shop.products[0], i64::MAX);
    let store = service.api.get_json(&format!("/api/v1/stores/{}", shop.store_id)).await;
    let register = service.api.get_json(&format!("/api/v1/registers/{}", shop.register_id)).await;
    let cases = [
        case("code", &shop.code, "nowhere"),
        case("city", "Testville", "Ulm"),
        case("time_zone", "America/New_York", "UTC"),
        case("active", true, false),
        case("q", shop.code.to_lowercase(), "%"),
    ];
    service.check("stores", &store, &["id"], cases).await;
    let cases = [case("store_id", shop.store_id, other), case("number", 1, 2), case("active", true, false)];
    service.check("registers", &register, &["id"], cases).await;
    let sale = shop.sell(product, 2).await;
    let back = json!({"lines": [{"product_id": product, "quantity": 1}]});
    let path = format!("/retail/api/v1/sales/{}/returns", id(&sale));
    let back = post(&shop.pos, &path, &back).await.expect(201).json();
    let cases = [
        case("store_id", shop.store_id, other),
        case("register_id", shop.register_id, other),
        case("kind", "return", "sale"),
        case("status", "completed", "voided"),
        case("receipt_number", text(&back, "receipt_number"), text(&sale, "receipt_number")),
        case("reference", text(&back, "reference"), text(&sale, "reference")),
        case("product_id", product, other),
        case("original_sale_id", id(&sale), id(&back)),
        case("imported", false, true),
        case("business_day", text(&back, "business_day"), "2001-01-01"),
    ];
    service.check("sales", &back, &["id"], cases.into_iter().chain(moments(&back))).await;
}

#[tokio::test]
async fn every_filter_of_ecommerce() {
    let service = Service::of("ecommerce").await;
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let (product, other, mark) = (shop.products[0], i64::MAX, Uuid::new_v4().simple().to_string());
    let customer = json!({"reference": mark, "name": format!("Ann {mark}"), "email": format!("{mark}@example.com"),
        "city": "Ulm", "country": "DE"});
    let customer = service.api.post_json("/api/v1/customers", &customer, 201).await;
    let cases = [
        case("reference", &mark, "nobody"),
        case("email", format!("{}@EXAMPLE.com", mark.to_uppercase()), "nobody@example.com"),
        case("city", "Ulm", "Bonn"),
        case("country", "DE", "CA"),
        case("q", format!("NN {}", mark.to_uppercase()), "%"),
    ];
    service.check("customers", &customer, &["id"], cases).await;
    let cart = shop.cart(product, 1).await;
    let cart = service.api.get_json(&format!("/api/v1/carts/{cart}")).await;
    let cases = [case("customer_id", text(&cart, "customer_id"), other), case("status", "open", "abandoned")];
    service.check("carts", &cart, &["id"], cases).await;
    let path = format!("/ecommerce/api/v1/carts/{}/checkout", id(&cart));
    let order = post(&shop.storefront, &path, &json!({})).await.expect(201).json();
    let cases = [
        case("customer_id", text(&order, "customer_id"), other),
        case("status", "confirmed", "shipped"),
        case("payment_status", "pending", "paid"),
        case("reference", text(&order, "reference"), "order-nobody"),
        case("product_id", product, other),
        case("imported", false, true),
        case("business_day", text(&order, "business_day"), "2001-01-01"),
    ];
    service.check("orders", &order, &["id"], cases.into_iter().chain(moments(&order))).await;
}
