//! The three databases, held against each other and against what clients were told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sqlx::PgPool;
use system_tests::Stack;

use super::clients::Memory;

/// Pieces by product and location.
type Pieces = BTreeMap<(i64, i64), i64>;

/// A document of retail or ecommerce.
#[derive(Debug, sqlx::FromRow)]
struct Document {
    id: i64,
    reference: String,
    status: String,
    key: Option<String>,
}

/// What lay where before the first movement: on hand less what has moved.
pub(super) async fn opening(stack: &Stack) -> Pieces {
    let inventory = stack.pool("inventory_db").await;
    let (mut pieces, moved) = (on_hand(&inventory).await, moved(&inventory).await);
    for (place, quantity) in moved {
        *pieces.entry(place).or_default() -= quantity;
    }
    pieces
}

/// Audits everything.
pub(super) async fn run(stack: &Stack, opening: &Pieces, memory: &Memory) {
    let inventory = stack.pool("inventory_db").await;
    on_hand_is_opening_and_movements(&inventory, opening).await;

    let retail = stack.pool("retail_db").await;
    let sales = documents(&retail, "SELECT id, reference, status, idempotency_key AS key FROM sales ORDER BY id").await;
    let sold = quantities(
        &retail,
        "SELECT s.reference, l.product_id, -l.quantity FROM sales s JOIN sale_lines l ON l.sale_id = s.id",
    )
    .await;
    let ecommerce = stack.pool("ecommerce_db").await;
    let orders =
        documents(&ecommerce, "SELECT id, reference, status, idempotency_key AS key FROM orders ORDER BY id").await;
    let ordered = quantities(
        &ecommerce,
        "SELECT o.reference, l.product_id, -l.quantity FROM orders o JOIN order_lines l ON l.order_id = o.id",
    )
    .await;

    let taken =
        quantities(&inventory, "SELECT reference, product_id, quantity FROM stock_movements WHERE NOT reversal").await;
    let given_back =
        quantities(&inventory, "SELECT reference, product_id, quantity FROM stock_movements WHERE reversal").await;
    for (documents, asked, effective) in [
        (&sales, &sold, &["completed"][..]),
        (&orders, &ordered, &["confirmed", "processing", "shipped", "delivered"][..]),
    ] {
        for document in documents {
            let reference = &document.reference;
            let (taken, given_back) = (taken.get(reference), given_back.get(reference));
            if effective.contains(&document.status.as_str()) {
                assert_eq!(taken, asked.get(reference), "{document:?}: exactly one set of movements");
                assert_eq!(given_back, None, "{document:?}: nothing given back");
            } else {
                assert_ne!(document.status, "pending", "{document:?}");
                let undone = given_back
                    .map(|back| back.iter().map(|(product, pieces)| (*product, -pieces)).collect::<BTreeMap<_, _>>());
                assert_eq!(taken.cloned(), undone, "{document:?}: a net of none");
            }
        }
    }
    let known: BTreeSet<&String> = sales.iter().chain(&orders).map(|document| &document.reference).collect();
    assert!(taken.keys().all(|reference| known.contains(reference)), "a movement without a document");
    returns_within_sales(&retail).await;
    as_told(&sales, &memory.sales, &["completed", "voided"]);
    as_told(&orders, &memory.orders, &["confirmed", "cancelled"]);
    let decided = |documents: &[Document], status: &str| documents.iter().filter(|it| it.status == status).count();
    assert!(decided(&sales, "completed") > 0 && decided(&orders, "confirmed") > 0, "the campaign sold nothing");
}

/// Requests that were delayed on their way arrive when all is over: whatever was decided stays.
pub(super) async fn delayed_copies_change_nothing(stack: &Stack, opening: &Pieces) {
    let (retail, inventory) = (stack.pool("retail_db").await, stack.pool("inventory_db").await);
    let before = on_hand(&inventory).await;
    let till = stack.api("service-retail");
    let sales: Vec<(i64, String, String, String, i64, chrono::DateTime<chrono::Utc>)> = sqlx::query_as(
        "SELECT id, reference, kind, status, location_id, occurred_at FROM sales ORDER BY id DESC LIMIT 60",
    )
    .fetch_all(&retail)
    .await
    .unwrap();
    for (id, reference, kind, status, location_id, occurred_at) in sales {
        let lines: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT product_id, (-sum(quantity))::bigint FROM sale_lines WHERE sale_id = $1 GROUP BY product_id ORDER BY product_id",
        )
        .bind(id)
        .fetch_all(&retail)
        .await
        .unwrap();
        let lines: Vec<_> = lines
            .into_iter()
            .map(|(product_id, quantity)| json!({"product_id": product_id, "quantity": quantity}))
            .collect();
        let body = json!({"reference": reference, "reason": kind, "location_id": location_id, "occurred_at": occurred_at,
            "time_zone": "America/New_York", "lines": lines});
        let answer = till.post("/inventory/api/v1/stock-movements", &body).await;
        let accepted = matches!(answer.status, 200 | 201);
        assert_eq!(accepted, status == "completed", "a late copy of {reference}, {status}: {}", answer.text());
    }
    assert_eq!(before, on_hand(&inventory).await);
    on_hand_is_opening_and_movements(&inventory, opening).await;
}

async fn on_hand_is_opening_and_movements(inventory: &PgPool, opening: &Pieces) {
    let mut expected = opening.clone();
    for (place, quantity) in moved(inventory).await {
        *expected.entry(place).or_default() += quantity;
    }
    assert_eq!(on_hand(inventory).await, expected, "on hand = opening + sum of movements");
}

async fn returns_within_sales(retail: &PgPool) {
    let beyond: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT original_sale_id, product_id FROM (
           SELECT r.original_sale_id, l.product_id, -l.quantity AS back, 0 AS sold FROM sales r JOIN sale_lines l ON l.sale_id = r.id
            WHERE r.kind = 'return' AND r.status = 'completed'
           UNION ALL SELECT l.sale_id, l.product_id, 0, l.quantity FROM sale_lines l JOIN sales s ON s.id = l.sale_id WHERE s.kind = 'sale') AS x
         GROUP BY 1, 2 HAVING sum(back) > sum(sold)",
    )
    .fetch_all(retail)
    .await
    .unwrap();
    assert_eq!(beyond, [], "more came back than was sold");
}

/// A decision heard is the document's for ever, and one key has one document.
fn as_told(documents: &[Document], memory: &BTreeMap<String, Vec<(u16, i64)>>, yes: &[&str]) {
    let by_key: BTreeMap<&str, &Document> =
        documents.iter().filter_map(|document| Some((document.key.as_deref()?, document))).collect();
    for (key, heard) in memory {
        for (status, id) in heard {
            let document =
                by_key.get(key.as_str()).unwrap_or_else(|| panic!("{key} was told {status} and has no document"));
            assert_eq!(document.id, *id, "{key} was told of two documents");
            let was_yes = yes.contains(&document.status.as_str());
            assert!(*status != 201 || was_yes, "{key} was told yes: {document:?}");
            assert!(
                *status != 409 || ["rejected", "cancelled"].contains(&document.status.as_str()),
                "{key} was told no: {document:?}"
            );
        }
    }
}

async fn on_hand(inventory: &PgPool) -> Pieces {
    by_place(inventory, "SELECT product_id, location_id, on_hand FROM stock").await
}

async fn moved(inventory: &PgPool) -> Pieces {
    by_place(inventory, "SELECT product_id, location_id, sum(quantity)::bigint FROM stock_movements GROUP BY 1, 2")
        .await
}

async fn by_place(inventory: &PgPool, sql: &'static str) -> Pieces {
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(sql).fetch_all(inventory).await.unwrap();
    rows.into_iter().map(|(product, location, pieces)| ((product, location), pieces)).collect()
}

async fn documents(pool: &PgPool, sql: &'static str) -> Vec<Document> {
    sqlx::query_as(sql).fetch_all(pool).await.unwrap()
}

/// Pieces by reference and product, summed.
async fn quantities(pool: &PgPool, sql: &'static str) -> BTreeMap<String, BTreeMap<i64, i64>> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(sql).fetch_all(pool).await.unwrap();
    let mut sums: BTreeMap<String, BTreeMap<i64, i64>> = BTreeMap::new();
    for (reference, product, pieces) in rows {
        *sums.entry(reference).or_default().entry(product).or_default() += pieces;
    }
    sums
}
