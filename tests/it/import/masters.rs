//! Products, customers, stores, orders and counts: what a file does not say stays, and what cannot be is refused.

use serde_json::{Value, json};
use uuid::Uuid;

use super::counts;
use crate::refusals::named;
use crate::shop::{Shop, shared_services};

fn mark() -> String {
    Uuid::new_v4().simple().to_string().split_off(20)
}

#[tokio::test]
async fn what_a_file_does_not_say_stays() {
    let stack = shared_services().await;
    let (office, mark) = (stack.api("backoffice"), mark());
    let products = "/inventory/api/v1/products/import";
    let full =
        format!("sku,name,category,unit_price,unit_cost,reorder_point,active\n{mark},Tea,T {mark},12.50,5,20,FALSE\n");
    assert_eq!(counts(&office.import(products, full.clone()).await), [1, 1, 0, 0]);
    let price_list = format!("sku,name,category,unit_price_cents,unit_cost_cents\n{mark},Tea,T {mark},1300,500\n");
    assert_eq!(counts(&office.import(products, price_list).await), [1, 1, 0, 0]);
    let product = &office.get_all(&format!("/inventory/api/v1/products?sku={mark}")).await[0];
    assert_eq!(
        [&product["unit_price_cents"], &product["reorder_point"], &product["active"]],
        [&json!(1300), &json!(20), &json!(false)]
    );

    let customers = "/ecommerce/api/v1/customers/import";
    let full =
        format!("reference,name,signup_day,email,phone,city\n{mark},Ann,2026-01-01,{mark}@example.com,12,Bonn\n");
    assert_eq!(counts(&office.import(customers, full).await), [1, 1, 0, 0]);
    let named = format!("reference,name,signup_day,city\n{mark},Anna,2026-01-01,\n");
    assert_eq!(counts(&office.import(customers, named.clone()).await), [1, 1, 0, 0]);
    assert_eq!(counts(&office.import(customers, named).await), [1, 0, 1, 0]);
    let stored: (String, Option<String>, Option<String>, Option<String>) =
        sqlx::query_as("SELECT name, email, phone, city FROM customers WHERE reference = $1")
            .bind(&mark)
            .fetch_one(&stack.pool("ecommerce_db").await)
            .await
            .unwrap();
    let kept = (Some(format!("{mark}@example.com")), Some("12".to_owned()));
    assert_eq!(stored, ("Anna".to_owned(), kept.0, kept.1, None), "the city was emptied, the rest stays");

    let stores = "/retail/api/v1/stores/import";
    let full = format!(
        "code,name,city,time_zone,opened_on,closed_on,active\n{mark},N,C,Europe/Berlin,2019-03-01,2026-01-31,false\n"
    );
    assert_eq!(counts(&office.import(stores, full).await), [1, 1, 0, 0]);
    let bare = format!("code,name,city,time_zone,closed_on\n{mark},N,C,Europe/Berlin,\n");
    assert_eq!(counts(&office.import(stores, bare).await), [1, 1, 0, 0]);
    let store = &office.get_all(&format!("/retail/api/v1/stores?code={mark}")).await[0];
    let shown = [&store["opened_on"], &store["closed_on"], &store["active"]];
    assert_eq!(shown, [&json!("2019-03-01"), &Value::Null, &json!(false)]);
    let late = format!("code,name,city,time_zone,closed_on\n{mark},N,C,Europe/Berlin,2018-01-01\n");
    assert_eq!(office.import(stores, late).await["errors"][0]["field"], "closed_on");
}

#[tokio::test]
async fn an_order_that_differs_is_refused_or_corrected() {
    let stack = shared_services().await;
    let shop = Shop::open(stack, 1, 0).await;
    let (office, mark) = (&shop.backoffice, mark());
    let customer = format!("reference,name,signup_day\n{mark},Ann,2026-01-01\n");
    assert_eq!(counts(&office.import("/ecommerce/api/v1/customers/import", customer).await), [1, 1, 0, 0]);
    let file = |status: &str, shipped: &str, delivered: &str| {
        let row = |line: u32| {
            let sku = format!("{}-0", shop.code);
            format!("{mark}-1,{mark},{status},paid,2026-02-01T10:00:00Z,{shipped},{delivered},{line},{sku},2,9.99\n")
        };
        let other = format!("{mark}-2,{mark},pending,paid,2026-02-01T10:00:00Z,,,1,{}-0,2,9.99\n", shop.code);
        format!(
            "reference,customer_reference,status,payment_status,occurred_at,shipped_at,delivered_at,line_no,sku,quantity,unit_price\n\
             {}{other}{}",
            row(2),
            row(1)
        )
    };
    let (path, replace) = ("/ecommerce/api/v1/orders/import", "/ecommerce/api/v1/orders/import?on_difference=replace");
    let shipped = file("shipped", "2026-02-02T10:00:00Z", "");
    assert_eq!(counts(&office.import(path, shipped.clone()).await), [3, 3, 0, 0]);
    assert_eq!(counts(&office.import(path, shipped).await), [3, 0, 3, 0]);
    let delivered = file("delivered", "2026-02-02T10:00:00Z", "2026-02-03T10:00:00Z");
    let report = office.import(path, delivered.clone()).await;
    assert_eq!((counts(&report), named(&report)), ([3, 0, 1, 2], vec![(2, Some("status"))]), "{report}");
    assert!(
        report["errors"][0]["reason"].as_str().unwrap().starts_with("is delivered in this file, but shipped is stored")
    );
    assert_eq!(counts(&office.import(replace, delivered.clone()).await), [3, 2, 1, 0]);
    assert_eq!(counts(&office.import(path, delivered).await), [3, 0, 3, 0]);
    // An order is not delivered a year before it was placed, nor before it was shipped.
    for early in ["2025-02-03T10:00:00Z", "2026-02-01T12:00:00Z"] {
        let report = office.import(replace, file("delivered", "2026-02-02T10:00:00Z", early)).await;
        assert_eq!((counts(&report), named(&report)), ([3, 0, 1, 2], vec![(2, Some("delivered_at"))]), "{report}");
    }
    // What stays of it must fit, too.
    let late = format!(
        "reference,customer_reference,status,payment_status,occurred_at,line_no,sku,quantity,unit_price\n\
         {mark}-1,{mark},delivered,paid,2026-03-01T10:00:00Z,1,{}-0,2,9.99\n",
        shop.code
    );
    assert_eq!(named(&office.import(replace, late).await), [(2, Some("shipped_at"))]);
}

#[tokio::test]
async fn a_count_adds_up_and_keeps_what_moved_since() {
    let stack = shared_services().await;
    let shop = Shop::open(stack, 1, 10).await;
    let (office, product) = (&shop.backoffice, shop.products[0]);
    let sku = format!("{}-0", shop.code);
    let now = chrono::Utc::now();
    let at =
        |minutes: i64| (now - chrono::TimeDelta::minutes(minutes)).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let moved = async |reference: &str, minutes: i64, quantity: i64| {
        let reason = if quantity < 0 { "sale" } else { "return" };
        let body = json!({"reference": format!("{}-{reference}", shop.code), "reason": reason, "location_id": shop.location_id,
            "occurred_at": at(minutes), "lines": [{"product_id": product, "quantity": quantity}]});
        office.post_json("/inventory/api/v1/stock-movements", &body, 201).await;
    };
    let count = async |shelf: i64, back: i64, minutes: i64| {
        let (code, at) = (&shop.code, at(minutes));
        let rows = format!("{sku},{code},{shelf},{at}\n{sku},{code},{back},{at}\n");
        office.import("/inventory/api/v1/stock/import", format!("sku,location_code,on_hand,counted_at\n{rows}")).await
    };
    moved("before", 60, -1).await;
    moved("after", 10, -2).await;
    assert_eq!(shop.on_hand(product).await, 7);
    // Eight were counted half an hour ago, on two shelves; two have been sold since.
    assert_eq!(counts(&count(5, 3, 30).await), [2, 2, 0, 0]);
    assert_eq!(shop.on_hand(product).await, 6);
    assert_eq!(counts(&count(5, 3, 30).await), [2, 0, 2, 0]);
    // A till was offline: what it sold before the count is in the count already.
    moved("late", 40, -4).await;
    assert_eq!(shop.on_hand(product).await, 6);
    moved("later", 20, -1).await;
    assert_eq!(shop.on_hand(product).await, 5);
    let report = count(5, 3, 45).await;
    assert_eq!(named(&report), [(2, Some("counted_at"))], "{report}");
    let sum: i64 = sqlx::query_scalar(
        "SELECT 10 + sum(quantity)::bigint FROM stock_movements WHERE product_id = $1 AND location_id = $2 AND NOT deleted",
    )
    .bind(product)
    .bind(shop.location_id)
    .fetch_one(&stack.pool("inventory_db").await)
    .await
    .unwrap();
    assert_eq!(sum, 5, "on hand is the opening plus the sum of movements");
}

#[tokio::test]
async fn a_movement_that_differs_is_refused_or_corrected() {
    let stack = shared_services().await;
    let shop = Shop::open(stack, 2, 0).await;
    let office = &shop.backoffice;
    let code = &shop.code;
    let file = |quantity: &str, at: &str| {
        format!(
            "reference,reason,sku,location_code,quantity,occurred_at,time_zone\n\
             {code}-m,sale,{code}-0,{code},{quantity},{at},America/New_York\n{code}-n,return,{code}-0,{code},1,2026-01-02 10:00,UTC\n\
             {code}-m,sale,{code}-1,{code},-1,{at},America/New_York\n"
        )
    };
    let path = "/inventory/api/v1/stock-movements/import";
    let first = file("-2", "2026-01-02 10:00");
    assert_eq!(counts(&office.import(path, first.clone()).await), [3, 3, 0, 0]);
    assert_eq!(counts(&office.import(path, first).await), [3, 0, 3, 0]);
    for (quantity, at, field) in [("-3", "2026-01-02 10:00", "quantity"), ("-2", "2026-01-02 10:01", "occurred_at")] {
        let report = office.import(path, file(quantity, at)).await;
        assert_eq!((counts(&report), named(&report)), ([3, 0, 1, 2], vec![(2, Some(field))]), "{report}");
    }
    let replace = format!("{path}?on_difference=replace");
    assert_eq!(counts(&office.import(&replace, file("-3", "2026-01-02 10:00")).await), [3, 2, 1, 0]);
    let document = office.get_json(&format!("/inventory/api/v1/stock-movements/{code}-m")).await;
    assert_eq!(document["lines"][0]["quantity"], -3, "{document}");
    let report = office.import(path, file("-3", "2026-01-02 10:00")).await;
    assert_eq!(counts(&report), [3, 0, 3, 0], "{report}");
    let lone = format!(
        "reference,reason,sku,location_code,quantity,occurred_at,time_zone\n{code}-w,sale,{code}-0,{code},-2,2026-01-02 10:00,UTC\n"
    );
    let first = office.import(path, lone.clone()).await;
    let withdrawn = format!("/inventory/api/v1/imports/{}", first["id"]);
    office.post(&format!("{withdrawn}/withdrawal"), &json!({})).await.expect(202);
    system_tests::wait_until("an import to be withdrawn", crate::shop::PATIENCE, async || {
        (office.get_json(&withdrawn).await["state"] == "withdrawn").then_some(())
    })
    .await;
    office.get(&format!("/inventory/api/v1/stock-movements/{code}-w")).await.expect(404);
    assert_eq!(counts(&office.import(path, lone).await), [1, 1, 0, 0], "as if it had never come");
    let gap = office.import(path, file("-3", "2026-03-08 02:30")).await;
    assert_eq!(named(&gap), [(2, Some("occurred_at")), (4, Some("occurred_at"))], "{gap}");
}
