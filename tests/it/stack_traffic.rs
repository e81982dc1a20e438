//! Live traffic: what the visitors of `stack simulate` did is in the books of both domains, to the piece.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::PgPool;
use stack::seed::{self, Plan};
use stack::simulate::{self, Traffic};
use system_tests::{Api, Stack, campaign, eventually};

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
    // What is under way when the restarts are over is finished, however long a busy machine takes for them.
    let traffic = Traffic { rate: 5.0, length: Duration::from_secs(campaign(12, 60)), users: 20, tries: 100, seed: 4 };
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

/// What Retail and Ecommerce cannot do without Inventory: the answer is a 503, and safe to repeat.
const NEED_INVENTORY: [&str; 5] = ["sale", "return", "void", "fill the cart", "checkout"];

/// The databases, their services, and what each service answers from its database alone.
const OUTAGES: [(&str, &str, &str); 4] = [
    ("inventory_db", "inventory", "/inventory/api/v1/products"),
    ("ecommerce_db", "ecommerce", "/ecommerce/api/v1/customers"),
    ("retail_db", "retail", "/retail/api/v1/stores"),
    ("reporting_db", "reporting", "/reporting/api/v1/reports/store_performance"),
];

/// Each database is away while visitors come, in `make soak` for a minute. Only requests that need it fail.
#[tokio::test]
async fn a_database_that_is_down_leaves_the_other_services_untouched() {
    // Few connections, so that all of them are there before it begins: to make one takes a busy machine seconds, which
    // would look like an outage.
    let mut builder = Stack::builder().durable().env("reporting", "REPORTING_SCHEDULER", "false");
    for (_, service, _) in OUTAGES {
        builder = builder.env(service, &format!("{}_POOL_SIZE", service.to_uppercase()), "2");
    }
    let mut stack = builder.start().await;
    small_company(&stack).await;
    let polled = stack.cli("reporting", &["poll", "--all"]).await;
    assert!(polled.status.success(), "{}", String::from_utf8_lossy(&polled.stderr));
    let office = stack.api("backoffice");
    for (_, _, path) in OUTAGES {
        all_connected(&office, path).await;
    }
    for (database, down, path) in OUTAGES {
        let length = Duration::from_secs(campaign(5, 60));
        let traffic = Traffic { rate: 8.0, length, users: 100, tries: 2, seed: 5 };
        let (begun, begins) = tokio::sync::oneshot::channel();
        let state = stack.state();
        let visitors = tokio::spawn(async move {
            let mut begun = Some(begun);
            let mut tell = |_: &str| {
                if let Some(begun) = begun.take() {
                    begun.send(()).unwrap();
                }
            };
            simulate::run(&state, &traffic, &mut tell).await
        });
        // They have looked around, for which every service is needed.
        begins.await.unwrap();
        stack.kill(database);
        let tally = visitors.await.unwrap().unwrap();
        println!("{database} was down for {:.0} s:\n{}", tally.seconds, tally.availability());

        assert!(tally.services[down].availability() < 100.0, "{database} was away: {}", tally.availability());
        for (service, met) in tally.services.iter().filter(|(service, _)| *service != down) {
            assert!(met.asked > 0);
            for ((action, kind), n) in &met.failed {
                let needs_it = down == "inventory" && NEED_INVENTORY.contains(action);
                assert!(
                    needs_it && kind == "503",
                    "{database} is down and {service} fails: {action}, {kind}, {n} times"
                );
            }
        }
        let told = office.get(path).await.expect(503);
        assert!(told.header("retry-after").is_some(), "{}", told.text());
        stack.restart(database).await;
        // By itself.
        all_connected(&office, path).await;
    }
}

/// Waits until a service answers more requests at once than it has connections.
async fn all_connected(office: &Api, path: &str) {
    eventually("all of a service's connections", async || {
        join_all((0..10).map(|_| office.get(path))).await.iter().all(|answer| answer.status == 200)
    })
    .await;
}
