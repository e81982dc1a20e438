//! The stack itself: least privilege in PostgreSQL, and what a start leaves behind.

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use system_tests::Stack;

/// SQLSTATE of "permission denied".
const DENIED: &str = "42501";

async fn sqlstate(pool: &PgPool, sql: &str) -> Option<String> {
    let error = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.err()?;
    error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}

#[tokio::test]
async fn roles_have_least_privilege() {
    let stack = Stack::builder().start_databases().await;
    let owner = stack.pool("reporting_db").await;
    sqlx::raw_sql(
        "CREATE TABLE private_facts (id bigint PRIMARY KEY); INSERT INTO private_facts VALUES (1);
         CREATE TABLE reports.shown (id bigint); CREATE TABLE lake.files (id bigint);",
    )
    .execute(&owner)
    .await
    .unwrap();

    let service = stack.pool_as("reporting_db", "reporting").await;
    assert_eq!(sqlstate(&service, "INSERT INTO private_facts VALUES (2)").await, None);
    assert_eq!(sqlstate(&service, "DELETE FROM private_facts WHERE id = 2").await, None);
    for sql in [
        "DROP TABLE private_facts",
        "ALTER TABLE private_facts ADD x int",
        "TRUNCATE private_facts",
        "CREATE TABLE t (id int)",
    ] {
        assert_eq!(sqlstate(&service, sql).await.as_deref(), Some(DENIED), "service: {sql}");
    }
    let may_see_others: bool =
        sqlx::query_scalar("SELECT pg_has_role('pg_read_all_stats', 'USAGE')").fetch_one(&service).await.unwrap();
    assert!(may_see_others);

    let grafana = stack.pool_as("reporting_db", "grafana_reader").await;
    assert_eq!(sqlstate(&grafana, "SELECT * FROM reports.shown").await, None);
    let lake = stack.pool_as("reporting_db", "lake_reader").await;
    assert_eq!(sqlstate(&lake, "SELECT * FROM lake.files").await, None);
    for (reader, sql) in [
        (&grafana, "SELECT * FROM lake.files"),
        (&grafana, "SELECT * FROM private_facts"),
        (&grafana, "INSERT INTO reports.shown VALUES (1)"),
        (&lake, "SELECT * FROM reports.shown"),
        (&lake, "DELETE FROM lake.files"),
    ] {
        assert_eq!(sqlstate(reader, sql).await.as_deref(), Some(DENIED), "reader: {sql}");
    }
}

#[tokio::test]
async fn a_cluster_asks_for_the_right_password_and_listens_on_loopback_only() {
    let stack = Stack::builder().start_databases().await;
    let wrong = stack.url("retail_db", "retail").replace("retail:", "retail:x");
    let error = PgConnection::connect(&wrong).await.unwrap_err();
    assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("28P01"));

    let superuser = stack.pool_as("retail_db", "postgres").await;
    for (setting, wanted) in [
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("max_prepared_transactions", "0"),
        ("password_encryption", "scram-sha-256"),
    ] {
        let found: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&superuser).await.unwrap();
        assert_eq!(found, wanted, "{setting}");
    }
    let owner = stack.pool("retail_db").await;
    let is_superuser: bool = sqlx::query_scalar("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        .fetch_one(&owner)
        .await
        .unwrap();
    assert!(!is_superuser);
}
