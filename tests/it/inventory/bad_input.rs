//! Bad input on every endpoint: a 4xx that names the field, a problem, and nothing written.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Shelf, category, inventory, unique};
use crate::refusals::{bad_filters, bad_ids, bad_imports, bad_keys, bad_members, bad_pages, named, no_json, refused};

#[tokio::test]
async fn bad_parameters_are_named() {
    let api = inventory().await;
    bad_pages(&api, &["categories", "products", "locations", "stock", "stock-movements"]).await;
    let filters = [
        ("products?category_id=x", "category_id"),
        ("products?active=maybe", "active"),
        ("products?below_reorder_point=1", "below_reorder_point"),
        ("locations?kind=shop", "kind"),
        ("stock?on_hand=1.5", "on_hand"),
        ("stock-movements?from=yesterday", "from"),
        ("stock-movements?reason=theft", "reason"),
    ];
    bad_filters(&api, &filters).await;
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_no_id_is_400() {
    let api = inventory().await;
    bad_ids(&api, &["categories", "products", "locations"]).await;
    for collection in ["categories", "products", "locations"] {
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
    let cases = vec![
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
    bad_members(&api, cases).await;
    assert!(api.get_all(&format!("/api/v1/products?category_id={category}")).await.is_empty(), "nothing was written");
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let api = inventory().await;
    no_json(&api, Some("categories"), &["products", "locations", "stock-movements", "products/validate"]).await;
    bad_keys(&api, "categories", &json!({"name": unique()})).await;
}

#[tokio::test]
async fn imports_that_are_none_are_refused() {
    let api = inventory().await;
    for (path, column) in [("products", "sku"), ("stock", "sku"), ("stock-movements", "reference")] {
        bad_imports(&api, &format!("{path}/import"), column).await;
    }
    let (sku, category) = (unique(), format!("Refused {}", unique()));
    let file = format!(
        "\u{feff}sku,name,category,unit_price_cents,unit_cost_cents\r\n{sku},\"two\r\nlines\",{category},1,1\r\n\
         {sku} y,N,{category},1,1\r\n{sku}p,N,{category},-1,1\r\n{sku}q,N,{category},1,100000000001\r\n{sku}r,,{category},1,1\r\n\
         {sku}s,N,{category},9223372036854775808,1\r\n{sku}t,N,{category},1,1,1\r\n{sku}u,N,{category}"
    );
    let report = api.import("/api/v1/products/import", file).await;
    assert_eq!((&report["applied"], &report["complete"]), (&json!(0), &json!(false)), "{report}");
    assert_eq!(
        named(&report),
        [
            (2, Some("name")),
            (4, Some("sku")),
            (5, Some("unit_price_cents")),
            (6, Some("unit_cost_cents")),
            (7, Some("name")),
            (8, Some("unit_price_cents")),
            (9, None),
            (10, None)
        ]
    );
}

#[tokio::test]
async fn quantities_that_are_none_are_refused_row_by_row() {
    let shelf = Shelf::with(5).await;
    let (sku, code, mark) = (&shelf.sku, &shelf.code, unique());
    let bad = ["-1", "10000001", "9223372036854775807", "9223372036854775808", "1.5", "many", ""];
    let counts: Vec<String> = bad.iter().map(|count| format!("{sku},{code},{count}\n")).collect();
    let report =
        shelf.api.import("/api/v1/stock/import", format!("sku,location_code,on_hand\n{}", counts.concat())).await;
    let every =
        |field: &'static str, rows: usize| (0..rows).map(move |row| (i64::try_from(row).unwrap() + 2, Some(field)));
    assert_eq!(named(&report), every("on_hand", bad.len()).collect::<Vec<_>>(), "{report}");
    assert_eq!(shelf.on_hand().await, 5);

    // A sale takes and a return gives, nothing moves zero, and nothing moves more than there can be.
    let bad = [
        ("sale", "0"),
        ("sale", "1"),
        ("return", "-1"),
        ("replenishment", "0"),
        ("adjustment", "0"),
        ("sale", "-10000001"),
        ("return", "10000001"),
        ("sale", "-9223372036854775808"),
        ("sale", "-9223372036854775809"),
        ("sale", "-1.5"),
        ("sale", ""),
    ];
    let header = "reference,reason,sku,location_code,quantity,occurred_at,time_zone\n";
    let movements: Vec<String> = (0..)
        .zip(&bad)
        .map(|(at, (reason, quantity))| {
            format!("{mark}-{at},{reason},{sku},{code},{quantity},2026-01-02T10:00:00Z,UTC\n")
        })
        .collect();
    let report = shelf.api.import("/api/v1/stock-movements/import", format!("{header}{}", movements.concat())).await;
    assert_eq!(named(&report), every("quantity", bad.len()).collect::<Vec<_>>(), "{report}");
    assert_eq!(shelf.moved().await, (1, 5), "only what the shelf was filled with");
}
