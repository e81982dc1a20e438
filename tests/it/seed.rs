//! The demo company: loaded through the gateway, the same whenever it is loaded, and right but for its deliberate drift.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use sqlx::PgPool;
use stack::seed::{self, Plan};
use system_tests::Stack;

fn plan() -> Plan {
    Plan { days: 14, stores: 3, products: 24, customers: 40, seed: 5, until: NaiveDate::from_ymd_opt(2026, 11, 21) }
}

/// Pieces by reference and product, as one domain knows them.
type Books = BTreeMap<(String, i64), i64>;

async fn books(pool: &PgPool, sql: &'static str) -> Books {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(sql).fetch_all(pool).await.unwrap();
    rows.into_iter().map(|(reference, product, pieces)| ((reference, product), pieces)).collect()
}

/// What loading the demo printed, and what the services know then.
struct Loaded {
    lines: Vec<String>,
    sold: Books,
    ordered: Books,
    moved: Books,
}

impl Loaded {
    fn knows_the_same(&self, other: &Self) -> bool {
        (&self.sold, &self.ordered, &self.moved) == (&other.sold, &other.ordered, &other.moved)
    }
}

struct Demo {
    stack: Stack,
    retail: PgPool,
    shop: PgPool,
    inventory: PgPool,
}

impl Demo {
    async fn load(&self) -> Loaded {
        let mut lines = Vec::new();
        seed::run(&self.stack.state(), &plan(), &mut |line: &str| lines.push(line.to_owned())).await.unwrap();
        let sold = books(
            &self.retail,
            "SELECT s.reference, l.product_id, sum(l.quantity)::bigint FROM sales s JOIN sale_lines l ON l.sale_id = s.id
             WHERE s.status = 'completed' GROUP BY 1, 2",
        )
        .await;
        let ordered = books(
            &self.shop,
            "SELECT o.reference, l.product_id, sum(l.quantity)::bigint FROM orders o JOIN order_lines l ON l.order_id = o.id
             WHERE o.status NOT IN ('pending', 'cancelled') GROUP BY 1, 2",
        )
        .await;
        let moved = books(
            &self.inventory,
            "SELECT reference, product_id, sum(-quantity)::bigint FROM stock_movements
             WHERE reason IN ('sale', 'return') GROUP BY 1, 2",
        )
        .await;
        Loaded { lines, sold, ordered, moved }
    }
}

#[tokio::test]
async fn the_history_is_loaded_once_and_its_books_agree_but_for_the_drift() {
    let stack = Stack::builder().only(&["inventory", "retail", "ecommerce"]).start().await;
    let (retail, shop, inventory) =
        (stack.pool("retail_db").await, stack.pool("ecommerce_db").await, stack.pool("inventory_db").await);
    let demo = Demo { stack, retail, shop, inventory };
    let loaded = demo.load().await;
    only_the_drift_differs(&loaded);
    history_is_complete(&demo).await;
    loading_again_changes_nothing(&demo, &loaded).await;
}

fn only_the_drift_differs(Loaded { lines, sold, ordered, moved }: &Loaded) {
    assert!(sold.len() > 500 && ordered.len() > 100, "{} sold, {} ordered", sold.len(), ordered.len());
    assert!(sold.values().any(|pieces| *pieces < 0), "there are returns");
    let mut open = sold.clone();
    open.extend(ordered.clone());
    for (key, pieces) in moved {
        *open.entry(key.clone()).or_default() -= pieces;
    }
    let mut wrong: Vec<&str> =
        open.iter().filter(|(_, pieces)| **pieces != 0).map(|((reference, _), _)| reference.as_str()).collect();
    wrong.dedup();
    assert_eq!(wrong, ["sale-MTL-20261121-001", "sale-MTL-20261121-002", "sale-MTL-20261121-lost"]);
    assert!(wrong.iter().all(|reference| lines.iter().any(|line| line.contains(reference))), "{lines:?}");
}

async fn history_is_complete(Demo { retail, shop, inventory, .. }: &Demo) {
    // Each day is a store's own: both ends of the history are whole in every zone.
    let days: Vec<(String, NaiveDate, NaiveDate)> = sqlx::query_as(
        "SELECT time_zone, min((occurred_at AT TIME ZONE time_zone)::date), max((occurred_at AT TIME ZONE time_zone)::date)
         FROM sales GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(retail)
    .await
    .unwrap();
    let day = |d| NaiveDate::from_ymd_opt(2026, 11, d).unwrap();
    let whole = |zone: &str| (zone.to_owned(), day(8), day(21));
    assert_eq!(days, [whole("America/Toronto"), whole("America/Vancouver")]);

    let statuses: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT status FROM orders ORDER BY 1").fetch_all(shop).await.unwrap();
    assert_eq!(statuses, ["cancelled", "confirmed", "delivered", "pending", "processing", "shipped"]);
    let empty: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM stock s JOIN products p ON p.id = s.product_id JOIN locations l ON l.id = s.location_id
         WHERE s.on_hand = 0 AND p.sku = 'SKU-00002' AND l.code = 'MTL'",
    )
    .fetch_one(inventory)
    .await
    .unwrap();
    assert_eq!(empty, 1, "the first store has run out of one product");
}

async fn loading_again_changes_nothing(demo: &Demo, loaded: &Loaded) {
    // A live sale in between is no part of the history.
    let sold_since = "UPDATE stock SET on_hand = on_hand - 1 WHERE on_hand > 5";
    let touched = sqlx::query(sold_since).execute(&demo.inventory).await.unwrap().rows_affected();
    let counts = async || -> i64 {
        sqlx::query_scalar("SELECT sum(on_hand)::bigint FROM stock").fetch_one(&demo.inventory).await.unwrap()
    };
    let before = counts().await;
    assert!(touched > 0);
    let again = demo.load().await;
    assert_eq!(again.lines.len(), 1, "{:?}", again.lines);
    assert!(again.knows_the_same(loaded));
    // Interrupted before its end, it is completed, and what was counted stays as it is.
    let note = demo.stack.state().lake.with_file_name("seed.json");
    let text = std::fs::read_to_string(&note).unwrap();
    std::fs::write(&note, text.replace("\"whole\":true", "\"whole\":false")).unwrap();
    let again = demo.load().await;
    assert!(again.knows_the_same(loaded));
    assert!(again.lines.iter().filter(|line| line.ends_with("known already")).all(|line| line.contains(" 0 applied")));
    assert_eq!(counts().await, before);
    let other = seed::run(&demo.stack.state(), &Plan { days: 7, ..plan() }, &mut |_: &str| ()).await.unwrap_err();
    assert!(other.to_string().contains("--days 14"), "{other}");
}
