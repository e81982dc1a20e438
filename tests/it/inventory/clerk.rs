//! What a clerk does: looking things up, changing them, closing them.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Shelf, category, inventory, product, unique, warehouse};

fn ids(items: &[Value]) -> Vec<i64> {
    items.iter().map(|item| item["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn products_are_found_by_what_a_clerk_knows() {
    let shelf = Shelf::with(3).await;
    let api = &shelf.api;
    let category = api.get_json(&format!("/api/v1/products/{}", shelf.product)).await["category_id"].clone();
    let path = format!("/api/v1/products/{}", shelf.product);
    let change = json!({"name": "Ünïque Lantern", "reorder_point": 4});
    let changed = api.call(Method::PATCH, &path).json(&change).send().await.expect(200).json();
    assert_eq!((&changed["name"], &changed["unit_price_cents"]), (&json!("Ünïque Lantern"), &json!(999)));

    let within = format!("category_id={category}");
    for (query, found) in [
        (format!("sku={}", shelf.sku), true),
        (format!("{within}&q=%C3%BCn%C3%AFque+lan"), true),
        (format!("q={}", shelf.sku.chars().skip(4).take(16).collect::<String>().to_uppercase()), true),
        (format!("{within}&q=%25"), false),
        (format!("{within}&below_reorder_point=true"), true),
        (format!("{within}&below_reorder_point=false"), false),
        (format!("{within}&active=true"), true),
        (format!("{within}&active=false"), false),
    ] {
        let items = api.get_all(&format!("/api/v1/products?{query}")).await;
        assert_eq!(ids(&items), if found { vec![shelf.product] } else { vec![] }, "{query}");
    }
    api.call(Method::PATCH, &path).json(&json!({"active": false})).send().await.expect(200);
    assert_eq!(api.get_json(&path).await["active"], false);
}

#[tokio::test]
async fn pages_follow_each_other_whatever_is_added() {
    let api = inventory().await;
    let category = category(&api).await;
    let mut expected = Vec::new();
    for _ in 0..7 {
        expected.push(product(&api, category).await.0);
    }
    let path = format!("/api/v1/products?category_id={category}&limit=3");
    let first = api.get_json(&path).await;
    expected.push(product(&api, category).await.0);
    let mut found = ids(first["items"].as_array().unwrap());
    let mut next = first["next"].clone();
    while let Some(after) = next.as_str() {
        let page = api.get_json(&format!("{path}&after={after}")).await;
        found.extend(ids(page["items"].as_array().unwrap()));
        next = page["next"].clone();
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_write_with_a_key_happens_once() {
    let api = inventory().await;
    let category = category(&api).await;
    let body =
        json!({"sku": unique(), "name": "Once", "category_id": category, "unit_price_cents": 1, "unit_cost_cents": 1});
    let key = unique();
    let send = async |key: &str, body: &Value| {
        api.call(Method::POST, "/api/v1/products").header("idempotency-key", key).json(body).send().await
    };
    let answers = join_all((0..10).map(|_| send(&key, &body))).await;
    let first = answers[0].json();
    for answer in answers {
        assert_eq!(answer.expect(201).json(), first);
    }
    // The answer is the document's present state, not a recording.
    let path = format!("/api/v1/products/{}", first["id"]);
    api.call(Method::PATCH, &path).json(&json!({"unit_price_cents": 2})).send().await.expect(200);
    assert_eq!(send(&key, &body).await.expect(201).json()["unit_price_cents"], 2);

    let mut other = body.clone();
    other["name"] = json!("Twice");
    let reused = send(&key, &other).await.expect(422);
    assert!(reused.problem().unwrap().ends_with("/idempotency-key-reused"));
    let taken = send(&unique(), &body).await.expect(409);
    assert!(taken.problem().unwrap().ends_with("/sku-taken"));

    // A failure that stored nothing binds no key.
    let retried = unique();
    let mut wrong = body.clone();
    wrong["sku"] = json!(unique());
    wrong["category_id"] = json!(i64::MAX);
    send(&retried, &wrong).await.expect(422);
    wrong["category_id"] = json!(category);
    send(&retried, &wrong).await.expect(201);
}

#[tokio::test]
async fn validation_answers_all_that_a_document_freezes() {
    let shelf = Shelf::with(3).await;
    let api = &shelf.api;
    let store_id = i64::from(uuid::Uuid::new_v4().as_fields().0) + 1_000_000;
    let body = json!({"code": unique(), "name": "Shop", "kind": "store", "store_id": store_id});
    let location = api.post_json("/api/v1/locations", &body, 201).await["id"].clone();
    let fill = json!({"reference": format!("in-{}", unique()), "reason": "replenishment", "location_id": location,
                      "lines": [{"product_id": shelf.product, "quantity": 8}]});
    api.post_json("/api/v1/stock-movements", &fill, 201).await;

    let asked = json!({"product_ids": [i64::MAX, shelf.product, shelf.product], "store_id": store_id});
    let answer = api.post_json("/api/v1/products/validate", &asked, 200).await;
    assert_eq!(answer["location_id"], location);
    assert_eq!(answer["unknown"], json!([i64::MAX]));
    let item = &answer["items"][0];
    assert_eq!(answer["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&item["product_id"], &item["sku"], &item["on_hand"]),
        (&json!(shelf.product), &json!(shelf.sku), &json!(8))
    );
    assert_eq!(
        (&item["unit_price_cents"], &item["unit_cost_cents"], &item["active"]),
        (&json!(999), &json!(400), &json!(true))
    );
    assert!(item["category"].as_str().unwrap().starts_with("Category "));

    // A store that Inventory has never heard of has no stock to offer, and that is no error.
    let nowhere = json!({"product_ids": [shelf.product], "store_id": i64::MAX});
    let answer = api.post_json("/api/v1/products/validate", &nowhere, 200).await;
    assert_eq!((&answer["location_id"], &answer["items"][0]["on_hand"]), (&Value::Null, &json!(0)));
    // A closed location offers nothing either.
    let path = format!("/api/v1/locations/{location}");
    api.call(Method::PATCH, &path).json(&json!({"active": false})).send().await.expect(200);
    assert_eq!(api.post_json("/api/v1/products/validate", &asked, 200).await["location_id"], Value::Null);
}

#[tokio::test]
async fn a_category_is_called_once() {
    let api = inventory().await;
    let (name, other) = (unique(), unique());
    let first = api.post_json("/api/v1/categories", &json!({"name": name}), 201).await;
    let second = api.post_json("/api/v1/categories", &json!({"name": other}), 201).await;
    let twin = api.post("/api/v1/categories", &json!({"name": name})).await.expect(409);
    assert!(twin.problem().unwrap().ends_with("/category-name-taken"));
    let path = format!("/api/v1/categories/{}", second["id"]);
    let twin = api.call(Method::PATCH, &path).json(&json!({"name": name})).send().await.expect(409);
    assert!(twin.problem().unwrap().ends_with("/category-name-taken"));
    assert_eq!(ids(&api.get_all(&format!("/api/v1/categories?name={name}")).await), ids(&[first]));
}

#[tokio::test]
async fn locations_keep_their_rules() {
    let api = inventory().await;
    let (location, code) = warehouse(&api).await;
    let again = json!({"code": code, "name": "Other", "kind": "warehouse"});
    assert!(
        api.post("/api/v1/locations", &again).await.expect(409).problem().unwrap().ends_with("/location-code-taken")
    );
    let found = api.get_all(&format!("/api/v1/locations?code={code}&kind=warehouse&active=true")).await;
    assert_eq!(ids(&found), [location]);
    let store_id = i64::from(uuid::Uuid::new_v4().as_fields().0) + 1_000_000;
    let store = |code: String| json!({"code": code, "name": "Shop", "kind": "store", "store_id": store_id});
    api.post_json("/api/v1/locations", &store(unique()), 201).await;
    let second = api.post("/api/v1/locations", &store(unique())).await.expect(409);
    assert!(second.problem().unwrap().ends_with("/store-has-location"));
}

#[tokio::test]
async fn a_transfer_moves_between_two_places_or_not_at_all() {
    let shelf = Shelf::with(10).await;
    let (to, _) = warehouse(&shelf.api).await;
    let there = async || {
        let path = format!("/api/v1/stock?product_id={}&location_id={to}", shelf.product);
        shelf.api.get_json(&path).await["items"][0]["on_hand"].as_i64().unwrap_or(0)
    };
    let transfer = |reference: &str, pieces: i64| {
        let mut body = shelf.asks(reference, "transfer", pieces);
        body["to_location_id"] = json!(to);
        body
    };
    let reference = format!("transfer-{}", unique());
    for _ in 0..2 {
        let document = shelf.api.post_json("/api/v1/stock-movements", &transfer(&reference, 4), 201).await;
        assert_eq!(
            (&document["lines"], &document["to_location_id"]),
            (&json!([{"product_id": shelf.product, "quantity": 4}]), &json!(to))
        );
        assert_eq!((shelf.on_hand().await, there().await), (6, 4));
    }
    let short = shelf.api.post("/api/v1/stock-movements", &transfer(&unique(), 7)).await.expect(409).json();
    assert_eq!(short["short"][0]["on_hand"], 6);
    assert_eq!((shelf.on_hand().await, there().await), (6, 4));
    let path = format!("/api/v1/stock-movements/{reference}/reversal");
    for _ in 0..2 {
        shelf.api.post_json(&path, &json!({}), 200).await;
        assert_eq!((shelf.on_hand().await, there().await), (10, 0));
    }
    // Both ways at once: nobody waits for the other for ever.
    let back = |reference: String| {
        let mut body = transfer(&reference, 1);
        (body["location_id"], body["to_location_id"]) = (json!(to), json!(shelf.location));
        body
    };
    shelf.api.post_json("/api/v1/stock-movements", &transfer(&unique(), 5), 201).await;
    let bodies: Vec<Value> =
        (0..20).map(|at| if at % 2 == 0 { transfer(&unique(), 1) } else { back(unique()) }).collect();
    for answer in join_all(bodies.iter().map(|body| shelf.api.post("/api/v1/stock-movements", body))).await {
        assert!([201, 409].contains(&answer.status), "{}", answer.text());
    }
    assert_eq!(shelf.on_hand().await + there().await, 10);

    for (body, field) in [
        (transfer(&unique(), -1), "lines[0].quantity"),
        (
            {
                let mut body = transfer(&unique(), 1);
                body["to_location_id"] = json!(shelf.location);
                body
            },
            "to_location_id",
        ),
        (
            {
                let mut body = transfer(&unique(), 1);
                body["reason"] = json!("replenishment");
                body
            },
            "to_location_id",
        ),
    ] {
        let refused = shelf.api.post("/api/v1/stock-movements", &body).await.expect(422).json();
        assert_eq!(refused["field"], field, "{refused}");
    }
}
