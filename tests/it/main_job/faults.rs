//! A reporting service that is killed in the middle of a poll.

use serde_json::json;
use system_tests::{Stack, duckdb, eventually};

use super::{follow, noon, yesterday};
use crate::company::Company;

#[tokio::test]
async fn a_poll_killed_half_way_loses_and_doubles_nothing() {
    let mut stack = Stack::builder().env("reporting", "REPORTING_LEASE_SECONDS", "2").start().await;
    let company = Company::found(&stack, 100).await;
    for lamps in 1..4 {
        company.sell(&stack.api("pos"), noon(yesterday()), lamps, 2, 0).await;
    }
    let reporting = stack.pool("reporting_db").await;
    let staged = async || -> i64 {
        let sql =
            "SELECT count(*) FROM sync.staged_part p JOIN sync.staged_poll s USING (poll) WHERE s.source = 'retail'";
        sqlx::query_scalar(sql).fetch_one(&reporting).await.unwrap()
    };

    // No snapshot can be made, so the poll stands still with every page staged: there it is killed.
    let mut lock = kit::db::begin(&reporting).await.unwrap();
    sqlx::query("LOCK TABLE lake.ducklake_snapshot IN SHARE MODE").execute(&mut *lock).await.unwrap();
    stack.api("operator").post_json("/reporting/api/v1/sources/retail/poll", &json!({}), 202).await;
    eventually("every dataset to be staged", async || staged().await >= 3).await;
    stack.kill("reporting");
    lock.rollback().await.unwrap();
    assert!(staged().await >= 3, "what was read is kept");
    assert_eq!(duckdb(&stack, "SELECT count(*) FROM stores"), [[json!(0)]], "nobody sees half a poll");

    stack.restart("reporting").await;
    let operator = stack.api("operator");
    eventually("the next poll to succeed", async || {
        let run = operator.post_json("/reporting/api/v1/sources/retail/poll", &json!({}), 202).await;
        follow(&stack, &run).await["status"] == "succeeded"
    })
    .await;
    let resumed: bool = sqlx::query_scalar("SELECT bool_or(resumed) FROM sync.poll WHERE source = 'retail'")
        .fetch_one(&reporting)
        .await
        .unwrap();
    assert!(resumed, "the pages of the killed poll are not read again");
    assert_eq!(staged().await, 0);
    let lines = duckdb(&stack, "SELECT count(*), sum(quantity)::BIGINT, sum(net_cents)::BIGINT FROM sale_lines");
    assert_eq!(lines, [[json!(6), json!(12), json!(6 * 1250 + 6 * 99)]]);
    assert_eq!(duckdb(&stack, "SELECT count(*) FROM stores"), [[json!(1)]]);
}
