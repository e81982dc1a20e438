//! Checked statements: what is stored of each in its crate's `.sqlx` is what the migrated databases say of it.

use futures_util::future::join_all;
use serde_json::Value;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqlSafeStr as _};
use system_tests::Stack;
use system_tests::binaries::repository;

use crate::tidy::statements::{CHECKED, literals_of, stored};

/// The databases that a crate's statements are for.
fn databases(folder: &str) -> Vec<&'static str> {
    match folder {
        "services/inventory" => vec!["inventory"],
        "services/ecommerce" => vec!["ecommerce"],
        "services/retail" => vec!["retail"],
        // Its tables are in each service's database, the outbox in those of Inventory's two clients.
        "services/kit" => vec!["inventory", "ecommerce", "retail"],
        _ => vec!["reporting"],
    }
}

/// What the compiler would be told of a statement, but for the order of keys.
async fn described(db: &mut PgConnection, sql: String) -> Result<Value, sqlx::Error> {
    let described = db.describe(AssertSqlSafe(sql).into_sql_str()).await?;
    Ok(serde_json::to_value(described).unwrap())
}

/// A statement of the same table and columns that can be described; COPY cannot.
fn in_place_of_copy(sql: &str) -> String {
    let (table, columns) = sql.strip_prefix("COPY ").unwrap().split_once(" (").unwrap();
    format!("SELECT {} FROM {table}", columns.split_once(')').unwrap().0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_of_each_is_what_the_databases_say() {
    let stack = Stack::builder().start_databases().await;
    let looks = ["inventory", "ecommerce", "retail", "reporting"].map(|name| faults(&stack, name));
    let faults = join_all(looks).await.concat();
    assert!(faults.is_empty(), "run `make prepare`, and look at what it changes:\n{}", faults.join("\n"));
}

/// What is stored otherwise than one database says, in words.
async fn faults(stack: &Stack, database: &str) -> Vec<String> {
    let url = stack.url(&format!("{database}_db"), &format!("{database}_owner"));
    let mut db = PgConnection::connect(&url).await.unwrap();
    Migrator::new(repository().join("migrations").join(database)).await.unwrap().run(&mut db).await.unwrap();
    // As the compiler asks.
    db.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    let mut faults = Vec::new();
    for folder in CHECKED.into_iter().filter(|folder| databases(folder).contains(&database)) {
        let knows = |sql: &str| database != "inventory" || !sql.contains("stock_tasks");
        for (sql, stored) in stored(folder).into_iter().filter(|(sql, _)| knows(sql)) {
            match described(&mut db, sql.clone()).await {
                Ok(now) if now == stored => (),
                Ok(now) => faults.push(format!("{folder}, {database}: {sql}\n  stored: {stored}\n  now: {now}")),
                Err(error) => faults.push(format!("{folder}, {database}: {sql}\n  now: {error}")),
            }
        }
        for literal in
            literals_of(folder).into_iter().filter(|it| it.text.contains("FROM STDIN") && !it.text.contains('{'))
        {
            if let Err(error) = described(&mut db, in_place_of_copy(&literal.text)).await {
                faults.push(format!("{}: {}\n  now: {error}", literal.file, literal.text));
            }
        }
    }
    faults
}
