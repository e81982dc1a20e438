//! Counts: several rows of one product at one place add up, however they are told.

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use system_tests::{campaign, seed};

use super::file::{Row, Shape, post, text};
use super::{PRODUCTS, len, of_report};
use crate::shop::{Shop, shared_services};

#[tokio::test]
async fn counts_are_the_same_however_they_are_told() {
    let stack = shared_services().await;
    let (plain, told) = (Shop::open(stack, PRODUCTS, 0).await, Shop::open(stack, PRODUCTS, 0).await);
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
                rows.push(row(&told, product, shelf));
                rest -= shelf;
            }
            rows.push(row(&told, product, rest));
        }
        rows.shuffle(&mut random);
        let shape = Shape::any(&mut random);
        let report = send(&told, &rows, shape, &mut random).await;
        assert_eq!(of_report(&report)[3], 0, "case {case}: {report}");
        assert_eq!(on_hand(&told).await, counted, "case {case}");
        assert_eq!(on_hand(&plain).await, counted, "case {case}");
        rows.shuffle(&mut random);
        let report = send(&told, &rows, shape, &mut random).await;
        assert_eq!(of_report(&report), [len(&rows), 0, len(&rows), 0], "case {case}: {report}");
    }
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
