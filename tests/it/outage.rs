//! Inventory is away: what goes on, what waits, and what becomes of it.

use reqwest::Method;
use serde_json::json;
use system_tests::{Stack, eventually};
use uuid::Uuid;

use crate::shop::{Shop, id, post_once, post_with_key, problem_code, services};

const SALES: &str = "/retail/api/v1/sales";

async fn impatient() -> Stack {
    let mut builder = Stack::builder();
    for (service, prefix) in [("retail", "RETAIL"), ("ecommerce", "ECOMMERCE")] {
        builder = builder
            .env(service, &format!("{prefix}_PENDING_LIMIT_SECONDS"), "2")
            .env(service, &format!("{prefix}_RECOVERY_GRACE_SECONDS"), "1")
            .env(service, &format!("{prefix}_STUCK_AFTER_SECONDS"), "1");
    }
    services(builder).await
}

#[tokio::test]
async fn without_inventory_browsing_goes_on_and_a_sale_is_safe_to_repeat() {
    let mut stack = impatient().await;
    let shop = Shop::open(&stack, 1, 10).await;
    let product = shop.products[0];
    let sale = shop.sell(product, 1).await;
    let cart = shop.cart(product, 2).await;
    stack.kill("inventory");

    for path in [
        "/retail/api/v1/stores".to_owned(),
        format!("{SALES}/{}", id(&sale)),
        "/ecommerce/api/v1/customers".to_owned(),
        format!("/ecommerce/api/v1/carts/{cart}"),
        "/ecommerce/api/v1/orders".to_owned(),
    ] {
        shop.backoffice.get(&path).await.expect(200);
    }
    let key = Uuid::new_v4().to_string();
    let silent = post_once(&shop.pos, SALES, &key, &shop.sale(product, 2)).await.expect(503);
    assert!(silent.header("retry-after").is_some(), "{}", silent.text());
    let checkout = format!("/ecommerce/api/v1/carts/{cart}/checkout");
    let order_key = Uuid::new_v4().to_string();
    assert!(
        post_once(&shop.storefront, &checkout, &order_key, &json!({}))
            .await
            .expect(503)
            .header("retry-after")
            .is_some()
    );

    // A void is decided here; the stock follows when Inventory is back.
    let voided = shop.pos.call(Method::POST, &format!("{SALES}/{}/void", id(&sale))).send().await.expect(202).json();
    assert_eq!((&voided["status"], &voided["stock_settled"]), (&json!("voided"), &json!(false)));
    eventually("the void to be listed as stuck", async || {
        let stuck = shop.backoffice.get_all(&format!("{SALES}/stuck")).await;
        stuck.iter().any(|it| it["id"] == sale["id"] && it["owed"] == "reverse")
    })
    .await;

    let metrics = stack.direct("retail").get("/metrics").await.text();
    for shown in ["stock_tasks{owed=\"reverse\"} 1", "stock_settlements_total{outcome=\"silent\"}"] {
        assert!(metrics.contains(shown), "{shown} in {metrics}");
    }

    stack.restart("inventory").await;
    post_with_key(&shop.pos, SALES, &key, &shop.sale(product, 2)).await.expect(201);
    post_with_key(&shop.storefront, &checkout, &order_key, &json!({})).await.expect(201);
    eventually("the voided stock", async || shop.on_hand(product).await == 8).await;
    eventually("nothing stuck", async || {
        shop.backoffice.get_all(&format!("{SALES}/stuck?older_than_seconds=0")).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_sale_that_inventory_never_answers_is_given_up_and_its_late_request_takes_nothing() {
    let mut stack = impatient().await;
    let shop = Shop::open(&stack, 1, 10).await;
    let product = shop.products[0];
    // Validation is answered and the movement is not: its table cannot be written.
    let inventory = stack.pool("inventory_db").await;
    let mut blocker = kit::db::begin(&inventory).await.unwrap();
    sqlx::query("LOCK TABLE movement_documents IN ACCESS EXCLUSIVE MODE").execute(&mut *blocker).await.unwrap();
    let key = Uuid::new_v4().to_string();
    let silent = post_once(&shop.pos, SALES, &key, &shop.sale(product, 3)).await.expect(503).json();
    let sale = silent["sale_id"].as_i64().unwrap();
    let waiting = post_once(&shop.pos, SALES, &key, &shop.sale(product, 3)).await.expect(202).json();
    assert_eq!((waiting["id"].as_i64(), &waiting["status"]), (Some(sale), &json!("pending")));
    let void = shop.pos.call(Method::POST, &format!("{SALES}/{sale}/void")).send().await;
    assert_eq!(problem_code(&void), "sale-pending");

    stack.kill("inventory");
    drop(blocker);
    eventually("the sale to be given up", async || {
        shop.pos.get_json(&format!("{SALES}/{sale}")).await["status"] == "rejected"
    })
    .await;
    let refused = post_once(&shop.pos, SALES, &key, &shop.sale(product, 3)).await.expect(409);
    assert_eq!(problem_code(&refused), "stock-unanswered");

    stack.restart("inventory").await;
    eventually("its reversal", async || shop.pos.get_json(&format!("{SALES}/{sale}")).await["stock_settled"] == true)
        .await;
    assert_eq!(shop.on_hand(product).await, 10);
    // The request that was delayed on its way arrives at last.
    let movement = json!({"reference": waiting["reference"], "reason": "sale", "location_id": shop.location_id,
        "occurred_at": waiting["occurred_at"], "time_zone": "America/New_York", "lines": [{"product_id": product, "quantity": -3}]});
    let late = stack.api("service-retail").post("/inventory/api/v1/stock-movements", &movement).await.expect(409);
    assert_eq!(problem_code(&late), "reference-closed");
    assert_eq!(shop.on_hand(product).await, 10);
}
