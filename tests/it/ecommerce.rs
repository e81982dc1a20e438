//! Ecommerce through the gateway: customers, carts, checkout, and the steps of an order.

mod bad_input;
mod refunds;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{Shop, id, post, post_with_key, problem_code, shared_services};

const CARTS: &str = "/ecommerce/api/v1/carts";
const ORDERS: &str = "/ecommerce/api/v1/orders";
const CUSTOMERS: &str = "/ecommerce/api/v1/customers";

/// Pieces of a product in the warehouse that online orders ship from.
async fn in_warehouse(shop: &Shop, product_id: i64) -> i64 {
    let rows = shop.backoffice.get_all(&format!("/inventory/api/v1/stock?product_id={product_id}")).await;
    let row = rows.iter().find(|row| row["location_id"] != json!(shop.location_id)).unwrap();
    row["on_hand"].as_i64().unwrap()
}

async fn check_out(shop: &Shop, cart: i64, body: &Value) -> system_tests::Reply {
    post(&shop.storefront, &format!("{CARTS}/{cart}/checkout"), body).await
}

async fn step(shop: &Shop, order: &Value, status: &str) -> system_tests::Reply {
    post(&shop.storefront, &format!("{ORDERS}/{}/status", id(order)), &json!({"status": status})).await
}

#[tokio::test]
async fn a_cart_becomes_one_order_however_often_it_is_checked_out() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let product = shop.products[0];
    let cart = shop.cart(product, 3).await;
    let (path, key) = (format!("{CARTS}/{cart}/checkout"), Uuid::new_v4().to_string());
    let body = json!({});
    let answers = join_all((0..5).map(|_| post_with_key(&shop.storefront, &path, &key, &body))).await;
    let order = answers[0].json();
    assert!(answers.iter().all(|answer| answer.status == 201 && id(&answer.json()) == id(&order)));
    assert_eq!((&order["status"], &order["total_cents"]), (&json!("confirmed"), &json!(3000)));
    assert_eq!(in_warehouse(&shop, product).await, 7);

    let second = check_out(&shop, cart, &body).await.expect(409);
    assert_eq!((problem_code(&second).as_str(), &second.json()["order_id"]), ("cart-checked-out", &order["id"]));
    let item = json!({"product_id": product, "quantity": 1});
    assert_eq!(
        problem_code(&post(&shop.storefront, &format!("{CARTS}/{cart}/items"), &item).await),
        "cart-checked-out"
    );
}

#[tokio::test]
async fn a_refused_checkout_opens_the_cart_again() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let product = shop.products[0];
    let cart = shop.cart(product, 11).await;
    let refused = check_out(&shop, cart, &json!({})).await.expect(409);
    assert_eq!(problem_code(&refused), "insufficient-stock");
    assert_eq!(refused.json()["short"][0]["on_hand"], 10);
    let path = format!("{CARTS}/{cart}/items/{product}");
    let smaller =
        shop.storefront.call(Method::PATCH, &path).json(&json!({"quantity": 10})).send().await.expect(200).json();
    assert_eq!((&smaller["status"], &smaller["total_cents"]), (&json!("open"), &json!(10_000)));
    check_out(&shop, cart, &json!({})).await.expect(201);
    assert_eq!(in_warehouse(&shop, product).await, 0);
}

#[tokio::test]
async fn a_hundred_buyers_of_the_last_ten_get_exactly_ten_yeses() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let product = shop.products[0];
    let mut carts = Vec::new();
    for _ in 0..100 {
        carts.push(shop.cart(product, 1).await);
    }
    let body = json!({});
    let answers = join_all(carts.iter().map(|cart| check_out(&shop, *cart, &body))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(409)), (10, 90));
    assert_eq!(in_warehouse(&shop, product).await, 0);
}

#[tokio::test]
async fn a_changed_price_is_shown_and_taken_only_when_accepted() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let product = shop.products[0];
    let cart = shop.cart(product, 1).await;
    let reprice = async |cents: i64| {
        let path = format!("/inventory/api/v1/products/{product}");
        shop.backoffice.call(Method::PATCH, &path).json(&json!({"unit_price_cents": cents})).send().await.expect(200);
    };
    reprice(1200).await;
    let refused = check_out(&shop, cart, &json!({})).await.expect(409).json();
    assert_eq!(
        refused["changed"],
        json!([{"product_id": product, "sku": format!("{}-0", shop.code), "seen_cents": 1000, "current_cents": 1200}])
    );
    let item = &shop.storefront.get_json(&format!("{CARTS}/{cart}")).await["items"][0];
    assert_eq!((&item["unit_price_cents"], &item["current_unit_price_cents"]), (&json!(1000), &json!(1200)));
    // What was accepted is 12.00; meanwhile it is 15.00.
    reprice(1500).await;
    let again = check_out(&shop, cart, &json!({"accept_price_changes": true})).await.expect(409);
    assert_eq!(problem_code(&again), "price-changed");
    let order = check_out(&shop, cart, &json!({"accept_price_changes": true})).await.expect(201).json();
    assert_eq!((&order["total_cents"], &order["lines"][0]["unit_price_cents"]), (&json!(1500), &json!(1500)));
}

#[tokio::test]
async fn an_order_takes_its_legal_steps_and_no_other() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let order = check_out(&shop, shop.cart(shop.products[0], 1).await, &json!({})).await.expect(201).json();
    let illegal = step(&shop, &order, "delivered").await.expect(409);
    assert_eq!(illegal.json()["legal"], json!(["processing", "cancelled"]));
    for (status, moment) in [("processing", None), ("shipped", Some("shipped_at")), ("delivered", Some("delivered_at"))]
    {
        let now = step(&shop, &order, status).await.expect(200).json();
        assert_eq!(now["status"], status);
        assert!(moment.is_none_or(|moment| now[moment].is_string()), "{now}");
        step(&shop, &order, status).await.expect(200);
    }
    assert_eq!(step(&shop, &order, "cancelled").await.expect(409).json()["legal"], json!([]));
    let pay = format!("{ORDERS}/{}/payment", id(&order));
    assert_eq!(
        post(&shop.storefront, &pay, &json!({"payment_status": "refunded"})).await.expect(409).json()["legal"],
        json!(["paid", "failed"])
    );
    for status in ["paid", "refunded"] {
        post(&shop.storefront, &pay, &json!({"payment_status": status})).await.expect(200);
    }
}

#[tokio::test]
async fn a_cancellation_gives_stock_back_once() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let product = shop.products[0];
    let order = check_out(&shop, shop.cart(product, 4).await, &json!({})).await.expect(201).json();
    let answers = join_all((0..10).map(|_| step(&shop, &order, "cancelled"))).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.json()["status"] == "cancelled"));
    assert_eq!(in_warehouse(&shop, product).await, 10);
}

#[tokio::test]
async fn an_erased_customer_leaves_no_trace_in_what_others_read() {
    let stack = shared_services().await;
    let shop = Shop::open(stack, 1, 10).await;
    let mark = Uuid::new_v4().simple().to_string();
    let body = json!({"reference": mark, "name": format!("Name {mark}"), "email": format!("{mark}@example.com"), "phone": "+1 555",
        "city": format!("City {mark}"), "country": "DE"});
    let customer = shop.storefront.post_json(CUSTOMERS, &body, 201).await;
    let path = format!("{CUSTOMERS}/{}", id(&customer));
    assert_eq!(shop.storefront.get_all(&format!("{CUSTOMERS}?q={mark}")).await.len(), 1);
    let fed = async || {
        let feed = stack
            .api("aggregator")
            .call(Method::GET, "/ecommerce/api/v1/changes/customers?columns=city,country,signup_day");
        feed.header("accept", "text/csv").send().await.expect(200).text()
    };
    let text = fed().await;
    assert!(text.contains(&format!("City {mark}")) && !text.contains(&format!("Name {mark}")) && !text.contains('@'));
    assert_eq!(stack.api("aggregator").get("/ecommerce/api/v1/changes/customers?columns=email").await.status, 400);

    for _ in 0..2 {
        let left = shop.storefront.call(Method::DELETE, &path).send().await.expect(200).json();
        assert_eq!((&left["name"], &left["email"], &left["phone"]), (&Value::Null, &Value::Null, &Value::Null));
    }
    let erased = shop.storefront.call(Method::PATCH, &path).json(&json!({"name": "Back"})).send().await;
    assert_eq!(problem_code(&erased), "customer-erased");
    let report = shop
        .backoffice
        .import(&format!("{CUSTOMERS}/import"), format!("reference,name,signup_day\n{mark},Back,2026-01-01\n"))
        .await;
    assert_eq!((&report["refused"], &report["errors"][0]["field"]), (&json!(1), &json!("reference")));
    let cart = shop.storefront.post(CARTS, &json!({"customer_id": customer["id"]})).await;
    assert_eq!(problem_code(&cart), "customer-erased");
    let known: i64 =
        sqlx::query_scalar("SELECT count(*) FROM customers c WHERE to_jsonb(c)::text ILIKE '%' || $1 || '@%'")
            .bind(&mark)
            .fetch_one(&stack.pool("ecommerce_db").await)
            .await
            .unwrap();
    assert_eq!(known, 0);
}
