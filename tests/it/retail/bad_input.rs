//! Bad input on every endpoint of retail: a 4xx that names the field, a problem, and nothing written.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::Api;
use uuid::Uuid;

use crate::refusals::{bad_filters, bad_ids, bad_imports, bad_keys, bad_members, bad_pages, named, no_json, refused};
use crate::shop::{Shop, id, post, problem_code, shared_services};

/// Retail itself, behind no gateway that would refuse large bodies first.
async fn retail() -> Api {
    shared_services().await.direct("retail")
}

fn code() -> String {
    Uuid::new_v4().simple().to_string().split_off(20)
}

/// `body` with one member set.
fn with(body: &Value, member: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[member] = value;
    body
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let api = retail().await;
    bad_pages(&api, &["stores", "registers", "sales", "sales/stuck"]).await;
    let filters = [
        ("stores?active=maybe", "active"),
        ("registers?store_id=x", "store_id"),
        ("registers?number=1.5", "number"),
        ("sales?status=lost", "status"),
        ("sales?kind=gift", "kind"),
        ("sales?business_day=2026-02-30", "business_day"),
        ("sales?from=yesterday", "from"),
        ("sales?imported=1", "imported"),
        ("sales/stuck?older_than_seconds=-1", "older_than_seconds"),
    ];
    bad_filters(&api, &filters).await;
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_no_id_is_400() {
    let api = retail().await;
    bad_ids(&api, &["stores", "registers", "sales"]).await;
    let nowhere = "9223372036854775807";
    refused(&api, &Method::PATCH, &format!("/api/v1/stores/{nowhere}"), &json!({"name": "N"}), 404, None).await;
    refused(&api, &Method::PATCH, &format!("/api/v1/registers/{nowhere}"), &json!({"active": true}), 404, None).await;
    refused(&api, &Method::POST, &format!("/api/v1/sales/{nowhere}/void"), &Value::Null, 404, None).await;
    refused(&api, &Method::GET, &format!("/api/v1/sales/{nowhere}/returns"), &Value::Null, 404, None).await;
    let back = json!({"lines": [{"product_id": 1, "quantity": 1}]});
    refused(&api, &Method::POST, &format!("/api/v1/sales/{nowhere}/returns"), &back, 404, None).await;
    for path in ["stores/1", "registers/1", "sales/1"] {
        refused(&api, &Method::DELETE, &format!("/api/v1/{path}"), &Value::Null, 405, None).await;
    }
}

#[tokio::test]
async fn bad_places_name_their_field() {
    let api = retail().await;
    let shop = Shop::open(shared_services().await, 0, 0).await;
    let store = json!({"code": code(), "name": "N", "city": "C", "time_zone": "Europe/Berlin"});
    let register = json!({"store_id": shop.store_id, "number": 2});
    let cases = vec![
        ("stores", &store, "code", Some(json!("")), "code"),
        ("stores", &store, "code", Some(json!("a b")), "code"),
        ("stores", &store, "code", Some(json!("x".repeat(33))), "code"),
        ("stores", &store, "code", Some(json!(7)), "code"),
        ("stores", &store, "code", None, "code"),
        ("stores", &store, "name", Some(json!("  ")), "name"),
        ("stores", &store, "name", Some(json!("nul\u{0}")), "name"),
        ("stores", &store, "city", Some(Value::Null), "city"),
        ("stores", &store, "time_zone", Some(json!("Mars/Olympus")), "time_zone"),
        ("stores", &store, "time_zone", Some(json!("+02:00")), "time_zone"),
        ("stores", &store, "active", Some(json!("yes")), "active"),
        ("stores", &store, "colour", Some(json!("red")), "colour"),
        ("registers", &register, "store_id", Some(json!(i64::MAX)), "store_id"),
        ("registers", &register, "store_id", Some(json!("1")), "store_id"),
        ("registers", &register, "number", Some(json!(0)), "number"),
        ("registers", &register, "number", Some(json!(10_000)), "number"),
        ("registers", &register, "number", Some(json!(1.5)), "number"),
        ("registers", &register, "number", Some(json!(3_000_000_000_i64)), "number"),
        ("registers", &register, "number", None, "number"),
    ];
    bad_members(&api, cases).await;
    assert_eq!(api.get_all(&format!("/api/v1/registers?store_id={}", shop.store_id)).await.len(), 1);
    let taken =
        refused(&api, &Method::POST, "/api/v1/stores", &with(&store, "code", json!(shop.code)), 409, None).await;
    assert_eq!(problem_code(&taken), "store-code-taken");
    let taken =
        refused(&api, &Method::POST, "/api/v1/registers", &with(&register, "number", json!(1)), 409, None).await;
    assert_eq!(problem_code(&taken), "register-number-taken");
    let path = format!("/api/v1/stores/{}", shop.store_id);
    for (change, field) in [
        (json!({"code": "X"}), "code"),
        (json!({"time_zone": "x"}), "time_zone"),
        (json!({"name": ""}), "name"),
        (json!([]), "body"),
    ] {
        refused(&api, &Method::PATCH, &path, &change, 422, Some(field)).await;
    }
}

#[tokio::test]
async fn bad_sales_and_returns_name_their_field() {
    let api = retail().await;
    let (shop, other) =
        (Shop::open(shared_services().await, 1, 9).await, Shop::open(shared_services().await, 0, 0).await);
    let product = shop.products[0];
    let sale = shop.sale(product, 1);
    let line =
        |member: &str, value: Value| Some(json!([with(&json!({"product_id": product, "quantity": 1}), member, value)]));
    let many: Vec<Value> = (0..501).map(|_| json!({"product_id": product, "quantity": 1})).collect();
    let sold = id(&shop.sell(product, 3).await);
    let path = format!("sales/{sold}/returns");
    let back = json!({"lines": [{"product_id": product, "quantity": 1}]});
    let mut cases = vec![
        ("sales", &sale, "store_id", Some(json!(other.store_id)), "register_id"),
        ("sales", &sale, "store_id", None, "store_id"),
        ("sales", &sale, "register_id", Some(json!(i64::MAX)), "register_id"),
        ("sales", &sale, "register_id", Some(json!("1")), "register_id"),
        ("sales", &sale, "occurred_at", Some(json!("yesterday")), "occurred_at"),
        ("sales", &sale, "occurred_at", Some(json!("2026-02-30T00:00:00Z")), "occurred_at"),
        ("sales", &sale, "occurred_at", Some(json!("2999-01-01T00:00:00Z")), "occurred_at"),
        ("sales", &sale, "occurred_at", Some(json!("1969-12-31T23:59:59Z")), "occurred_at"),
        ("sales", &sale, "lines", None, "lines"),
        ("sales", &sale, "colour", Some(json!(1)), "colour"),
        ("sales", &sale, "lines", line("product_id", json!(i64::MAX)), "lines[0].product_id"),
        ("sales", &sale, "lines", line("discount_cents", json!(-1)), "lines[0].discount_cents"),
        ("sales", &sale, "lines", line("discount_cents", json!(1001)), "lines[0].discount_cents"),
        ("sales", &sale, "lines", line("discount_cents", json!(i64::MAX)), "lines[0].discount_cents"),
        (&path, &back, "register_id", Some(json!(i64::MAX)), "register_id"),
        (&path, &back, "occurred_at", Some(json!("1970-01-02T00:00:00Z")), "occurred_at"),
        (&path, &back, "occurred_at", Some(json!("2999-01-01T00:00:00Z")), "occurred_at"),
        (&path, &back, "lines", line("line_no", json!("one")), "lines[0].line_no"),
        (&path, &back, "reason", Some(json!("broken")), "reason"),
    ];
    for (path, valid) in [("sales", &sale), (path.as_str(), &back)] {
        cases.extend([
            (path, valid, "lines", Some(json!([])), "lines"),
            (path, valid, "lines", Some(json!("none")), "lines"),
            (path, valid, "lines", Some(json!(many)), "lines"),
            (path, valid, "lines", line("quantity", json!(0)), "lines[0].quantity"),
            (path, valid, "lines", line("quantity", json!(-1)), "lines[0].quantity"),
            (path, valid, "lines", line("quantity", json!(1_000_001)), "lines[0].quantity"),
            (path, valid, "lines", line("quantity", json!(i64::MIN)), "lines[0].quantity"),
            (path, valid, "lines", line("quantity", json!(9_223_372_036_854_775_808_u64)), "lines[0].quantity"),
            (path, valid, "lines", line("quantity", json!(1.5)), "lines[0].quantity"),
            (path, valid, "lines", line("quantity", json!("1")), "lines[0].quantity"),
            (path, valid, "lines", line("note", json!(1)), "lines[0].note"),
            (path, valid, "lines", Some(json!([{"quantity": 1}])), "lines[0].product_id"),
        ]);
    }
    bad_members(&api, cases).await;
    assert_eq!(api.get_all(&format!("/api/v1/sales?store_id={}", shop.store_id)).await.len(), 1, "nothing was written");
    assert_eq!(shop.on_hand(product).await, 6);
}

#[tokio::test]
async fn a_wrong_state_is_refused() {
    let api = retail().await;
    let shop = Shop::open(shared_services().await, 2, 9).await;
    let (product, unsold) = (shop.products[0], shop.products[1]);
    let sale = shop.sale(product, 1);
    let sold = id(&shop.sell(product, 1).await);
    let one = json!({"lines": [{"product_id": product, "quantity": 1}]});
    let conflict =
        async |path: &str, body: &Value| problem_code(&post(&api, &format!("/api/v1/{path}"), body).await.expect(409));
    let change = async |path: String, body: Value| {
        shop.backoffice.call(Method::PATCH, &path).json(&body).send().await.expect(200);
    };
    let too_many = json!({"lines": [{"product_id": product, "quantity": 2}]});
    assert_eq!(conflict(&format!("sales/{sold}/returns"), &too_many).await, "more-than-sold");
    let other = json!({"lines": [{"product_id": unsold, "quantity": 1}]});
    assert_eq!(conflict(&format!("sales/{sold}/returns"), &other).await, "more-than-sold");
    let returned = id(&post(&api, &format!("/api/v1/sales/{sold}/returns"), &one).await.expect(201).json());
    assert_eq!(conflict(&format!("sales/{returned}/void"), &Value::Null).await, "not-a-sale");
    assert_eq!(conflict(&format!("sales/{returned}/returns"), &one).await, "not-a-sale");
    let short = post(&api, "/api/v1/sales", &shop.sale(product, 100)).await.expect(409);
    let rejected = short.json()["sale_id"].as_i64().unwrap();
    assert_eq!(conflict(&format!("sales/{rejected}/void"), &Value::Null).await, "sale-not-completed");
    assert_eq!(conflict(&format!("sales/{rejected}/returns"), &one).await, "sale-not-completed");

    change(format!("/inventory/api/v1/products/{unsold}"), json!({"active": false})).await;
    assert_eq!(conflict("sales", &shop.sale(unsold, 1)).await, "product-inactive");
    change(format!("/inventory/api/v1/locations/{}", shop.location_id), json!({"active": false})).await;
    assert_eq!(conflict("sales", &sale).await, "no-stock-location");
    change(format!("/retail/api/v1/registers/{}", shop.register_id), json!({"active": false})).await;
    assert_eq!(conflict("sales", &sale).await, "register-inactive");
    change(format!("/retail/api/v1/stores/{}", shop.store_id), json!({"active": false})).await;
    assert_eq!(conflict("sales", &sale).await, "store-inactive");
    // What is closed keeps its history.
    api.get(&format!("/api/v1/sales/{sold}")).await.expect(200);
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let api = retail().await;
    no_json(&api, None, &["stores", "registers", "sales", "sales/1/returns"]).await;
    let store = json!({"code": code(), "name": "N", "city": "C", "time_zone": "Europe/Berlin"});
    bad_keys(&api, "stores", &store).await;
    bad_keys(&api, "sales", &json!({"store_id": 1, "register_id": 1, "lines": []})).await;
    // A key makes a place once, as it does a sale.
    let key = code();
    let send = async |body: &Value| {
        api.call(Method::POST, "/api/v1/stores").header("idempotency-key", &key).json(body).send().await
    };
    let (first, again) = (send(&store).await.expect(201).json(), send(&store).await.expect(201).json());
    assert_eq!(first, again);
    assert_eq!(problem_code(&send(&with(&store, "city", json!("D"))).await.expect(422)), "idempotency-key-reused");
}

#[tokio::test]
async fn bad_imports_are_refused_row_by_row() {
    let api = retail().await;
    bad_imports(&api, "stores/import", "code").await;
    bad_imports(&api, "sales/import", "reference").await;
    let code = code();
    let mut file = format!(
        "\u{feff}code,name,city,time_zone\r\n{code},\"Große, \"\"alte\"\"\r\nHalle\",Köln,Europe/Berlin\r\n\
         {code}-2,\"Große, \"\"alte\"\" Halle\",Köln,Europe/Berlin\r\n{code} 3,N,C,Europe/Berlin\r\n{code}-4,N,C,Mars/Olympus\r\n"
    )
    .into_bytes();
    file.extend_from_slice(format!("{code}-5,N,\u{0}").as_bytes());
    file.extend_from_slice(b"\xff,Europe/Berlin\r\n");
    file.extend_from_slice(format!("{code}-6,N,C").as_bytes());
    let call = api.call(Method::POST, "/api/v1/stores/import").header("content-type", "text/csv").body(file);
    let report = call.send().await.expect(200).json();
    assert_eq!((&report["applied"], &report["complete"]), (&json!(1), &json!(false)), "{report}");
    // A name stands on one line.
    let expected = [(2, Some("name")), (5, Some("code")), (6, Some("time_zone")), (7, Some("city")), (8, None)];
    assert_eq!(named(&report), expected, "{report}");

    let header = "reference,kind,store_code,register_number,occurred_at,line_no,product_id,sku,product_name,category,\
                  quantity,unit_price_cents,unit_cost_cents,discount_cents,original_reference";
    let row = |reference: &str, change: &[(usize, &str)]| {
        let mut fields =
            ["", "sale", "", "1", "2026-01-02T10:00:00Z", "1", "1", "S", "P", "C", "1", "100", "50", "", ""];
        let (reference, store) = (format!("{code}-{reference}"), format!("{code}-2"));
        (fields[0], fields[2]) = (reference.as_str(), store.as_str());
        for (at, value) in change {
            fields[*at] = value;
        }
        fields.join(",")
    };
    let sale = format!("{code}-ok");
    let rows = [
        (row("ok", &[]), None),
        (row("lines", &[(8, "\"two\nlines\"")]), Some("product_name")),
        (row("a", &[(1, "gift")]), Some("kind")),
        (row("b", &[(2, "nowhere")]), Some("store_code")),
        (row("c", &[(3, "0")]), Some("register_number")),
        (row("d", &[(4, "2999-01-01T00:00:00Z")]), Some("occurred_at")),
        (row("e", &[(4, "yesterday")]), Some("occurred_at")),
        (row("f", &[(5, "0")]), Some("line_no")),
        (row("g", &[(6, "0")]), Some("product_id")),
        (row("h", &[(10, "0")]), Some("quantity")),
        (row("i", &[(10, "-1")]), Some("quantity")),
        (row("j", &[(10, "9223372036854775807")]), Some("quantity")),
        (row("k", &[(11, "-1")]), Some("unit_price_cents")),
        (row("l", &[(11, "9223372036854775808")]), Some("unit_price_cents")),
        (row("m", &[(13, "101")]), Some("discount_cents")),
        (row("n", &[(14, &sale)]), Some("original_reference")),
        (row("o", &[(1, "return"), (14, "nothing")]), Some("original_reference")),
        (row("p", &[(1, "return"), (14, &sale), (10, "2")]), Some("quantity")),
    ];
    let file = std::iter::once(header.to_owned()).chain(rows.iter().map(|(row, _)| row.clone())).collect::<Vec<_>>();
    let report = api.import("/api/v1/sales/import", file.join("\n")).await;
    // One row is two lines long, which a name never is.
    let expected: Vec<(i64, Option<&str>)> = std::iter::once((3, Some("product_name")))
        .chain(rows.iter().enumerate().skip(2).map(|(at, (_, field))| (i64::try_from(at).unwrap() + 3, *field)))
        .collect();
    assert_eq!(named(&report), expected, "{report}");
}
