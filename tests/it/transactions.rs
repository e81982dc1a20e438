//! A caller who goes away while a transaction begins takes nobody else's writes along.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use system_tests::Stack;

/// Polls a future at most so often, then drops it. Whether it came to its end.
async fn abandoned<T>(work: impl Future<Output = T>, polls: usize) -> bool {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(|context| {
        if work.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        left -= 1;
        if left == 0 { Poll::Ready(false) } else { Poll::Pending }
    })
    .await
}

/// Goes away at every step of `begin`, and writes on the connection that it used.
async fn nothing_is_lost(stack: &Stack, table: &str) {
    let url = stack.url("reporting_db", "postgres");
    let single = PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    let other = PgPool::connect(&url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE TABLE {table} (n bigint)"))).execute(&other).await.unwrap();
    let mut written = 0;
    for polls in 1.. {
        let whole = abandoned(kit::db::begin(&single), polls).await;
        written += 1;
        let insert = format!("INSERT INTO {table} VALUES ($1)");
        sqlx::query(sqlx::AssertSqlSafe(insert)).bind(written).execute(&single).await.unwrap();
        let count = format!("SELECT count(*) FROM {table}");
        let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&other).await.unwrap();
        assert_eq!(seen, written, "a caller went away after {polls} steps: what was written next is not committed");
        if whole {
            return;
        }
    }
}

#[tokio::test]
async fn what_is_written_after_a_beginning_that_nobody_waited_for_is_committed() {
    let stack = Stack::shared().await;
    nothing_is_lost(stack, "public.begun").await;
}
