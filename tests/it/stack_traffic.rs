//! Live traffic: what the visitors of `stack simulate` did is in the books of both domains, to the piece.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgPool;
use stack::seed::{self, Plan};
use stack::simulate::{self, Traffic};
use system_tests::{Stack, campaign, eventually, wait_until};

async fn pieces(pool: &PgPool, sql: &'static str) -> BTreeMap<(String, i64), i64> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(sql).fetch_all(pool).await.unwrap();
    rows.into_iter().map(|(reference, product, pieces)| ((reference, product), pieces)).collect()
}

async fn small_company(stack: &Stack) {
    let plan = Plan { days: 2, stores: 2, products: 16, customers: 10, ..Plan::default() };
    seed::run(&stack.state(), &plan, &mut |_: &str| ()).await.unwrap();
}

#[tokio::test]
async fn visitors_lose_nothing_and_every_piece_sold_is_moved() {
    let stack = Stack::builder().only(&["inventory", "retail", "ecommerce"]).start().await;
    small_company(&stack).await;
    let traffic = Traffic { rate: 8.0, length: Duration::from_secs(5), users: 10, seed: 3, ..Traffic::default() };
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

#[tokio::test]
async fn restarting_each_service_in_turn_loses_no_request() {
    let mut stack = Stack::builder().only(&["inventory", "retail", "ecommerce"]).start().await;
    small_company(&stack).await;
    let state = stack.state();
    // Longer than the restarts take; what is under way when they are over is finished.
    let traffic =
        Traffic { rate: 5.0, length: Duration::from_secs(campaign(12, 60)), users: 20, seed: 4, ..Traffic::default() };
    let visitors = tokio::spawn(async move { simulate::run(&state, &traffic, &mut |_: &str| ()).await });
    for service in ["retail", "inventory", "ecommerce"] {
        stack.stop(service).await;
        stack.restart(service).await;
    }
    let tally = visitors.await.unwrap().unwrap();
    assert_eq!(tally.lost, 0, "{}", tally.table());
    let total = tally.total();
    assert!(total.answered() > 50, "{}", tally.table());
    // A gap may be felt and must be waited out; nothing else may go wrong.
    let felt = ["503", "502", "504", "connect"];
    assert!(total.errors.keys().all(|kind| felt.contains(&kind.as_str())), "{}", tally.table());
}

#[tokio::test]
async fn a_database_that_is_down_leaves_the_other_services_untouched() {
    let mut stack = Stack::builder().durable().only(&["inventory", "retail", "ecommerce"]).start().await;
    small_company(&stack).await;
    let office = stack.api("backoffice");
    let reads = [
        ("inventory_db", "/inventory/api/v1/products"),
        ("retail_db", "/retail/api/v1/stores"),
        ("ecommerce_db", "/ecommerce/api/v1/customers"),
    ];
    for (down, its_path) in reads {
        stack.kill(down);
        let begun = std::time::Instant::now();
        let mut answered = 0_u64;
        // In `make soak` for a minute each; here for a few rounds, since telling the outage takes its service seconds.
        wait_until(
            "the outage is told as one, and the others answer meanwhile",
            Duration::from_secs(180),
            async || {
                for (database, path) in reads.iter().filter(|(database, _)| *database != down) {
                    let answer = office.get(path).await;
                    assert_eq!(answer.status, 200, "{database} is well while {down} is down: {}", answer.text());
                    answered += 1;
                }
                let answer = office.get(its_path).await;
                let told = answer.status == 503 && answer.header("retry-after").is_some();
                (told && answered >= 6 && begun.elapsed().as_secs() >= campaign(0, 60)).then_some(())
            },
        )
        .await;
        stack.restart(down).await;
        eventually("its own service answers again by itself", async || office.get(its_path).await.status == 200).await;
        println!(
            "{down} was down for {} s: 100 % of {answered} requests to the others were answered",
            begun.elapsed().as_secs()
        );
    }
}
