//! A till that was offline tells what it sold: what was charged is what is stored, and nothing since is a reason to refuse.

use chrono::{SecondsFormat, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use crate::shop::{Shop, post, problem_code, shared_services};

const SALES: &str = "/retail/api/v1/sales";

#[tokio::test]
async fn what_was_charged_is_stored_and_what_was_not_there_is_booked() {
    let shop = Shop::open(shared_services().await, 1, 1).await;
    let product = shop.products[0];
    let change = json!({"unit_price_cents": 1200, "active": false});
    let path = format!("/inventory/api/v1/products/{product}");
    shop.backoffice.call(Method::PATCH, &path).json(&change).send().await.expect(200);
    let sale = |ago: TimeDelta, price: Option<i64>| {
        let mut body = shop.sale(product, 3);
        body["occurred_at"] = json!((Utc::now() - ago).to_rfc3339_opts(SecondsFormat::Secs, true));
        if let Some(price) = price {
            body["lines"][0]["unit_price_cents"] = json!(price);
        }
        body
    };
    let stored: Value = post(&shop.pos, SALES, &sale(TimeDelta::days(2), Some(900))).await.expect(201).json();
    let line = &stored["lines"][0];
    assert_eq!(
        [&line["unit_price_cents"], &line["list_price_cents"], &line["net_cents"]],
        [&json!(900), &json!(1200), &json!(2700)]
    );
    assert_eq!(
        (&stored["offline"], &stored["status"], &stored["total_cents"]),
        (&json!(true), &json!("completed"), &json!(2700))
    );
    assert_eq!(shop.on_hand(product).await, 0);
    let reference = format!("shortfall-{}", stored["reference"].as_str().unwrap());
    let booked = shop.backoffice.get_json(&format!("/inventory/api/v1/stock-movements/{reference}")).await;
    assert_eq!(
        (&booked["reason"], &booked["lines"]),
        (&json!("adjustment"), &json!([{"product_id": product, "quantity": 2}]))
    );

    for (ago, price, status, code) in [
        (TimeDelta::days(2), None, 409, "product-inactive"),
        (TimeDelta::days(31), Some(900), 422, "invalid-field"),
        (TimeDelta::minutes(-6), Some(900), 422, "invalid-field"),
        // What happens now is no offline sale, whatever it costs.
        (TimeDelta::zero(), Some(900), 409, "product-inactive"),
    ] {
        let reply = post(&shop.pos, SALES, &sale(ago, price)).await.expect(status);
        assert_eq!(problem_code(&reply), code, "{}", reply.text());
    }
}
