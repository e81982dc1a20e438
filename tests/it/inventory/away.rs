//! The database goes away and comes back; the service stays, says so, and recovers by itself. And it stays lean.

use serde_json::json;
use system_tests::{Stack, eventually};

use super::{alone, unique};

#[tokio::test]
async fn without_its_database_it_answers_503_and_recovers() {
    let mut stack = alone(Stack::builder().durable()).await;
    let api = stack.direct("inventory");
    let body = || json!({"name": unique()});
    api.post_json("/api/v1/categories", &body(), 201).await;

    stack.kill("inventory_db");
    for path in ["/api/v1/categories", "/api/v1/products", "/api/v1/stock", "/api/v1/stock-movements"] {
        let reply = api.get(path).await.expect(503);
        assert!(reply.header("retry-after").is_some(), "{path}");
        assert!(reply.problem().unwrap().ends_with("/unavailable"), "{path}");
    }
    api.post("/api/v1/categories", &body()).await.expect(503);
    let ready = api.get("/health/ready").await.expect(503).json();
    assert!(ready["failing"].as_array().unwrap().contains(&json!("inventory_db")), "{ready}");
    api.get("/health/live").await.expect(200);
    api.get("/metrics").await.expect(200);

    stack.restart("inventory_db").await;
    eventually("inventory to find its database again", async || api.get("/health/ready").await.status == 200).await;
    api.post_json("/api/v1/categories", &body(), 201).await;
}

#[tokio::test]
async fn a_database_that_only_reads_or_no_longer_knows_its_password_is_away() {
    let stack = alone(Stack::builder()).await;
    let api = stack.direct("inventory");
    let body = || json!({"name": unique()});
    let owner = stack.pool_as("inventory_db", "postgres").await;
    let role =
        sqlx::query_scalar::<_, String>("SELECT usename FROM pg_stat_activity WHERE application_name = 'inventory'");
    let role = role.fetch_one(&owner).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
    for (wrong, right) in
        [("SET default_transaction_read_only = on", "RESET default_transaction_read_only"), ("NOLOGIN", "LOGIN")]
    {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("ALTER ROLE {role} {wrong}"))).execute(&owner).await.unwrap();
        sqlx::query(end).bind(&role).execute(&owner).await.unwrap();
        let reply = api.post("/api/v1/categories", &body()).await.expect(503);
        assert!(reply.header("retry-after").is_some(), "{wrong}: {}", reply.text());
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("ALTER ROLE {role} {right}"))).execute(&owner).await.unwrap();
        sqlx::query(end).bind(&role).execute(&owner).await.unwrap();
        api.post_json("/api/v1/categories", &body(), 201).await;
    }
}

#[tokio::test]
async fn a_version_starts_on_the_schema_of_a_newer_one() {
    let mut stack = alone(Stack::builder()).await;
    let owner = stack.pool_as("inventory_db", "inventory_owner").await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'of a later version', true, '\\x00', 0)";
    sqlx::query(newer).execute(&owner).await.unwrap();
    stack.kill("inventory");
    stack.restart("inventory").await;
    stack.direct("inventory").get("/health/ready").await.expect(200);
}

/// Idle memory of each transactional service, in kilobytes; the bound is a promise to whoever pays for machines.
#[tokio::test]
async fn an_idle_service_needs_less_than_30_megabytes() {
    let mut stack = Stack::builder().start_databases().await;
    for service in ["inventory", "ecommerce", "retail"] {
        stack.restart(service).await;
    }
    let state = serde_json::to_value(stack.state()).unwrap();
    for service in ["inventory", "ecommerce", "retail"] {
        let pid = &state["services"][service]["pid"];
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(kilobytes < 30_000, "{service}: {line}");
    }
}
