//! Bulk import: what comes is counted, what is bad is named, and a repeat changes nothing.

use serde_json::{Value, json};

use super::{Shelf, unique};

fn counts(report: &Value) -> [i64; 4] {
    ["received", "applied", "unchanged", "refused"].map(|name| report[name].as_i64().unwrap())
}

#[tokio::test]
async fn products_come_with_their_categories() {
    let shelf = Shelf::with(0).await;
    let (sku, category) = (unique(), format!("Imported {}", unique()));
    let file = |price: i64| {
        format!(
            "\u{feff}sku,name,category,unit_price_cents,unit_cost_cents,reorder_point,active\r\n\
             {sku},\"Big, round\",{category},{price},50,,\r\n\
             {sku}x,Bad,{category},-1,50,,\r\n\
             {sku} y,Bad,{category},1,50,,\r\n"
        )
    };
    let first = shelf.api.import("/api/v1/products/import", file(100)).await;
    assert_eq!(counts(&first), [3, 1, 0, 2], "{first}");
    let mut lines: Vec<_> =
        first["errors"].as_array().unwrap().iter().map(|error| error["line"].as_i64().unwrap()).collect();
    lines.sort_unstable();
    assert_eq!(lines, [3, 4], "{first}");
    assert_eq!(counts(&shelf.api.import("/api/v1/products/import", file(100)).await), [3, 0, 1, 2]);
    assert_eq!(counts(&shelf.api.import("/api/v1/products/import", file(200)).await), [3, 1, 0, 2]);
    let product = &shelf.api.get_all(&format!("/api/v1/products?sku={sku}")).await[0];
    assert_eq!((&product["name"], &product["unit_price_cents"]), (&json!("Big, round"), &json!(200)));
}

#[tokio::test]
async fn a_second_count_is_an_adjustment() {
    let shelf = Shelf::with(0).await;
    let file = |count: i64| {
        format!("sku,location_code,on_hand\n{},{},{count}\n{},nowhere,1\n", shelf.sku, shelf.code, shelf.sku)
    };
    for (count, expected) in [(10, [2, 1, 0, 1]), (10, [2, 0, 1, 1]), (7, [2, 1, 0, 1])] {
        let report = shelf.api.import("/api/v1/stock/import", file(count)).await;
        assert_eq!(counts(&report), expected, "{report}");
        assert_eq!(report["errors"][0]["field"], "location_code");
        assert_eq!(shelf.on_hand().await, count);
    }
    // Opening 10, and one movement of -3 that explains the rest.
    assert_eq!(shelf.moved().await, (1, -3));
}

#[tokio::test]
async fn a_count_without_a_moment_is_of_now() {
    for (counted, expected) in [(8, [1, 1, 0, 0]), (10, [1, 0, 1, 0])] {
        let shelf = Shelf::with(10).await;
        let count = async |row: String| {
            let file = format!("sku,location_code,on_hand,counted_at\n{},{},{row}\n", shelf.sku, shelf.code);
            counts(&shelf.api.import("/api/v1/stock/import", file).await)
        };
        assert_eq!(count(format!("{counted},")).await, expected);
        // What a till that was offline sold before is in the count already, and so is what a later file counted before it.
        let late = shelf.asks(&format!("late-{}", unique()), "sale", -2);
        shelf.api.post_json("/api/v1/stock-movements", &late, 201).await;
        assert_eq!(shelf.on_hand().await, counted);
        assert_eq!(count("9,2026-03-09T00:00:00Z".to_owned()).await, [1, 0, 0, 1]);
    }
}

#[tokio::test]
async fn a_count_that_no_adjustment_can_bring_about_is_refused_and_no_other() {
    let (shelf, other) = (Shelf::with(10_000_000).await, Shelf::with(3).await);
    let more = shelf.asks(&format!("in-{}", unique()), "replenishment", 5_000_000);
    shelf.api.post_json("/api/v1/stock-movements", &more, 201).await;
    let count = async |pieces: i64| {
        let rows = format!("{},{},{pieces}\n{},{},4\n", shelf.sku, shelf.code, other.sku, other.code);
        shelf.api.import("/api/v1/stock/import", format!("sku,location_code,on_hand\n{rows}")).await
    };
    let report = count(42).await;
    assert_eq!((counts(&report), &report["state"]), ([2, 1, 0, 1], &json!("finished")), "{report}");
    assert_eq!((&report["errors"][0]["line"], &report["errors"][0]["field"]), (&json!(2), &json!("on_hand")));
    assert_eq!((shelf.on_hand().await, other.on_hand().await), (15_000_000, 4));
    assert_eq!(counts(&count(10_000_000).await), [2, 1, 1, 0]);
    assert_eq!(counts(&count(42).await), [2, 1, 1, 0]);
    assert_eq!(shelf.on_hand().await, 42);
}

#[tokio::test]
async fn history_is_written_down_and_takes_no_stock() {
    let shelf = Shelf::with(5).await;
    let (history, live) = (format!("old-{}", unique()), format!("sale-{}", unique()));
    shelf.api.post_json("/api/v1/stock-movements", &shelf.asks(&live, "sale", -1), 201).await;
    let row = |reference: &str, sku: &str, quantity: i64| {
        format!("{reference},sale,{sku},{},{quantity},2025-11-02T01:30:00-05:00,America/New_York\n", shelf.code)
    };
    let file = [
        "reference,reason,sku,location_code,quantity,occurred_at,time_zone\n".to_owned(),
        row(&history, &shelf.sku, -2),
        row(&history, &shelf.sku, -3),
        row(&live, &shelf.sku, -1),
        row(&format!("{history}-b"), &shelf.sku, -1),
        row(&format!("{history}-b"), "unknown", -1),
    ]
    .concat();
    let first = shelf.api.import("/api/v1/stock-movements/import", file.clone()).await;
    assert_eq!(counts(&first), [5, 2, 0, 3], "{first}");
    let again = shelf.api.import("/api/v1/stock-movements/import", file).await;
    assert_eq!(counts(&again), [5, 0, 2, 3], "{again}");
    assert_eq!(shelf.on_hand().await, 4);

    let document = shelf.api.get_json(&format!("/api/v1/stock-movements/{history}")).await;
    assert_eq!((&document["imported"], &document["outcome"]), (&json!(true), &json!("applied")));
    assert_eq!(document["lines"], json!([{"product_id": shelf.product, "quantity": -5}]));
    // A voided document of the past is undone in the books; the shelf never felt it.
    let path = format!("/api/v1/stock-movements/{history}/reversal");
    assert_eq!(shelf.api.post_json(&path, &json!({}), 200).await["outcome"], "reversed");
    assert_eq!(shelf.on_hand().await, 4);
    assert_eq!(shelf.moved().await, (4, 4));
}
