//! Live traffic: what the visitors of `stack simulate` did is in the books of both domains, to the piece.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgPool;
use stack::seed::{self, Plan};
use stack::simulate::{self, Traffic};
use system_tests::{Stack, eventually};

async fn pieces(pool: &PgPool, sql: &'static str) -> BTreeMap<(String, i64), i64> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(sql).fetch_all(pool).await.unwrap();
    rows.into_iter().map(|(reference, product, pieces)| ((reference, product), pieces)).collect()
}

#[tokio::test]
async fn visitors_lose_nothing_and_every_piece_sold_is_moved() {
    let stack = Stack::builder().only(&["inventory", "retail", "ecommerce"]).start().await;
    let plan = Plan { days: 2, stores: 2, products: 16, customers: 10, ..Plan::default() };
    seed::run(&stack.state(), &plan, &mut |_: &str| ()).await.unwrap();
    let traffic = Traffic { rate: 8.0, length: Duration::from_secs(5), users: 10, seed: 3 };
    let tally = simulate::run(&stack.state(), &traffic, &mut |_: &str| ()).await.unwrap();

    assert_eq!(tally.lost, 0, "{}", tally.table());
    let mistakes = &tally.actions["mistake"];
    assert!(mistakes.errors.is_empty(), "every mistake got the refusal that fits: {mistakes:?}");
    assert!(tally.actions["sale"].answered() > 5 && tally.actions["checkout"].answered() > 2, "{}", tally.table());

    let (retail, shop, inventory) =
        (stack.pool("retail_db").await, stack.pool("ecommerce_db").await, stack.pool("inventory_db").await);
    eventually("no document is pending", async || {
        let sales: i64 =
            sqlx::query_scalar("SELECT count(*) FROM sales WHERE status = 'pending'").fetch_one(&retail).await.unwrap();
        let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders WHERE status = 'pending' AND NOT imported")
            .fetch_one(&shop)
            .await
            .unwrap();
        sales + orders == 0
    })
    .await;
    let mut sold = pieces(
        &retail,
        "SELECT s.reference, l.product_id, sum(l.quantity)::bigint FROM sales s JOIN sale_lines l ON l.sale_id = s.id
         WHERE s.status = 'completed' AND NOT s.imported GROUP BY 1, 2",
    )
    .await;
    let ordered = pieces(
        &shop,
        "SELECT o.reference, l.product_id, sum(l.quantity)::bigint FROM orders o JOIN order_lines l ON l.order_id = o.id
         WHERE o.status NOT IN ('pending', 'cancelled') AND NOT o.imported GROUP BY 1, 2",
    )
    .await;
    assert!(!sold.is_empty() && !ordered.is_empty());
    sold.extend(ordered);
    let moved = pieces(
        &inventory,
        "SELECT reference, product_id, sum(-quantity)::bigint FROM stock_movements
         WHERE reason IN ('sale', 'return') AND NOT imported GROUP BY 1, 2 HAVING sum(quantity) <> 0",
    )
    .await;
    assert_eq!(sold, moved, "what was sold, and what left the shelves");
    let below: i64 =
        sqlx::query_scalar("SELECT count(*) FROM stock WHERE on_hand < 0").fetch_one(&inventory).await.unwrap();
    assert_eq!(below, 0);
}
