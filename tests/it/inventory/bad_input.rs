//! Bad input on every endpoint: a 4xx that names the field, a problem, and nothing written.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::Api;

use super::{category, inventory, unique};

async fn refused(api: &Api, method: &Method, path: &str, body: &Value, status: u16, field: Option<&str>) {
    let mut call = api.call(method.clone(), path);
    if !body.is_null() {
        call = call.json(body);
    }
    let reply = call.send().await;
    let what = format!("{method} {path} {body}: {}", reply.text());
    assert_eq!((reply.status, reply.media_type()), (status, "application/problem+json"), "{what}");
    let problem = reply.json();
    assert_eq!(problem["field"].as_str(), field, "{what}");
    assert!(
        problem["correlation_id"].is_string() && problem["detail"].as_str().is_some_and(|text| !text.is_empty()),
        "{what}"
    );
    for secret in ["SELECT", "INSERT", "sqlx", "panicked"] {
        assert!(!reply.text().contains(secret), "{what}");
    }
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let api = inventory().await;
    for collection in ["categories", "products", "locations", "stock", "stock-movements"] {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=x", "limit"),
            ("limit=99999999999999999999", "limit"),
            ("limit=1&limit=2", "limit"),
            ("after=%21", "after"),
            ("after=", "after"),
            ("after=eyJhIjoxfQ", "after"),
            ("colour=red", "colour"),
        ] {
            refused(&api, &Method::GET, &format!("/api/v1/{collection}?{query}"), &Value::Null, 400, Some(field)).await;
        }
    }
    for (path, field) in [
        ("products?category_id=x", "category_id"),
        ("products?active=maybe", "active"),
        ("products?below_reorder_point=1", "below_reorder_point"),
        ("locations?kind=shop", "kind"),
        ("stock?on_hand=1.5", "on_hand"),
        ("stock-movements?from=yesterday", "from"),
        ("stock-movements?reason=theft", "reason"),
    ] {
        refused(&api, &Method::GET, &format!("/api/v1/{path}"), &Value::Null, 400, Some(field)).await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_no_id_is_400() {
    let api = inventory().await;
    for collection in ["categories", "products", "locations"] {
        for (id, status, field) in [
            ("9223372036854775807", 404, None),
            ("0", 404, None),
            ("-1", 404, None),
            ("9223372036854775808", 400, Some("path")),
            ("x", 400, Some("path")),
        ] {
            refused(&api, &Method::GET, &format!("/api/v1/{collection}/{id}"), &Value::Null, status, field).await;
        }
        let path = format!("/api/v1/{collection}/9223372036854775807");
        refused(&api, &Method::PATCH, &path, &json!({"name": "New"}), 404, None).await;
        refused(&api, &Method::DELETE, &path, &Value::Null, 405, None).await;
    }
    refused(&api, &Method::GET, "/api/v1/stock-movements/nobody-knows", &Value::Null, 404, None).await;
}

#[tokio::test]
async fn bad_bodies_name_their_field() {
    let api = inventory().await;
    let category = category(&api).await;
    let product =
        json!({"sku": unique(), "name": "N", "category_id": category, "unit_price_cents": 1, "unit_cost_cents": 1});
    let location = json!({"code": unique(), "name": "N", "kind": "warehouse"});
    let movement = json!({"reference": unique(), "reason": "sale", "location_id": 1, "lines": [{"product_id": 1, "quantity": -1}]});
    let line = |line: Value| json!([line]);
    let too_long = "x".repeat(201);
    let validation = json!({"product_ids": [1]});
    let cases = [
        ("products", &product, "sku", Some(json!("")), "sku"),
        ("products", &product, "sku", Some(json!("a b")), "sku"),
        ("products", &product, "sku", Some(json!(7)), "sku"),
        ("products", &product, "sku", None, "sku"),
        ("products", &product, "name", Some(json!("  ")), "name"),
        ("products", &product, "name", Some(json!(too_long)), "name"),
        ("products", &product, "name", Some(json!("nul\u{0}")), "name"),
        ("products", &product, "name", Some(Value::Null), "name"),
        ("products", &product, "category_id", Some(json!(0)), "category_id"),
        ("products", &product, "category_id", Some(json!("1")), "category_id"),
        ("products", &product, "unit_price_cents", Some(json!(-1)), "unit_price_cents"),
        ("products", &product, "unit_price_cents", Some(json!(1.5)), "unit_price_cents"),
        ("products", &product, "unit_price_cents", Some(json!(100_000_000_001_i64)), "unit_price_cents"),
        ("products", &product, "unit_cost_cents", Some(json!(9_223_372_036_854_775_808_u64)), "unit_cost_cents"),
        ("products", &product, "reorder_point", Some(json!(10_000_001)), "reorder_point"),
        ("products", &product, "active", Some(json!("yes")), "active"),
        ("products", &product, "colour", Some(json!("red")), "colour"),
        ("locations", &location, "kind", Some(json!("shop")), "kind"),
        ("locations", &location, "kind", Some(json!("store")), "store_id"),
        ("locations", &location, "store_id", Some(json!(1)), "store_id"),
        ("locations", &location, "code", Some(json!("ü")), "code"),
        ("stock-movements", &movement, "reference", Some(json!("a/b")), "reference"),
        ("stock-movements", &movement, "reason", Some(json!("theft")), "reason"),
        ("stock-movements", &movement, "location_id", Some(json!(i64::MAX)), "location_id"),
        ("stock-movements", &movement, "occurred_at", Some(json!("yesterday")), "occurred_at"),
        ("stock-movements", &movement, "occurred_at", Some(json!("2026-13-01T00:00:00Z")), "occurred_at"),
        ("stock-movements", &movement, "time_zone", Some(json!("Mars/Olympus")), "time_zone"),
        ("stock-movements", &movement, "lines", Some(json!([])), "lines"),
        ("stock-movements", &movement, "lines", Some(json!("none")), "lines"),
        ("stock-movements", &movement, "lines", Some(line(json!({"product_id": 1}))), "lines[0].quantity"),
        (
            "stock-movements",
            &movement,
            "lines",
            Some(line(json!({"product_id": 1, "quantity": 0}))),
            "lines[0].quantity",
        ),
        (
            "stock-movements",
            &movement,
            "lines",
            Some(line(json!({"product_id": 1, "quantity": 1}))),
            "lines[0].quantity",
        ),
        (
            "stock-movements",
            &movement,
            "lines",
            Some(line(json!({"product_id": 1, "quantity": i64::MIN}))),
            "lines[0].quantity",
        ),
        (
            "stock-movements",
            &movement,
            "lines",
            Some(line(json!({"product_id": 1, "quantity": -1, "note": 1}))),
            "lines[0].note",
        ),
        ("products/validate", &validation, "product_ids", Some(json!((0..501).collect::<Vec<_>>())), "product_ids"),
        ("products/validate", &validation, "product_ids", Some(json!(["1"])), "product_ids[0]"),
        ("products/validate", &validation, "store_id", Some(json!("1")), "store_id"),
    ];
    for (path, valid, key, value, field) in cases {
        let mut body = valid.clone();
        match value {
            Some(value) => body[key] = value,
            None => drop(body.as_object_mut().unwrap().remove(key)),
        }
        refused(&api, &Method::POST, &format!("/api/v1/{path}"), &body, 422, Some(field)).await;
    }
    assert!(api.get_all(&format!("/api/v1/products?category_id={category}")).await.is_empty(), "nothing was written");
}

#[tokio::test]
async fn bodies_that_are_no_json_are_told_so() {
    let api = inventory().await;
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(10 << 20));
    let cases: [(&str, Vec<u8>, u16); 6] = [
        ("application/json", b"{\"name\": \"\xff\xfe\"}".to_vec(), 400),
        ("application/json", b"".to_vec(), 400),
        ("application/json", b"{\"name\": \"a\"} more".to_vec(), 400),
        ("application/json", "[".repeat(1000).into_bytes(), 400),
        ("text/plain", b"{\"name\": \"a\"}".to_vec(), 415),
        ("application/json", large.into_bytes(), 413),
    ];
    for path in ["categories", "products", "locations", "stock-movements", "products/validate"] {
        for (media_type, body, status) in &cases {
            let call = api.call(Method::POST, &format!("/api/v1/{path}")).header("content-type", media_type);
            let reply = call.body(body.clone()).send().await;
            // What comes first in a body is told first: for another shape that may be a field, not the syntax.
            let another_shape = path != "categories" || body.first() == Some(&b'[');
            let expected = if *status == 400 && another_shape { vec![400, 422] } else { vec![*status] };
            assert!(expected.contains(&reply.status), "{path} {status}: {}", reply.text());
            assert!(reply.problem().is_some(), "{path} {status}");
        }
    }
    for (key, status) in [(String::new(), 400), ("x".repeat(256), 400)] {
        let call = api.call(Method::POST, "/api/v1/categories").header("idempotency-key", &key);
        call.json(&json!({"name": unique()})).send().await.expect(status);
    }
}
