//! Taking stock and giving it back.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};
use system_tests::{Api, Reply};

use super::{Shelf, category, inventory, product, unique, warehouse};

const MOVEMENTS: &str = "/api/v1/stock-movements";

/// Asks until the answer is not "try again": what every caller may do, for the reference makes it safe.
async fn insist(api: &Api, path: &str, body: &Value) -> Reply {
    loop {
        let reply = api.post(path, body).await;
        if reply.status != 503 {
            return reply;
        }
        assert!(reply.header("retry-after").is_some());
    }
}

fn reversal(reference: &str) -> String {
    format!("{MOVEMENTS}/{reference}/reversal")
}

#[tokio::test]
async fn a_hundred_buyers_of_the_last_ten_get_ten() {
    let shelf = Shelf::with(10).await;
    let answers = join_all((0..100).map(|_| async {
        let asked = shelf.asks(&format!("sale-{}", unique()), "sale", -1);
        insist(&shelf.api, MOVEMENTS, &asked).await
    }))
    .await;
    let applied = answers.iter().filter(|reply| reply.status == 201).count();
    let refused = answers.iter().filter(|reply| {
        reply.status == 409 && reply.problem().is_some_and(|problem| problem.ends_with("/insufficient-stock"))
    });
    assert_eq!((applied, refused.count()), (10, 90));
    assert_eq!(shelf.on_hand().await, 0);
    assert_eq!(shelf.moved().await, (11, 0));
}

#[tokio::test]
async fn a_reference_is_applied_once_however_often_it_is_sent() {
    let shelf = Shelf::with(10).await;
    let reference = format!("sale-{}", unique());
    let asked = shelf.asks(&reference, "sale", -3);
    let answers = join_all((0..20).map(|_| insist(&shelf.api, MOVEMENTS, &asked))).await;
    let first = answers[0].json();
    for answer in answers {
        assert_eq!(answer.expect(201).json(), first);
    }
    assert_eq!(shelf.on_hand().await, 7);
    assert_eq!(shelf.moved().await, (2, 7));

    // The same moment in another zone and with more digits is the same request; another quantity is not.
    let mut again = asked.clone();
    again["occurred_at"] = json!("2026-03-08T02:30:00.123456789-05:00");
    assert_eq!(shelf.api.post_json(MOVEMENTS, &again, 201).await, first);
    shelf.api.post_json(MOVEMENTS, &shelf.asks(&reference, "sale", -4), 422).await;
    assert_eq!(shelf.on_hand().await, 7);
}

#[tokio::test]
async fn a_refusal_is_for_ever() {
    let shelf = Shelf::with(2).await;
    let reference = format!("sale-{}", unique());
    let asked = shelf.asks(&reference, "sale", -3);
    let refused = shelf.api.post_json(MOVEMENTS, &asked, 409).await;
    assert_eq!(refused["short"], json!([{"product_id": shelf.product, "requested": 3, "on_hand": 2}]));

    let more = shelf.asks(&format!("in-{}", unique()), "replenishment", 10);
    shelf.api.post_json(MOVEMENTS, &more, 201).await;
    let repeated = shelf.api.post_json(MOVEMENTS, &asked, 409).await;
    assert_eq!(repeated["short"], refused["short"], "the kept answer, though there is enough now");
    assert_eq!(shelf.api.post_json(&reversal(&reference), &json!({}), 200).await["outcome"], "refused");
    assert_eq!(shelf.on_hand().await, 12);
}

#[tokio::test]
async fn all_lines_are_applied_or_none() {
    let api = inventory().await;
    let category = category(&api).await;
    let ((plenty, _), (scarce, _)) = (product(&api, category).await, product(&api, category).await);
    let (location, _) = warehouse(&api).await;
    let document = |reference: &str, reason: &str, lines: &[(i64, i64)]| {
        let lines: Vec<Value> =
            lines.iter().map(|(id, quantity)| json!({"product_id": id, "quantity": quantity})).collect();
        json!({"reference": format!("{reference}-{location}"), "reason": reason, "location_id": location, "lines": lines})
    };
    api.post_json(MOVEMENTS, &document("in", "replenishment", &[(plenty, 100), (scarce, 1)]), 201).await;
    api.post_json(MOVEMENTS, &document("sale", "sale", &[(plenty, -5), (scarce, -2)]), 409).await;
    // Two lines of one product are added up before they are compared with what is left.
    api.post_json(MOVEMENTS, &document("twice", "sale", &[(scarce, -1), (scarce, -1)]), 409).await;
    let unknown = api.post_json(MOVEMENTS, &document("unknown", "sale", &[(plenty, -5), (i64::MAX, -1)]), 422).await;
    assert_eq!(unknown["field"], "lines[1].product_id");
    let stock = api.get_all(&format!("/api/v1/stock?location_id={location}")).await;
    let on_hand: Vec<_> = stock.iter().map(|row| row["on_hand"].as_i64().unwrap()).collect();
    assert_eq!(on_hand, [100, 1]);
}

#[tokio::test]
async fn a_reversal_gives_back_once_and_closes() {
    let shelf = Shelf::with(5).await;
    let reference = format!("sale-{}", unique());
    let asked = shelf.asks(&reference, "sale", -5);
    shelf.api.post_json(MOVEMENTS, &asked, 201).await;
    let path = reversal(&reference);
    let reversals = join_all((0..10).map(|_| insist(&shelf.api, &path, &Value::Null))).await;
    for reply in reversals {
        assert_eq!(reply.expect(200).json()["outcome"], "reversed");
    }
    assert_eq!(shelf.on_hand().await, 5);
    assert_eq!(shelf.moved().await, (3, 5));
    let late = shelf.api.post(MOVEMENTS, &asked).await.expect(409);
    assert!(late.problem().unwrap().ends_with("/reference-closed"));
    assert_eq!(shelf.on_hand().await, 5);
}

#[tokio::test]
async fn reversing_what_was_never_heard_of_closes_it() {
    let shelf = Shelf::with(5).await;
    let reference = format!("sale-{}", unique());
    let closed = shelf.api.post_json(&reversal(&reference), &json!({}), 200).await;
    assert_eq!(closed["outcome"], "closed");
    let late = shelf.api.post(MOVEMENTS, &shelf.asks(&reference, "sale", -1)).await.expect(409);
    assert!(late.problem().unwrap().ends_with("/reference-closed"));
    assert_eq!(shelf.on_hand().await, 5);
}

#[tokio::test]
async fn a_return_that_was_sold_again_cannot_be_reversed_until_there_is_stock() {
    let shelf = Shelf::with(0).await;
    let reference = format!("return-{}", unique());
    shelf.api.post_json(MOVEMENTS, &shelf.asks(&reference, "return", 2), 201).await;
    shelf.api.post_json(MOVEMENTS, &shelf.asks(&format!("sale-{}", unique()), "sale", -1), 201).await;
    shelf.api.post_json(&reversal(&reference), &json!({}), 409).await;
    assert_eq!(shelf.on_hand().await, 1, "nothing was half undone");
    shelf.api.post_json(MOVEMENTS, &shelf.asks(&format!("in-{}", unique()), "replenishment", 1), 201).await;
    assert_eq!(shelf.api.post_json(&reversal(&reference), &json!({}), 200).await["outcome"], "reversed");
    assert_eq!(shelf.on_hand().await, 0);
}

/// Requests and their reversals race; whoever wins, a reference nets to what its kept outcome says.
#[tokio::test]
async fn requests_racing_their_reversals_net_to_what_is_kept() {
    let shelf = Shelf::with(1000).await;
    let references: Vec<String> = (0..40).map(|_| format!("sale-{}", unique())).collect();
    join_all(references.iter().enumerate().flat_map(|(at, reference)| {
        let (shelf, asked) = (&shelf, shelf.asks(reference, "sale", -1));
        let post = async move {
            insist(&shelf.api, MOVEMENTS, &asked).await;
        };
        let reverse = async move {
            insist(&shelf.api, &reversal(reference), &Value::Null).await.expect(200);
        };
        let pair: [std::pin::Pin<Box<dyn Future<Output = ()>>>; 2] =
            if at % 2 == 0 { [Box::pin(post), Box::pin(reverse)] } else { [Box::pin(reverse), Box::pin(post)] };
        pair
    }))
    .await;
    assert_eq!(shelf.on_hand().await, 1000, "each was reversed, before or after");
    let mut by_reference: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for movement in shelf.api.get_all(&format!("{MOVEMENTS}?product_id={}&reason=sale", shelf.product)).await {
        let reference = movement["reference"].as_str().unwrap().to_owned();
        by_reference.entry(reference).or_default().push(movement["quantity"].as_i64().unwrap());
    }
    for (reference, quantities) in by_reference {
        assert_eq!(quantities, [-1, 1], "{reference}");
    }
}

/// Documents over the same products in any order, at once: none waits for another for ever.
#[tokio::test]
async fn documents_that_overlap_do_not_deadlock() {
    let api = inventory().await;
    let category = category(&api).await;
    let mut products = Vec::new();
    for _ in 0..5 {
        products.push(product(&api, category).await.0);
    }
    let (location, _) = warehouse(&api).await;
    let api = &api;
    let documents: Vec<Value> = (0..60_usize)
        .map(|at| {
            // Every rotation of the products, half of them backwards, some giving and some taking.
            let mut ids: Vec<i64> = products.iter().cycle().skip(at % 5).take(4).copied().collect();
            if at % 2 == 0 {
                ids.reverse();
            }
            let quantity = if at % 3 == 0 { -1 } else { 2 };
            let lines: Vec<Value> = ids.iter().map(|id| json!({"product_id": id, "quantity": quantity})).collect();
            json!({"reference": format!("mix-{}", unique()), "reason": "adjustment", "location_id": location, "lines": lines})
        })
        .collect();
    let answers = join_all(documents.iter().map(|document| async move {
        let reply = api.post(MOVEMENTS, document).await;
        let detail = reply.text();
        assert!(reply.status != 503 || !detail.contains("busy"), "a deadlock or a serialization failure: {detail}");
        if reply.status == 503 { insist(api, MOVEMENTS, document).await } else { reply }
    }))
    .await;
    assert!(answers.iter().all(|reply| matches!(reply.status, 201 | 409)));
    for product in products {
        let stock = api.get_json(&format!("/api/v1/stock?product_id={product}")).await;
        let movements = api.get_all(&format!("{MOVEMENTS}?product_id={product}")).await;
        let sum: i64 = movements.iter().map(|movement| movement["quantity"].as_i64().unwrap()).sum();
        assert_eq!(stock["items"][0]["on_hand"], sum);
    }
}
