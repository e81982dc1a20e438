//! SIGTERM in the middle of a poll: the process ends, nobody holds a lock, nothing is lost or left over.

use serde_json::json;
use system_tests::saboteur::{Sabotage, Saboteur};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_is_told_to_stop_leaves_no_orphan_and_is_taken_up_again() {
    let mut stack = Stack::start().await;
    let saboteur = Saboteur::before(stack.gateway().trim_start_matches("http://")).await;
    let url = saboteur.url();
    stack.restart_with("reporting", &[("REPORTING_GATEWAY_URL", &url)]).await;
    for number in 0..3 {
        let store = json!({ "code": format!("S{number}"), "name": "Shop", "city": "Gander", "time_zone": "UTC" });
        stack.api("backoffice").post_json("/retail/api/v1/stores", &store, 201).await;
    }
    let db = stack.pool("reporting_db").await;
    let count = async |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(&db).await.unwrap();

    // The head passes, and the first page drips for longer than the test lasts.
    saboteur.break_next([Sabotage::None, Sabotage::Drip(usize::MAX)]);
    stack.api("operator").post_json("/reporting/api/v1/sources/retail/poll", &json!({}), 202).await;
    system_tests::eventually("the poll to be under way", async || {
        count("SELECT count(*) FROM sync.staged_poll WHERE source = 'retail'").await == 1
    })
    .await;
    stack.stop("reporting").await;
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    system_tests::eventually("the locks to be free", async || count(locks).await == 0).await;
    saboteur.rest();

    stack.restart_with("reporting", &[("REPORTING_GATEWAY_URL", &url)]).await;
    stack.api("operator").post_json("/reporting/api/v1/sources/retail/poll", &json!({}), 202).await;
    system_tests::eventually("the poll to be taken up", async || {
        count("SELECT count(*) FROM sync.poll WHERE source = 'retail' AND resumed AND snapshot_id IS NOT NULL").await
            == 1
    })
    .await;
    stack.stop("reporting").await;
    let aggregator = super::days::beside(&stack).await;
    aggregator.lake().sweep().await.unwrap();
    super::commit::check_files(&db, aggregator.lake().dir()).await;
    let newest = snapshot::current(&db).await.unwrap();
    let stores = aggregator.lake().scan(newest, "stores", None).await.unwrap();
    assert_eq!(tokio::task::spawn_blocking(move || stores.collect().unwrap().height()).await.unwrap(), 3);
}
