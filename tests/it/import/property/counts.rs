//! Counts: several rows of one product at one place add up, however they are sent; and what is on hand is the last count
//! and what moved after it, in whatever order the two are sent.

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use system_tests::{campaign, seed};

use super::file::{Row, Shape, post, text};
use super::{PRODUCTS, len, of_report};
use crate::shop::{Shop, shared_services};

#[tokio::test]
async fn counts_are_the_same_however_they_are_sent() {
    let stack = shared_services().await;
    let (plain, mixed) = (Shop::open(stack, PRODUCTS, 0).await, Shop::open(stack, PRODUCTS, 0).await);
    let mut random = StdRng::seed_from_u64(seed());
    for case in 0..campaign(6, 500) {
        let counted: Vec<i64> = (0..PRODUCTS).map(|_| random.random_range(0..500)).collect();
        let rows: Vec<Row> = (0..PRODUCTS).map(|product| row(&plain, product, counted[product])).collect();
        assert_eq!(of_report(&send(&plain, &rows, Shape::PLAIN, &mut random).await)[3], 0);

        // On up to three shelves each.
        let mut rows: Vec<Row> = Vec::new();
        for (product, whole) in counted.iter().enumerate() {
            let mut rest = *whole;
            for _ in 0..random.random_range(0..3) {
                let shelf = random.random_range(0..=rest);
                rows.push(row(&mixed, product, shelf));
                rest -= shelf;
            }
            rows.push(row(&mixed, product, rest));
        }
        rows.shuffle(&mut random);
        let shape = Shape::any(&mut random);
        let report = send(&mixed, &rows, shape, &mut random).await;
        assert_eq!(of_report(&report)[3], 0, "case {case}: {report}");
        assert_eq!(on_hand(&mixed).await, counted, "case {case}");
        assert_eq!(on_hand(&plain).await, counted, "case {case}");
        rows.shuffle(&mut random);
        let report = send(&mixed, &rows, shape, &mut random).await;
        assert_eq!(of_report(&report), [len(&rows), 0, len(&rows), 0], "case {case}: {report}");
    }
}

/// What happened to one product, by its moment.
#[derive(Debug, Clone, Copy)]
enum Event {
    Moved(i64),
    Counted(i64),
}

#[tokio::test]
async fn on_hand_is_the_last_count_and_what_moved_after_it_in_whatever_order_they_are_sent() {
    const OPENING: i64 = 1_000;
    let stack = shared_services().await;
    let mut random = StdRng::seed_from_u64(seed());
    for case in 0..campaign(6, 500) {
        let shop = Shop::open(stack, 1, OPENING).await;
        let now = Utc::now();
        let mut events: Vec<(DateTime<Utc>, Event)> = (1..random.random_range(4..14))
            .map(|minute| {
                let event = if random.random_ratio(1, 3) {
                    Event::Counted(random.random_range(500..1_500))
                } else {
                    Event::Moved([-1, 1][random.random_range(0..2)] * random.random_range(1..20))
                };
                (now - TimeDelta::minutes(minute), event)
            })
            .collect();
        events.shuffle(&mut random);
        let mut moved: Vec<(DateTime<Utc>, i64)> = Vec::new();
        let mut last: Option<(DateTime<Utc>, i64)> = None;
        for (number, (at, event)) in events.iter().enumerate() {
            match event {
                Event::Moved(quantity) => {
                    post_movement(&shop, &format!("{}-{number}", shop.code), *at, *quantity).await;
                    moved.push((*at, *quantity));
                }
                Event::Counted(pieces) => {
                    let mut row = row(&shop, 0, *pieces);
                    row.push(("counted_at", at.to_rfc3339()));
                    let report = send(&shop, &[row], Shape::PLAIN, &mut random).await;
                    let is_later = last.is_none_or(|(before, _)| before < *at);
                    let what = format!("case {case}, number {number} of {events:?}: {report}");
                    assert_eq!(of_report(&report)[3] == 0, is_later, "{what}");
                    if is_later {
                        last = Some((*at, *pieces));
                    } else {
                        assert_eq!(report["errors"][0]["field"], "counted_at", "{what}");
                    }
                }
            }
            let after =
                |since: DateTime<Utc>| moved.iter().filter(|(at, _)| *at > since).map(|(_, it)| it).sum::<i64>();
            let expected = last.map_or(OPENING + after(DateTime::UNIX_EPOCH), |(since, pieces)| pieces + after(since));
            assert_eq!(on_hand(&shop).await, [expected], "case {case}, number {number} of {events:?}");
        }
    }
}

async fn post_movement(shop: &Shop, reference: &str, at: DateTime<Utc>, quantity: i64) {
    let body = json!({"reference": reference, "reason": if quantity < 0 { "sale" } else { "return" },
        "location_id": shop.location_id, "occurred_at": at, "lines": [{"product_id": shop.products[0], "quantity": quantity}]});
    shop.backoffice.post_json("/inventory/api/v1/stock-movements", &body, 201).await;
}

fn row(shop: &Shop, product: usize, on_hand: i64) -> Row {
    let sku = format!("{}-{product}", shop.code);
    vec![("sku", sku), ("location_code", shop.code.clone()), ("on_hand", on_hand.to_string())]
}

async fn send(shop: &Shop, rows: &[Row], shape: Shape, random: &mut StdRng) -> Value {
    post(shop, "/inventory/api/v1/stock/import", shape, text(rows, shape, random)).await
}

async fn on_hand(shop: &Shop) -> Vec<i64> {
    let mut pieces = Vec::new();
    for product in &shop.products {
        pieces.push(shop.on_hand(*product).await);
    }
    pieces
}
