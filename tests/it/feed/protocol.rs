//! The sentences of the protocol one by one: late commits, quiet shops, open transactions, shapes and bad requests.

use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::Value;
use sqlx::PgPool;

use super::cluster::{Cluster, OWNER, SERVICE};
use super::reader::{NotAPage, Polled, Reader};
use super::toy::{DATASETS, NEWER, Toy, migrate};
use super::truth::compare;

struct Shop {
    cluster: Cluster,
    toy: Toy,
    owner: PgPool,
    reader: Reader,
}

async fn shop() -> Shop {
    let cluster = Cluster::start().await;
    migrate(&cluster).await;
    let toy = Toy::serve(&cluster, &DATASETS).await;
    let owner = cluster.pool(OWNER, "toy", &[]).await;
    let reader = Reader::new(toy.address, 3);
    Shop { cluster, toy, owner, reader }
}

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.expect(sql);
}

const DOCUMENT: &str = "WITH doc AS (INSERT INTO docs DEFAULT VALUES RETURNING id)
    INSERT INTO doc_lines SELECT id, code, 100, NULL FROM doc CROSS JOIN unnest(ARRAY['a', 'b']) AS code";

#[tokio::test]
async fn a_late_commit_is_not_lost_and_a_quiet_shop_is_complete() {
    let mut shop = shop().await;
    let began = Utc::now();
    let mut late = kit::db::begin(&shop.owner).await.expect("a transaction");
    sqlx::query(DOCUMENT).execute(&mut *late).await.expect("a late document");
    run(&shop.owner, DOCUMENT).await;
    assert_eq!(shop.reader.poll(async || {}).await, Polled::Rows(2));
    assert!(shop.reader.as_of >= began && shop.reader.as_of < Utc::now());
    let held = (shop.reader.as_of, shop.reader.horizon);
    // The late one holds both back; nothing else moves, so nothing is told twice.
    assert_eq!(shop.reader.poll(async || {}).await, Polled::Unchanged);
    assert_eq!((shop.reader.as_of, shop.reader.horizon), held);
    late.commit().await.expect("a late commit");
    assert_eq!(shop.reader.poll(async || {}).await, Polled::Rows(4));
    compare(&shop.reader, &shop.owner).await;
    // The horizon is above all changes now: polls of a quiet shop only move its completeness.
    assert_eq!(shop.reader.poll(async || {}).await, Polled::Unchanged);
    let complete = shop.reader.as_of;
    run(&shop.owner, "CREATE TABLE unrelated (); INSERT INTO unrelated DEFAULT VALUES").await;
    assert_eq!(shop.reader.poll(async || {}).await, Polled::Unchanged);
    assert!(shop.reader.as_of > complete);
}

#[tokio::test]
async fn a_transaction_that_has_not_written_yet_holds_completeness_back() {
    let mut shop = shop().await;
    run(&shop.owner, DOCUMENT).await;
    let mut idle = kit::db::begin(&shop.owner).await.expect("a transaction");
    let began: chrono::DateTime<Utc> =
        sqlx::query_scalar("SELECT now()").fetch_one(&mut *idle).await.expect("its start");
    shop.reader.poll(async || {}).await;
    assert_eq!(shop.reader.as_of, began);
    // Another role's session is seen as well, a feed reader's is not.
    let mut reading = shop.cluster.options(SERVICE, "toy").application_name("tributary-feed");
    reading = reading.options([("default_transaction_read_only", "on")]);
    let reading = PgPool::connect_with(reading).await.expect("a reader");
    let mut page = kit::db::begin(&reading).await.expect("a transaction");
    sqlx::query("SELECT 1").execute(&mut *page).await.expect("a snapshot");
    idle.rollback().await.expect("a rollback");
    let now = Utc::now();
    shop.reader.poll(async || {}).await;
    assert!(shop.reader.as_of >= now);
}

#[tokio::test]
async fn numbers_are_compared_as_numbers() {
    let mut shop = shop().await;
    run(&shop.owner, DOCUMENT).await;
    shop.reader.poll(async || {}).await;
    // As texts, 999 is more than 1000. A fresh cluster begins below.
    for _ in 0..2_000 {
        run(&shop.owner, "SELECT pg_current_xact_id()").await;
    }
    run(&shop.owner, DOCUMENT).await;
    assert_eq!(shop.reader.poll(async || {}).await, Polled::Rows(2));
    compare(&shop.reader, &shop.owner).await;
}

#[tokio::test]
async fn lines_added_beside_a_void_end_up_voided() {
    let mut shop = shop().await;
    run(&shop.owner, DOCUMENT).await;
    run(&shop.owner, DOCUMENT).await;
    let void = |id: i64, pool: PgPool| async move {
        sqlx::query("UPDATE docs SET status = 'voided' WHERE id = $1").bind(id).execute(&pool).await.expect("a void");
    };
    let line = "INSERT INTO doc_lines VALUES ($1, 'late', -100, NULL)";
    // The line first, the void waits for it; its number is the larger one.
    let mut adding = kit::db::begin(&shop.owner).await.expect("a transaction");
    sqlx::query(line).bind(1_i64).execute(&mut *adding).await.expect("a line");
    let waiting = tokio::spawn(void(1, shop.owner.clone()));
    until_blocked(&shop.owner).await;
    shop.reader.poll(async || {}).await;
    adding.commit().await.expect("a commit");
    waiting.await.expect("the void");
    // The void first, the line waits for it; the one that commits last has the smaller number.
    let mut adding = kit::db::begin(&shop.owner).await.expect("a transaction");
    sqlx::query("SELECT pg_current_xact_id()").execute(&mut *adding).await.expect("a number");
    let mut voiding = kit::db::begin(&shop.owner).await.expect("a transaction");
    sqlx::query("UPDATE docs SET status = 'voided' WHERE id = 2").execute(&mut *voiding).await.expect("a void");
    let waiting = tokio::spawn(async move {
        sqlx::query(line).bind(2_i64).execute(&mut *adding).await.expect("a line");
        adding.commit().await.expect("a commit");
    });
    until_blocked(&shop.owner).await;
    voiding.commit().await.expect("a commit");
    shop.reader.poll(async || {}).await;
    waiting.await.expect("the line");
    shop.reader.poll(async || {}).await;
    compare(&shop.reader, &shop.owner).await;
    assert_eq!(shop.reader.copies["doc_lines"].values().filter(|row| row[2].as_deref() == Some("voided")).count(), 6);
}

async fn until_blocked(pool: &PgPool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while sqlx::query_scalar("SELECT count(*) FROM pg_locks WHERE NOT granted").fetch_one(pool).await.unwrap_or(0_i64)
        == 0
    {
        assert!(Instant::now() < deadline, "nobody waits for a lock");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_transaction_left_open_shows_and_is_ended() {
    let mut shop = shop().await;
    run(&shop.owner, DOCUMENT).await;
    let mut forgotten = kit::db::begin(&shop.toy.pool).await.expect("a transaction");
    sqlx::query("UPDATE items SET version = 9").execute(&mut *forgotten).await.expect("an update");
    sqlx::query("SELECT pg_current_xact_id()").execute(&mut *forgotten).await.expect("a number");
    shop.reader.poll(async || {}).await;
    let held = shop.reader.as_of;
    shop.toy.feed.observe().await;
    assert_eq!(gauge(&shop, "feed_open_transactions").await, 1.0);
    let deadline = Instant::now() + Duration::from_secs(60);
    // The pool ends sessions that idle in a transaction (here after 4 s); nobody touches this one.
    loop {
        shop.toy.feed.observe().await;
        if gauge(&shop, "feed_open_transactions").await == 0.0 {
            break;
        }
        assert!(gauge(&shop, "feed_horizon_age_seconds").await > 0.0);
        assert!(gauge(&shop, "feed_oldest_transaction_seconds").await > 0.0);
        assert!(Instant::now() < deadline, "the forgotten transaction is still open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(gauge(&shop, "feed_horizon_age_seconds").await, 0.0);
    shop.reader.poll(async || {}).await;
    assert!(shop.reader.as_of > held);
    assert!(forgotten.commit().await.is_err());
}

async fn gauge(shop: &Shop, name: &str) -> f64 {
    let url = shop.reader.base.replace("/api/v1", "/metrics");
    let text = reqwest::get(url).await.expect("metrics").text().await.expect("metrics");
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no {name} in\n{text}"));
    value.parse().expect("a number")
}

#[tokio::test]
async fn an_added_column_makes_its_dataset_come_again_once() {
    let mut shop = shop().await;
    run(&shop.owner, DOCUMENT).await;
    run(&shop.owner, "INSERT INTO items VALUES ('x')").await;
    shop.reader.poll(async || {}).await;
    assert_eq!(shop.reader.poll(async || {}).await, Polled::Unchanged);
    let newer = Toy::serve(&shop.cluster, &NEWER).await;
    shop.reader.turn_to(newer.address);
    // Both lines again, the item not.
    assert_eq!(shop.reader.poll(async || {}).await, Polled::Rows(2));
    assert!(shop.reader.copies["doc_lines"].values().all(|row| row[3].as_deref() == Some("Europe/Berlin")));
    assert_eq!(shop.reader.poll(async || {}).await, Polled::Unchanged);
    assert_eq!(shop.reader.started_over, 0);
}

#[tokio::test]
async fn a_role_that_cannot_see_every_session_does_not_claim_completeness() {
    let shop = shop().await;
    let admin = shop.cluster.pool("postgres", "toy", &[]).await;
    run(&admin, "REVOKE pg_read_all_stats FROM toy").await;
    let answer = shop.reader.get("/changes", &[]).await.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let problem: Value = answer.json().await.expect("a problem");
    assert!(problem["detail"].as_str().expect("a detail").contains("GRANT pg_read_all_stats TO toy"), "{problem}");
    assert!(shop.toy.feed.ready().await.is_err());
}

#[tokio::test]
async fn pages_say_what_they_hold_in_both_formats() {
    let shop = shop().await;
    run(&shop.owner, DOCUMENT).await;
    run(&shop.owner, "UPDATE doc_lines SET note = 'a \"b\"\n\\N' WHERE code = 'a'").await;
    let head: Value = shop.reader.get("/changes", &[]).await.expect("a head").json().await.expect("JSON");
    let token = head["head"].as_str().expect("a token");
    assert_eq!(head["datasets"][0]["key"], serde_json::json!(["doc_id", "code"]));
    assert_eq!(head["datasets"][1]["high"], Value::Null);
    let path = format!("/changes/doc_lines?columns=note,code,voided&head={token}");
    let csv = shop.reader.get(&path, &[("accept", "text/csv")]).await.expect("a page");
    assert_eq!(csv.headers()["tributary-rows"], "2");
    assert!(!csv.headers().contains_key("tributary-next"));
    let text = csv.text().await.expect("CSV");
    assert_eq!(text, "doc_id,code,note,voided,deleted\n1,a,\"a \"\"b\"\"\n\\N\",false,false\n1,b,\\N,false,false\n");
    let json = shop.reader.get(&format!("{path}&limit=1"), &[]).await.expect("a page");
    let next = json.headers()["tributary-next"].to_str().expect("text").to_owned();
    let json: Value = json.json().await.expect("JSON");
    assert_eq!(json["next"], next.as_str());
    assert_eq!(
        json["items"],
        serde_json::json!([{"doc_id": 1, "code": "a", "note": "a \"b\"\n\\N", "voided": false, "deleted": false}])
    );
}

#[tokio::test]
async fn rows_come_in_the_order_of_paging_however_postgresql_finds_them() {
    let mut shop = shop().await;
    // Lines lie in the table from the last to the first, and documents changed in another order than they came.
    run(&shop.owner, "INSERT INTO docs SELECT FROM generate_series(1, 40)").await;
    run(
        &shop.owner,
        "INSERT INTO doc_lines SELECT id, chr(96 + code), 100, NULL FROM docs CROSS JOIN generate_series(1, 5) AS code
         ORDER BY code DESC, id",
    )
    .await;
    for document in ["id % 3 = 1", "id BETWEEN 11 AND 30", "id = 7"] {
        let change = format!("UPDATE docs SET version = version + 1 WHERE {document}");
        sqlx::query(sqlx::AssertSqlSafe(change)).execute(&shop.owner).await.expect("a change");
    }
    let sql = "SELECT d.id::text, l.code FROM docs d JOIN doc_lines l ON l.doc_id = d.id
               ORDER BY d.change_xid, d.id, l.code";
    let wanted: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&shop.owner).await.expect("the truth");
    for habits in [
        "ANALYZE",
        "ALTER DATABASE toy SET enable_indexscan = off; ALTER DATABASE toy SET enable_indexonlyscan = off",
        "ALTER DATABASE toy SET enable_bitmapscan = off",
        "ALTER DATABASE toy SET enable_nestloop = off",
        "ALTER DATABASE toy SET enable_memoize = off; ALTER DATABASE toy SET enable_material = off",
    ] {
        run(&shop.owner, habits).await;
        shop.toy = Toy::serve(&shop.cluster, &DATASETS).await;
        shop.reader.turn_to(shop.toy.address);
        let head: Value = shop.reader.get("/changes", &[]).await.expect("a head").json().await.expect("JSON");
        for limit in [1, 3, 7, 200, 201] {
            shop.reader.limit = limit;
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = shop.reader.page("doc_lines", head["head"].as_str().expect("a token"), after.as_deref());
                let page = page.await.expect("a page");
                found.extend(page.rows.into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap())));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert!(found == wanted, "{habits}, {limit} rows a page: {found:?} instead of {wanted:?}");
        }
    }
}

#[tokio::test]
async fn bad_requests_are_told_apart() {
    let shop = shop().await;
    run(&shop.owner, DOCUMENT).await;
    let head: Value = shop.reader.get("/changes", &[]).await.expect("a head").json().await.expect("JSON");
    let token = head["head"].as_str().expect("a token").to_owned();
    let page = shop.reader.page("doc_lines", &token, None).await.expect("a page");
    let resume = page.resume;
    for (path, status, field) in [
        ("/changes/nothing".to_owned(), 404, ""),
        ("/changes/doc_lines?columns=code,colour".to_owned(), 400, "columns"),
        ("/changes/doc_lines?columns=code;DROP TABLE docs".to_owned(), 400, "columns"),
        ("/changes/doc_lines?columns=note,note".to_owned(), 400, "columns"),
        ("/changes/doc_lines?limit=0".to_owned(), 400, "limit"),
        ("/changes/doc_lines?limit=10001".to_owned(), 400, "limit"),
        ("/changes/doc_lines?limit=x".to_owned(), 400, "limit"),
        ("/changes/doc_lines?page=2".to_owned(), 400, "page"),
        ("/changes/doc_lines?after=x".to_owned(), 400, "after"),
        (format!("/changes/doc_lines?after={token}"), 400, "after"),
        (format!("/changes/doc_lines?head={resume}"), 400, "head"),
        (format!("/changes/items?after={resume}"), 410, ""),
        (format!("/changes/doc_lines?columns=note&after={resume}"), 410, ""),
    ] {
        let answer = shop.reader.get(&path, &[]).await.expect("an answer");
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        let problem: Value = answer.json().await.expect("a problem");
        assert_eq!(problem["field"].as_str().unwrap_or_default(), field, "{path}: {problem}");
    }
}

#[tokio::test]
async fn a_cursor_older_than_ninety_days_starts_over() {
    let mut shop = shop().await;
    run(&shop.owner, DOCUMENT).await;
    shop.reader.poll(async || {}).await;
    run(&shop.owner, "UPDATE feed_witness SET created_at = now() - interval '91 days'").await;
    run(&shop.owner, DOCUMENT).await;
    shop.reader.poll(async || {}).await;
    assert_eq!(shop.reader.started_over, 1);
    compare(&shop.reader, &shop.owner).await;
    let head = shop.reader.cursors["items"].clone();
    assert!(matches!(shop.reader.page("items", &head, None).await, Err(NotAPage::Refused(400, _))));
}

#[tokio::test]
async fn rows_and_their_day_cannot_be_taken_back() {
    let shop = shop().await;
    run(&shop.owner, DOCUMENT).await;
    for refused in [
        "DELETE FROM docs",
        "TRUNCATE docs CASCADE",
        "UPDATE docs SET occurred_at = now() + interval '1 day'",
        "UPDATE docs SET time_zone = 'UTC'",
    ] {
        let error = sqlx::raw_sql(refused).execute(&shop.owner).await.expect_err(refused);
        assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("23001"), "{refused}");
    }
}
