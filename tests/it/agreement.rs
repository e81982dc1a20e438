//! Sales and orders agree with the stock at Inventory, whatever dies, and whenever.
//!
//! Tills and shoppers work without pause, each request under a key that is repeated until it is decided, while one
//! member after another is killed as by `kill -9`, at moments that a seed decides, and started again. Then
//! everything is left to settle, and the three databases are audited against each other.
//!
//! `TRIBUTARY_SEED` gives a printed seed back; `TRIBUTARY_SOAK=1` makes a thousand faults of the few.

mod audit;
pub(crate) mod clients;

use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use system_tests::{Stack, campaign, eventually, seed, wait_until};

use crate::shop::{Shop, services};
use clients::{Crowd, Memory};

const MEMBERS: [&str; 7] = ["retail", "ecommerce", "gateway", "inventory", "retail_db", "ecommerce_db", "inventory_db"];
const CLIENTS: u64 = 8;
/// Pieces of each product in the store and in the warehouse: few enough to run out, so that there are refusals.
const ON_HAND: i64 = 60;

#[tokio::test]
async fn every_document_agrees_with_its_stock_after_any_crash() {
    let (seed, faults) = (seed(), campaign(10, 1_000));
    let mut random = StdRng::seed_from_u64(seed);

    let mut stack = company().await;
    let shop = Shop::open(&stack, 6, ON_HAND).await;
    let opening = audit::opening(&stack).await;
    let crowd = Crowd::new(&stack, &shop);
    let chaos = async {
        for _ in 0..faults {
            // Somewhere within the next documents, which are at every step at once.
            crowd.after(random.random_range(1..25)).await;
            let member = MEMBERS[random.random_range(0..MEMBERS.len())];
            stack.kill(member);
            crowd.after_tries(random.random_range(0..12)).await;
            stack.restart(member).await;
        }
        crowd.stop();
    };
    let (memories, ()) = tokio::join!(join_all((0..CLIENTS).map(|number| crowd.work(seed, number))), chaos);
    let memory = memories.into_iter().fold(Memory::default(), Memory::merge);
    settle(&stack).await;
    audit::run(&stack, &opening, &memory).await;
    audit::delayed_copies_change_nothing(&stack, &opening).await;
}

/// Databases that lose nothing they committed, and short clocks, so that giving up is part of the campaign.
async fn company() -> Stack {
    let mut builder = Stack::builder().durable();
    for (service, prefix) in [("retail", "RETAIL"), ("ecommerce", "ECOMMERCE")] {
        builder = builder
            .env(service, &format!("{prefix}_CALL_TIMEOUT_SECONDS"), "1")
            .env(service, &format!("{prefix}_RECOVERY_GRACE_SECONDS"), "1")
            .env(service, &format!("{prefix}_PENDING_LIMIT_SECONDS"), "2");
    }
    services(builder).await
}

/// Waits until every message to Inventory is delivered.
async fn settle(stack: &Stack) {
    for database in ["retail_db", "ecommerce_db"] {
        let pool = stack.pool(database).await;
        wait_until("all documents to be settled", Duration::from_secs(180), async || {
            let owed: i64 = sqlx::query_scalar("SELECT count(*) FROM stock_tasks").fetch_one(&pool).await.unwrap();
            (owed == 0).then_some(())
        })
        .await;
    }
    let pending = stack.pool("retail_db").await;
    eventually("no pending sale", async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sales WHERE status = 'pending'")
            .fetch_one(&pending)
            .await
            .unwrap()
            == 0
    })
    .await;
}
