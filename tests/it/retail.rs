//! Retail through the gateway: sales, repeats, returns and voids, also many at once.

mod bad_input;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{Shop, id, post, post_once, post_with_key, problem_code, shared_services};

const SALES: &str = "/retail/api/v1/sales";

#[tokio::test]
async fn a_sale_freezes_what_was_sold_and_takes_its_stock() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let product = shop.products[0];
    let body = json!({"store_id": shop.store_id, "register_id": shop.register_id, "occurred_at": "2026-03-08T06:30:00Z",
        "lines": [{"product_id": product, "quantity": 3, "discount_cents": 250}]});
    let sale = post(&shop.pos, SALES, &body).await.expect(201).json();
    assert_eq!((&sale["status"], &sale["total_cents"]), (&json!("completed"), &json!(2750)));
    // 06:30 UTC on the morning of the change to summer time is still half past one in New York.
    assert_eq!((&sale["business_day"], &sale["time_zone"]), (&json!("2026-03-08"), &json!("America/New_York")));
    assert_eq!(sale["receipt_number"], json!(format!("{}-01-000001", shop.code)));
    assert_eq!(shop.on_hand(product).await, 7);

    let change = json!({"unit_price_cents": 9900, "unit_cost_cents": 9000, "name": "Something else"});
    let path = format!("/inventory/api/v1/products/{product}");
    shop.backoffice.call(Method::PATCH, &path).json(&change).send().await.expect(200);
    let line = &shop.pos.get_json(&format!("{SALES}/{}", id(&sale))).await["lines"][0];
    assert_eq!((&line["unit_price_cents"], &line["unit_cost_cents"]), (&json!(1000), &json!(400)));
    assert_eq!((&line["product_name"], &line["net_cents"]), (&json!("Tea no. 0"), &json!(2750)));
}

#[tokio::test]
async fn a_refusal_says_what_is_short_and_takes_nothing() {
    let shop = Shop::open(shared_services().await, 2, 4).await;
    let (plenty, short) = (shop.products[0], shop.products[1]);
    let body = json!({"store_id": shop.store_id, "register_id": shop.register_id,
        "lines": [{"product_id": plenty, "quantity": 1}, {"product_id": short, "quantity": 5}]});
    let refused = post(&shop.pos, SALES, &body).await.expect(409);
    assert_eq!(problem_code(&refused), "insufficient-stock");
    assert_eq!(refused.json()["short"], json!([{"product_id": short, "requested": 5, "on_hand": 4}]));
    assert_eq!((shop.on_hand(plenty).await, shop.on_hand(short).await), (4, 4));
}

#[tokio::test]
async fn a_repeat_answers_the_same_document_and_another_body_is_refused() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let (product, key) = (shop.products[0], Uuid::new_v4().to_string());
    let first = post_with_key(&shop.pos, SALES, &key, &shop.sale(product, 2)).await.expect(201).json();
    let again = post_with_key(&shop.pos, SALES, &key, &shop.sale(product, 2)).await.expect(201).json();
    assert_eq!(first, again);
    let other = post_with_key(&shop.pos, SALES, &key, &shop.sale(product, 3)).await.expect(422);
    assert_eq!(problem_code(&other), "idempotency-key-reused");
    assert_eq!(shop.on_hand(product).await, 8);

    let refused = Uuid::new_v4().to_string();
    for _ in 0..2 {
        let answer = post_with_key(&shop.pos, SALES, &refused, &shop.sale(product, 99)).await.expect(409);
        assert_eq!(problem_code(&answer), "insufficient-stock");
    }
    // What stored nothing may be tried again under the same key.
    let fresh = Uuid::new_v4().to_string();
    post_with_key(&shop.pos, SALES, &fresh, &shop.sale(i64::MAX, 1)).await.expect(422);
    post_with_key(&shop.pos, SALES, &fresh, &shop.sale(product, 1)).await.expect(201);
}

#[tokio::test]
async fn twenty_repeats_at_once_make_one_sale() {
    let shop = Shop::open(shared_services().await, 1, 100).await;
    let (product, key) = (shop.products[0], Uuid::new_v4().to_string());
    let body = shop.sale(product, 1);
    let answers = join_all((0..20).map(|_| post_once(&shop.pos, SALES, &key, &body))).await;
    // Done, still pending, or too busy; never a second sale.
    assert!(answers.iter().all(|answer| [201, 202, 503].contains(&answer.status)));
    let sale = post_with_key(&shop.pos, SALES, &key, &body).await.expect(201).json();
    assert!(answers.iter().filter(|answer| answer.status != 503).all(|answer| id(&answer.json()) == id(&sale)));
    assert_eq!(shop.pos.get_all(&format!("{SALES}?store_id={}", shop.store_id)).await.len(), 1);
    assert_eq!(shop.on_hand(product).await, 99);
}

#[tokio::test]
async fn a_hundred_buyers_of_the_last_ten_get_exactly_ten_yeses() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let body = shop.sale(shop.products[0], 1);
    let answers = join_all((0..100).map(|_| post(&shop.pos, SALES, &body))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(409)), (10, 90));
    assert_eq!(shop.on_hand(shop.products[0]).await, 0);
    let receipts: BTreeSet<String> =
        answers.iter().filter(|it| it.status == 201).map(|it| it.json()["receipt_number"].to_string()).collect();
    assert_eq!(receipts.len(), 10);
}

#[tokio::test]
async fn no_more_comes_back_than_was_sold_however_many_ask_at_once() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let product = shop.products[0];
    let body = json!({"store_id": shop.store_id, "register_id": shop.register_id,
        "lines": [{"product_id": product, "quantity": 5, "discount_cents": 101}]});
    let sale = post(&shop.pos, SALES, &body).await.expect(201).json();
    let path = format!("{SALES}/{}/returns", id(&sale));
    let one = json!({"lines": [{"product_id": product, "quantity": 1}]});
    let answers = join_all((0..20).map(|_| post(&shop.pos, &path, &one))).await;
    let returned: Vec<Value> = answers.iter().filter(|it| it.status == 201).map(|it| it.json()).collect();
    assert_eq!(returned.len(), 5);
    assert!(answers.iter().filter(|it| it.status != 201).all(|it| problem_code(it) == "more-than-sold"));
    assert_eq!(shop.on_hand(product).await, 10);
    // Every cent comes back, and none twice: 5 x 10.00 - 1.01.
    let cents: i64 = returned.iter().map(|it| it["total_cents"].as_i64().unwrap()).sum();
    assert_eq!(cents, -4899);
    assert_eq!(shop.pos.get_all(&path).await.len(), 5);
    assert_eq!(
        problem_code(&post(&shop.pos, &format!("{SALES}/{}/void", id(&sale)), &json!({})).await.expect(409)),
        "sale-has-returns"
    );
}

#[tokio::test]
async fn a_repeated_return_is_one_return() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let product = shop.products[0];
    let sale = shop.sell(product, 2).await;
    let (path, key) = (format!("{SALES}/{}/returns", id(&sale)), Uuid::new_v4().to_string());
    // All of it comes back, so that a twin that waits for the lock finds nothing left.
    let body = json!({"lines": [{"product_id": product, "quantity": 2}]});
    let answers = join_all((0..10).map(|_| post_with_key(&shop.pos, &path, &key, &body))).await;
    let ids: BTreeSet<i64> = answers.iter().map(|answer| id(&answer.json())).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(shop.on_hand(product).await, 10);
}

#[tokio::test]
async fn a_void_gives_stock_back_once_and_excludes_returns() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let product = shop.products[0];
    let sale = shop.sell(product, 4).await;
    let path = format!("{SALES}/{}", id(&sale));
    let nothing = json!({});
    let void = format!("{path}/void");
    let answers = join_all((0..10).map(|_| post(&shop.pos, &void, &nothing))).await;
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{:?}",
        answers.iter().map(|it| it.status).collect::<Vec<_>>()
    );
    assert_eq!(shop.on_hand(product).await, 10);
    let back =
        post(&shop.pos, &format!("{path}/returns"), &json!({"lines": [{"product_id": product, "quantity": 1}]})).await;
    assert_eq!(problem_code(&back.expect(409)), "sale-voided");
}

#[tokio::test]
async fn of_a_void_and_a_return_at_once_one_wins() {
    let shop = Shop::open(shared_services().await, 1, 100).await;
    let product = shop.products[0];
    for _ in 0..10 {
        let path = format!("{SALES}/{}", id(&shop.sell(product, 1).await));
        let (void, returns) = (format!("{path}/void"), format!("{path}/returns"));
        let back = json!({"lines": [{"product_id": product, "quantity": 1}]});
        let nothing = json!({});
        let (void, back) = tokio::join!(post(&shop.pos, &void, &nothing), post(&shop.pos, &returns, &back));
        assert!(matches!((void.status, back.status), (200, 409) | (409, 201)), "{} {}", void.text(), back.text());
    }
    assert_eq!(shop.on_hand(product).await, 100);
}

#[tokio::test]
async fn clerks_find_documents() {
    let shop = Shop::open(shared_services().await, 2, 10).await;
    let (sale, other) = (shop.sell(shop.products[0], 1).await, shop.sell(shop.products[1], 1).await);
    let one = json!({"lines": [{"product_id": shop.products[0], "quantity": 1}]});
    let back = post(&shop.pos, &format!("{SALES}/{}/returns", id(&sale)), &one).await.expect(201).json();
    let day = sale["business_day"].as_str().unwrap();
    let receipt = other["receipt_number"].as_str().unwrap();
    for (filter, expected) in [
        (format!("product_id={}", shop.products[0]), vec![id(&sale), id(&back)]),
        (format!("business_day={day}&kind=sale"), vec![id(&sale), id(&other)]),
        (format!("receipt_number={receipt}"), vec![id(&other)]),
        (format!("original_sale_id={}", id(&sale)), vec![id(&back)]),
        ("status=voided".to_owned(), vec![]),
        ("business_day=2001-01-01".to_owned(), vec![]),
    ] {
        let found = shop.pos.get_all(&format!("{SALES}?store_id={}&{filter}&limit=1", shop.store_id)).await;
        assert_eq!(found.iter().map(id).collect::<Vec<_>>(), expected, "{filter}");
    }
}
