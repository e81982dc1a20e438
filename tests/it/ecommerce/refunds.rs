//! Refunds through the gateway: with goods and without, never beyond what was paid, and only while the order counts.

use futures_util::future::join_all;
use serde_json::{Value, json};
use system_tests::Reply;
use uuid::Uuid;

use super::{ORDERS, check_out, in_warehouse, step};
use crate::shop::{Shop, id, post, post_with_key, problem_code, shared_services};

/// A confirmed and paid order of `quantity` pieces at 10.00.
async fn paid_order(shop: &Shop, quantity: i64) -> Value {
    let cart = shop.cart(shop.products[0], quantity).await;
    let order = check_out(shop, cart, &json!({})).await.expect(201).json();
    pay(shop, &order, "paid").await.expect(200).json()
}

async fn pay(shop: &Shop, order: &Value, status: &str) -> Reply {
    post(&shop.storefront, &format!("{ORDERS}/{}/payment", id(order)), &json!({"payment_status": status})).await
}

async fn refund(shop: &Shop, order: &Value, lines: Value) -> Reply {
    post(&shop.storefront, &format!("{ORDERS}/{}/refunds", id(order)), &json!({"lines": lines})).await
}

async fn refunds_of(shop: &Shop, order: &Value) -> Vec<Value> {
    shop.storefront.get_all(&format!("/ecommerce/api/v1/refunds?order_id={}", id(order))).await
}

#[tokio::test]
async fn goods_come_back_and_money_goes_back_without_them() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let order = paid_order(&shop, 3).await;
    assert_eq!(in_warehouse(&shop, shop.products[0]).await, 7);

    let (path, key) = (format!("{ORDERS}/{}/refunds", id(&order)), Uuid::new_v4().to_string());
    let body = json!({"lines": [{"line_no": 1, "quantity": 1}]});
    let answers = join_all((0..4).map(|_| post_with_key(&shop.storefront, &path, &key, &body))).await;
    let goods = answers[0].json();
    assert!(answers.iter().all(|answer| answer.status == 201 && id(&answer.json()) == id(&goods)), "{goods}");
    assert_eq!((&goods["status"], &goods["total_cents"]), (&json!("completed"), &json!(-1000)));
    assert_eq!((&goods["lines"][0]["quantity"], &goods["lines"][0]["order_line_no"]), (&json!(-1), &json!(1)));
    assert_eq!(in_warehouse(&shop, shop.products[0]).await, 8, "one piece came back, once");
    let reference = goods["reference"].as_str().unwrap();
    let moved = shop.backoffice.get_all(&format!("/inventory/api/v1/stock-movements?reference={reference}")).await;
    assert_eq!((moved.len(), &moved[0]["reason"], &moved[0]["quantity"]), (1, &json!("return"), &json!(1)));

    let money = refund(&shop, &order, json!([{"line_no": 1, "amount_cents": 250}])).await.expect(201).json();
    assert_eq!((&money["total_cents"], &money["lines"][0]["quantity"]), (&json!(-250), &json!(0)));
    assert_eq!(in_warehouse(&shop, shop.products[0]).await, 8, "money moves no pieces");
    let now = shop.storefront.get_json(&format!("{ORDERS}/{}", id(&order))).await;
    assert_eq!((&now["payment_status"], &now["refunded_cents"]), (&json!("paid"), &json!(1250)));

    // What is left goes back by the payment, and the order is refunded.
    let done = pay(&shop, &order, "refunded").await.expect(200).json();
    assert_eq!((&done["payment_status"], &done["refunded_cents"]), (&json!("refunded"), &json!(3000)));
    let totals: Vec<Value> = refunds_of(&shop, &order).await.iter().map(|it| it["total_cents"].clone()).collect();
    assert_eq!(totals, [json!(-1000), json!(-250), json!(-1750)]);
    pay(&shop, &order, "refunded").await.expect(200);
    assert_eq!(refunds_of(&shop, &order).await.len(), 3, "asking again changes nothing");
    assert_eq!(in_warehouse(&shop, shop.products[0]).await, 8);
    // Its goods may still come back, for nothing; then the order can no longer be cancelled.
    let last = refund(&shop, &order, json!([{"line_no": 1, "quantity": 2}])).await.expect(201).json();
    assert_eq!(last["total_cents"], 0);
    assert_eq!(problem_code(&step(&shop, &order, "cancelled").await.expect(409)), "order-has-refunds");
}

/// The version before stored none: asking again for what the order is already makes up for it.
#[tokio::test]
async fn an_order_that_was_refunded_without_a_refund_gets_one_when_asked_again() {
    let stack = shared_services().await;
    let shop = Shop::open(stack, 1, 10).await;
    let order = paid_order(&shop, 2).await;
    refund(&shop, &order, json!([{"line_no": 1, "amount_cents": 300}])).await.expect(201);
    sqlx::query("UPDATE orders SET payment_status = 'refunded' WHERE id = $1")
        .bind(id(&order))
        .execute(&stack.pool("ecommerce_db").await)
        .await
        .unwrap();
    for _ in 0..2 {
        let now = pay(&shop, &order, "refunded").await.expect(200).json();
        assert_eq!((&now["payment_status"], &now["refunded_cents"]), (&json!("refunded"), &json!(2000)));
        let totals: Vec<Value> = refunds_of(&shop, &order).await.iter().map(|it| it["total_cents"].clone()).collect();
        assert_eq!(totals, [json!(-300), json!(-1700)]);
    }
}

#[tokio::test]
async fn no_more_goes_back_than_was_paid_however_many_ask_at_once() {
    let stack = shared_services().await;
    let shop = Shop::open(stack, 1, 10).await;
    let order = paid_order(&shop, 3).await;
    let answers = join_all((0..8).map(|_| refund(&shop, &order, json!([{"line_no": 1, "amount_cents": 1000}])))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(409)), (3, 5));
    let refused = answers.iter().find(|answer| answer.status == 409).unwrap();
    assert_eq!((problem_code(refused).as_str(), &refused.json()["left"]), ("more-than-paid", &json!(0)));
    let now = shop.storefront.get_json(&format!("{ORDERS}/{}", id(&order))).await;
    assert_eq!((&now["payment_status"], &now["refunded_cents"]), (&json!("refunded"), &json!(3000)));

    let order = paid_order(&shop, 3).await;
    let answers = join_all((0..6).map(|_| refund(&shop, &order, json!([{"line_no": 1, "quantity": 1}])))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
    assert_eq!(in_warehouse(&shop, shop.products[0]).await, 7, "of six pieces sold three came back");

    // Whoever else writes: the database decides.
    let written = sqlx::query(
        "WITH refund AS (INSERT INTO refunds (reference, order_id, status, occurred_at, time_zone, total_cents, settled_at) \
         VALUES ($1, $2, 'completed', now(), 'UTC', -1, now()) RETURNING id) \
         INSERT INTO refund_lines (refund_id, line_no, order_line_no, quantity, discount_cents, net_cents) \
         SELECT id, 1, 1, 0, 0, -1 FROM refund",
    )
    .bind(Uuid::new_v4().to_string())
    .bind(id(&order))
    .execute(&stack.pool("ecommerce_db").await)
    .await;
    let error = written.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().constraint(), Some("refunds_within_paid"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_refunded_says_why() {
    let shop = Shop::open(shared_services().await, 1, 10).await;
    let cart = shop.cart(shop.products[0], 2).await;
    let order = check_out(&shop, cart, &json!({})).await.expect(201).json();
    let goods = json!([{"line_no": 1, "quantity": 1}]);
    assert_eq!(problem_code(&refund(&shop, &order, goods.clone()).await.expect(409)), "not-paid");
    pay(&shop, &order, "paid").await.expect(200);
    for (lines, status) in [
        (json!([]), 422),
        (json!([{"line_no": 1}]), 422),
        (json!([{"line_no": 1, "amount_cents": 0}]), 422),
        (json!([{"line_no": 1, "quantity": 1, "amount_cents": -1}]), 422),
        (json!([{"line_no": 7, "quantity": 1}]), 422),
        (json!([{"line_no": 1, "quantity": 3}]), 409),
        (json!([{"line_no": 1, "amount_cents": 2001}]), 409),
        (json!([{"line_no": 1, "quantity": 1}, {"line_no": 1, "amount_cents": 1001}]), 409),
    ] {
        refund(&shop, &order, lines).await.expect(status);
    }
    let path = format!("{ORDERS}/{}/refunds", id(&order));
    for at in ["1969-12-31T23:59:59Z", "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
        let body = json!({"occurred_at": at, "lines": goods});
        assert_eq!(post(&shop.storefront, &path, &body).await.expect(422).json()["field"], "occurred_at");
    }
    assert_eq!(refunds_of(&shop, &order).await, Vec::<Value>::new(), "nothing went back");

    // A cancelled order gave its goods back; the money follows without them.
    step(&shop, &order, "cancelled").await.expect(200);
    assert_eq!(problem_code(&refund(&shop, &order, goods).await.expect(409)), "order-cancelled");
    assert_eq!(pay(&shop, &order, "refunded").await.expect(200).json()["refunded_cents"], 2000);
    assert_eq!(in_warehouse(&shop, shop.products[0]).await, 10);
}

#[tokio::test]
async fn the_feed_has_a_refund_anew_when_its_order_moves_on() {
    let stack = shared_services().await;
    let shop = Shop::open(stack, 1, 10).await;
    let order = paid_order(&shop, 2).await;
    refund(&shop, &order, json!([{"line_no": 1, "amount_cents": 300}])).await.expect(201);
    let of_order = async || {
        let columns = "refund_id,line_no,order_id,order_status,status,quantity,net_cents,sku";
        let path = format!("/ecommerce/api/v1/changes/refund_lines?columns={columns}");
        let call = stack.api("aggregator").call(reqwest::Method::GET, &path);
        let text = call.header("accept", "text/csv").send().await.expect(200).text();
        let is_its_own = |line: &&str| line.split(',').nth(2) == Some(&id(&order).to_string());
        text.lines()
            .filter(is_its_own)
            .map(|line| line.split(',').skip(3).collect::<Vec<_>>().join(","))
            .collect::<Vec<_>>()
    };
    let sku = format!("{}-0", shop.code);
    assert_eq!(of_order().await, [format!("confirmed,completed,0,-300,{sku},false")]);
    let xid = async || -> String {
        sqlx::query_scalar("SELECT change_xid::text FROM refunds WHERE order_id = $1")
            .bind(id(&order))
            .fetch_one(&stack.pool("ecommerce_db").await)
            .await
            .unwrap()
    };
    let before = xid().await;
    step(&shop, &order, "cancelled").await.expect(200);
    assert_ne!(xid().await, before);
    assert_eq!(of_order().await, [format!("cancelled,completed,0,-300,{sku},false")]);
}
