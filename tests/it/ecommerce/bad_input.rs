//! Bad input on every endpoint of ecommerce: a 4xx that names the field, a problem, and nothing written.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::Api;
use uuid::Uuid;

use crate::refusals::{bad_filters, bad_ids, bad_imports, bad_keys, bad_members, bad_pages, named, no_json, refused};
use crate::shop::{Shop, id, post, problem_code, shared_services};

/// Ecommerce itself, behind no gateway that would refuse large bodies first.
async fn ecommerce() -> Api {
    shared_services().await.direct("ecommerce")
}

fn mark() -> String {
    Uuid::new_v4().simple().to_string()
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let api = ecommerce().await;
    bad_pages(&api, &["customers", "carts", "orders", "orders/stuck", "refunds"]).await;
    let filters = [
        ("carts?status=full", "status"),
        ("carts?customer_id=x", "customer_id"),
        ("orders?status=lost", "status"),
        ("orders?payment_status=late", "payment_status"),
        ("orders?business_day=2026-02-30", "business_day"),
        ("orders?to=tomorrow", "to"),
        ("orders?imported=1", "imported"),
        ("refunds?status=lost", "status"),
        ("refunds?order_id=x", "order_id"),
        ("orders/stuck?older_than_seconds=-1", "older_than_seconds"),
    ];
    bad_filters(&api, &filters).await;
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_no_id_is_400() {
    let api = ecommerce().await;
    bad_ids(&api, &["customers", "carts", "orders", "refunds"]).await;
    let nowhere = "9223372036854775807";
    let item = json!({"product_id": 1, "quantity": 1});
    for (method, path, body) in [
        (Method::PATCH, format!("customers/{nowhere}"), json!({"name": "N"})),
        (Method::DELETE, format!("customers/{nowhere}"), Value::Null),
        (Method::POST, format!("carts/{nowhere}/items"), item),
        (Method::PATCH, format!("carts/{nowhere}/items/1"), json!({"quantity": 1})),
        (Method::DELETE, format!("carts/{nowhere}/items/1"), Value::Null),
        (Method::POST, format!("carts/{nowhere}/checkout"), json!({})),
        (Method::POST, format!("orders/{nowhere}/status"), json!({"status": "shipped"})),
        (Method::POST, format!("orders/{nowhere}/payment"), json!({"payment_status": "paid"})),
        (Method::POST, format!("orders/{nowhere}/refunds"), json!({"lines": [{"line_no": 1, "amount_cents": 1}]})),
        (Method::POST, format!("orders/{nowhere}/refunds"), json!({"lines": [{"line_no": 1, "quantity": 1}]})),
    ] {
        refused(&api, &method, &format!("/api/v1/{path}"), &body, 404, None).await;
    }
    for path in ["carts/1", "orders/1"] {
        refused(&api, &Method::DELETE, &format!("/api/v1/{path}"), &Value::Null, 405, None).await;
    }
}

#[tokio::test]
async fn bad_customers_name_their_field() {
    let api = ecommerce().await;
    let (mark, address) = (mark(), format!("{}@example.com", mark()));
    let customer = json!({"reference": mark, "name": "N", "email": address});
    let cases = vec![
        ("customers", &customer, "name", None, "name"),
        ("customers", &customer, "name", Some(json!("")), "name"),
        ("customers", &customer, "name", Some(json!(7)), "name"),
        ("customers", &customer, "name", Some(json!("x".repeat(201))), "name"),
        ("customers", &customer, "email", Some(json!("nobody")), "email"),
        ("customers", &customer, "email", Some(json!("a@b@c")), "email"),
        ("customers", &customer, "email", Some(json!("a b@c")), "email"),
        ("customers", &customer, "phone", Some(json!("0".repeat(51))), "phone"),
        ("customers", &customer, "reference", Some(json!("a/b")), "reference"),
        ("customers", &customer, "signup_day", Some(json!("2026-02-30")), "signup_day"),
        ("customers", &customer, "signup_day", Some(json!("2999-01-01")), "signup_day"),
        ("customers", &customer, "city", Some(json!("nul\u{0}")), "city"),
        ("customers", &customer, "colour", Some(json!("red")), "colour"),
    ];
    bad_members(&api, cases).await;
    assert!(api.get_all(&format!("/api/v1/customers?reference={mark}")).await.is_empty(), "nothing was written");

    let made = api.post_json("/api/v1/customers", &customer, 201).await;
    for (twin, code) in [
        (json!({"name": "Twin", "email": address.to_uppercase()}), "customer-email-taken"),
        (json!({"name": "Twin", "reference": mark}), "customer-reference-taken"),
    ] {
        let taken = refused(&api, &Method::POST, "/api/v1/customers", &twin, 409, None).await;
        assert_eq!(problem_code(&taken), code);
    }
    let path = format!("/api/v1/customers/{}", id(&made));
    for (change, field) in [
        (json!({"name": " "}), "name"),
        (json!({"email": "nobody"}), "email"),
        (json!({"signup_day": "2026-01-01"}), "signup_day"),
        (json!([]), "body"),
    ] {
        refused(&api, &Method::PATCH, &path, &change, 422, Some(field)).await;
    }
    let changed = api.call(Method::PATCH, &path).json(&json!({"city": "Ulm"})).send().await.expect(200).json();
    assert_eq!((&changed["city"], &changed["name"]), (&json!("Ulm"), &json!("N")), "the rest stays");
}

#[tokio::test]
async fn bad_carts_and_orders_name_their_field() {
    let api = ecommerce().await;
    let shop = Shop::open(shared_services().await, 2, 9).await;
    let product = shop.products[0];
    let cart = shop.cart(product, 2).await;
    let empty = id(&api.post_json("/api/v1/carts", &json!({}), 201).await);
    let (items, checkout) = (format!("carts/{cart}/items"), format!("carts/{cart}/checkout"));
    let (item, nothing) = (json!({"product_id": product, "quantity": 1}), json!({}));
    let step = json!({"status": "processing"});
    let cases = vec![
        ("carts", &nothing, "customer_id", Some(json!(i64::MAX)), "customer_id"),
        ("carts", &nothing, "customer_id", Some(json!("1")), "customer_id"),
        ("carts", &nothing, "colour", Some(json!(1)), "colour"),
        (&items, &item, "product_id", Some(json!(i64::MAX)), "product_id"),
        (&items, &item, "product_id", Some(json!("1")), "product_id"),
        (&items, &item, "product_id", None, "product_id"),
        (&items, &item, "quantity", Some(json!(0)), "quantity"),
        (&items, &item, "quantity", Some(json!(-1)), "quantity"),
        (&items, &item, "quantity", Some(json!(1_000_001)), "quantity"),
        (&items, &item, "quantity", Some(json!(9_223_372_036_854_775_808_u64)), "quantity"),
        (&items, &item, "quantity", Some(json!(1.5)), "quantity"),
        (&items, &item, "price", Some(json!(1)), "price"),
        (&checkout, &nothing, "customer_id", Some(json!(i64::MAX)), "customer_id"),
        (&checkout, &nothing, "accept_price_changes", Some(json!("yes")), "accept_price_changes"),
        (&checkout, &nothing, "payment", Some(json!("cash")), "payment"),
    ];
    bad_members(&api, cases).await;
    let path = format!("/api/v1/{items}/{product}");
    for quantity in [json!(0), json!(-1), json!(1_000_001), json!("1"), Value::Null] {
        refused(&api, &Method::PATCH, &path, &json!({"quantity": quantity}), 422, Some("quantity")).await;
    }
    let stranger = format!("/api/v1/{items}/{}", shop.products[1]);
    refused(&api, &Method::DELETE, &stranger, &Value::Null, 404, None).await;
    let nobodys = format!("/api/v1/carts/{empty}/checkout");
    assert_eq!(problem_code(&post(&api, &nobodys, &nothing).await.expect(409)), "cart-empty");
    api.post_json(&format!("/api/v1/carts/{empty}/items"), &item, 201).await;
    refused(&api, &Method::POST, &nobodys, &nothing, 422, Some("customer_id")).await;

    assert_eq!(api.get_json(&format!("/api/v1/carts/{cart}")).await["item_count"], 2, "nothing was written");
    let order = id(&post(&api, &format!("/api/v1/{checkout}"), &nothing).await.expect(201).json());
    let (status, payment) = (format!("orders/{order}/status"), format!("orders/{order}/payment"));
    let pay = json!({"payment_status": "paid"});
    let cases = vec![
        (status.as_str(), &step, "status", Some(json!("lost")), "status"),
        (&status, &step, "status", Some(json!(1)), "status"),
        (&status, &step, "status", None, "status"),
        (&status, &step, "colour", Some(json!(1)), "colour"),
        (&payment, &pay, "payment_status", Some(json!("late")), "payment_status"),
        (&payment, &pay, "payment_status", None, "payment_status"),
    ];
    bad_members(&api, cases).await;
    let late = post(&api, &format!("/api/v1/{items}"), &item).await.expect(409);
    assert_eq!((problem_code(&late).as_str(), &late.json()["order_id"]), ("cart-checked-out", &json!(order)));

    let inactive = shop.cart(shop.products[1], 1).await;
    let path = format!("/inventory/api/v1/products/{}", shop.products[1]);
    shop.backoffice.call(Method::PATCH, &path).json(&json!({"active": false})).send().await.expect(200);
    let gone = post(&api, &format!("/api/v1/carts/{inactive}/checkout"), &nothing).await.expect(409);
    assert_eq!(problem_code(&gone), "product-inactive");
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let api = ecommerce().await;
    no_json(
        &api,
        Some("customers"),
        &["carts", "carts/1/items", "carts/1/checkout", "orders/1/status", "orders/1/payment", "orders/1/refunds"],
    )
    .await;
    bad_keys(&api, "customers", &json!({"name": "N"})).await;
    bad_keys(&api, "carts", &json!({})).await;
}

#[tokio::test]
async fn bad_imports_are_refused_row_by_row() {
    let api = ecommerce().await;
    bad_imports(&api, "customers/import", "reference").await;
    bad_imports(&api, "orders/import", "reference").await;
    bad_imports(&api, "refunds/import", "reference").await;
    let mark = mark();
    let mut file = format!(
        "\u{feff}reference,name,email,phone,signup_day\r\n{mark},\"Ann, \"\"the\"\" Other\",{mark}@example.com,,2026-01-01\r\n\
         {mark}-2,\"two\r\nlines\",,,2026-01-01\r\n{mark}-3,N,nobody,,2026-01-01\r\n{mark}-4,N,,{},2026-01-01\r\n\
         {mark}-5,N,,,2026-02-30\r\n{mark}-6,N,{}@EXAMPLE.com,,2026-01-01\r\n{mark}/7,N,,,2026-01-01\r\n{mark}-8,",
        "0".repeat(51),
        mark.to_uppercase(),
    )
    .into_bytes();
    file.extend_from_slice(b"\xff,,,2026-01-01\r\n");
    file.extend_from_slice(format!("{mark}-9,N").as_bytes());
    let call = api.call(Method::POST, "/api/v1/customers/import").header("content-type", "text/csv").body(file);
    let report = call.send().await.expect(200).json();
    assert_eq!((&report["applied"], &report["complete"]), (&json!(1), &json!(false)), "{report}");
    let expected = [
        (3, Some("name")),
        (5, Some("email")),
        (6, Some("phone")),
        (7, Some("signup_day")),
        (8, Some("email")),
        (9, Some("reference")),
        (10, Some("name")),
        (11, None),
    ];
    assert_eq!(named(&report), expected, "{report}");

    let header = "reference,customer_reference,status,payment_status,occurred_at,line_no,product_id,sku,product_name,\
                  category,quantity,unit_price_cents,unit_cost_cents,discount_cents";
    let row = |reference: &str, change: &[(usize, &str)]| {
        let mut fields =
            ["", "", "delivered", "paid", "2026-01-02T10:00:00Z", "1", "1", "S", "P", "C", "1", "100", "50", ""];
        let reference = format!("{mark}-{reference}");
        (fields[0], fields[1]) = (reference.as_str(), mark.as_str());
        for (at, value) in change {
            fields[*at] = value;
        }
        fields.join(",")
    };
    let rows = [
        (row("ok", &[]), None),
        (row("a", &[(1, "nobody")]), Some("customer_reference")),
        (row("b", &[(2, "lost")]), Some("status")),
        (row("c", &[(3, "late")]), Some("payment_status")),
        (row("d", &[(4, "2999-01-01T00:00:00Z")]), Some("occurred_at")),
        (row("e", &[(5, "0")]), Some("line_no")),
        (row("f", &[(6, "-1")]), Some("product_id")),
        (row("g", &[(10, "0")]), Some("quantity")),
        (row("h", &[(10, "-1")]), Some("quantity")),
        (row("i", &[(10, "9223372036854775807")]), Some("quantity")),
        (row("j", &[(11, "100000000001")]), Some("unit_price_cents")),
        (row("k", &[(12, "-1")]), Some("unit_cost_cents")),
        (row("l", &[(13, "101")]), Some("discount_cents")),
        (row("m", &[(13, "-1")]), Some("discount_cents")),
    ];
    let file = std::iter::once(header.to_owned()).chain(rows.iter().map(|(row, _)| row.clone())).collect::<Vec<_>>();
    let report = api.import("/api/v1/orders/import", file.join("\n")).await;
    let expected: Vec<(i64, Option<&str>)> =
        rows.iter().enumerate().skip(1).map(|(at, (_, field))| (i64::try_from(at).unwrap() + 2, *field)).collect();
    assert_eq!(named(&report), expected, "{report}");
}
