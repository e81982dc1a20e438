//! An import that runs: alone, without a transaction while its client is silent, and finished by sending it again.

use std::fmt::Write as _;

use futures_util::stream;
use reqwest::{Body, Method};
use serde_json::{Value, json};
use system_tests::{Stack, eventually, wait_until};

use super::counts;
use crate::shop::{PATIENCE, Shop, problem_code, shared_services};

const STORE: &str = "code,name,city,time_zone\nS1,First,Berlin,Europe/Berlin\n";
const HEADER: &str = "reference,kind,store_code,register_number,occurred_at,line_no,product_id,sku,product_name,category,\
                      quantity,unit_price_cents,unit_cost_cents\n";

fn rows(prefix: &str, sales: std::ops::Range<u32>) -> String {
    let mut text = String::new();
    for sale in sales {
        for line in 1..=2 {
            writeln!(text, "{prefix}-{sale},sale,S1,1,2026-01-02T10:00:00Z,{line},{line},SKU-{line},P,Tools,1,999,500")
                .unwrap();
        }
    }
    text
}

#[tokio::test]
async fn a_silent_client_holds_no_horizon_and_another_import_is_refused_with_who_runs() {
    let stack = Stack::builder().only(&["retail"]).start().await;
    let retail = stack.direct("retail");
    retail.import("/api/v1/stores/import", STORE).await;
    let (send, heard) = tokio::sync::mpsc::channel::<String>(1);
    let body = stream::unfold(heard, async |mut heard| Some((Ok::<_, std::io::Error>(heard.recv().await?), heard)));
    let running = {
        let retail = retail.clone();
        let call = retail.call(Method::POST, "/api/v1/sales/import").header("content-type", "text/csv");
        tokio::spawn(call.body(Body::wrap_stream(body)).send())
    };
    send.send(HEADER.to_owned() + &rows("a", 0..6_000)).await.unwrap();
    let pool = stack.pool("retail_db").await;
    eventually("some rows to be staged", async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM import_rows").fetch_one(&pool).await.unwrap() >= 5_000
    })
    .await;
    // The client says nothing: no session of the service is within a transaction, and the feed goes on.
    let before = chrono::Utc::now();
    let as_of = retail.get_json("/api/v1/changes").await["as_of"].as_str().unwrap().to_owned();
    assert!(chrono::DateTime::parse_from_rfc3339(&as_of).unwrap() >= before, "{as_of} against {before}");
    let open: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'retail_db' AND usename = 'retail' AND state LIKE 'idle in%'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(open, 0);

    let call = retail.call(Method::POST, "/api/v1/stores/import").header("content-type", "text/csv");
    let reply = call.body(STORE).send().await.expect(409);
    assert_eq!(problem_code(&reply), "import-running");
    let id = reply.json()["import_id"].as_i64().unwrap();
    let report = retail.get_json(&format!("/api/v1/imports/{id}")).await;
    assert_eq!((&report["kind"], &report["state"]), (&json!("sales"), &json!("receiving")), "{report}");
    drop(send);
    let report = running.await.unwrap().expect(200).json();
    assert_eq!((counts(&report), report["id"].as_i64()), ([12_000, 12_000, 0, 0], Some(id)));
}

#[tokio::test]
async fn an_import_that_was_killed_is_finished_by_sending_it_again() {
    let mut stack = Stack::builder().only(&["retail"]).start().await;
    let retail = stack.direct("retail");
    retail.import("/api/v1/stores/import", STORE).await;
    let file = HEADER.to_owned() + &rows("k", 0..40_000);
    let pool = stack.pool("retail_db").await;
    let sent = {
        let (retail, file) = (retail.clone(), file.clone());
        let call = retail.call(Method::POST, "/api/v1/sales/import").header("content-type", "text/csv");
        tokio::spawn(call.body(file).try_send())
    };
    let id: i64 = wait_until("some documents to be applied", PATIENCE, async || {
        sqlx::query_scalar("SELECT id FROM imports WHERE kind = 'sales' AND applied > 0")
            .fetch_optional(&pool)
            .await
            .unwrap()
    })
    .await;
    // Applied in part, it holds back how far the feed is complete.
    let held = async |stack: &Stack| {
        let as_of = stack.direct("retail").get_json("/api/v1/changes").await["as_of"].as_str().unwrap().to_owned();
        let since: Option<chrono::DateTime<chrono::Utc>> =
            sqlx::query_scalar("SELECT min(unfinished_since) FROM imports").fetch_one(&pool).await.unwrap();
        since.is_some_and(|since| chrono::DateTime::parse_from_rfc3339(&as_of).unwrap() <= since)
    };
    stack.kill("retail");
    assert!(!sent.await.unwrap().is_ok_and(|reply| reply.status == 200));
    stack.restart("retail").await;
    let retail = stack.direct("retail");
    let report: Value = wait_until("PostgreSQL to notice the death", PATIENCE, async || {
        let report = retail.get_json(&format!("/api/v1/imports/{id}")).await;
        (report["state"] != "applying").then_some(report)
    })
    .await;
    assert_eq!(report["state"], "interrupted", "{report}");
    assert!(held(&stack).await, "a half-applied file is not final");
    let another = retail.import("/api/v1/sales/import", HEADER.to_owned() + &rows("other", 0..5)).await;
    assert_eq!(counts(&another), [10, 10, 0, 0]);
    assert!(held(&stack).await, "another file does not finish it");
    let applied = report["applied"].as_i64().unwrap();
    let report = retail.import("/api/v1/sales/import", file).await;
    assert_eq!(counts(&report), [80_000, 80_000 - applied, applied, 0]);
    assert!(!held(&stack).await);
    let stored: (i64, i64) =
        sqlx::query_as("SELECT count(*), (SELECT count(*) FROM sale_lines) FROM sales").fetch_one(&pool).await.unwrap();
    assert_eq!(stored, (40_005, 80_010));
    let staged: i64 = sqlx::query_scalar("SELECT count(*) FROM import_rows").fetch_one(&pool).await.unwrap();
    assert_eq!(staged, 0, "staging is given back");
}

/// A crash of PostgreSQL empties the staging table; here it is emptied.
#[tokio::test]
async fn rows_that_the_database_lost_are_missed() {
    let stack = Stack::builder().only(&["retail"]).start().await;
    let retail = stack.direct("retail");
    retail.import("/api/v1/stores/import", STORE).await;
    let pool = stack.pool("retail_db").await;
    let text = rows("l", 0..12_000);
    let (send, heard) = tokio::sync::mpsc::channel::<String>(1);
    let body = stream::unfold(heard, async |mut heard| Some((Ok::<_, std::io::Error>(heard.recv().await?), heard)));
    let call = retail.call(Method::POST, "/api/v1/sales/import").header("content-type", "text/csv");
    let sent = tokio::spawn(call.body(Body::wrap_stream(body)).send());
    let (half, rest) = text.split_at(text.len() / 2);
    send.send(HEADER.to_owned() + half).await.unwrap();
    let staged = async |least: i64| {
        eventually("some rows to be staged", async || {
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM import_rows").fetch_one(&pool).await.unwrap() >= least
        })
        .await;
    };
    staged(10_000).await;
    sqlx::query("TRUNCATE import_rows").execute(&pool).await.unwrap();
    send.send(rest.to_owned()).await.unwrap();
    drop(send);
    sent.await.unwrap().expect(503);
    let ended = async || {
        let last = "SELECT id, state, applied FROM imports ORDER BY id DESC LIMIT 1";
        sqlx::query_as::<_, (i64, String, i64)>(last).fetch_one(&pool).await.unwrap()
    };
    let (first, state, applied) = ended().await;
    assert_eq!((state.as_str(), applied), ("interrupted", 0));

    // The pages that are read already wait for the registers, and those behind them are lost.
    let mut tx = base::begin(&pool).await.unwrap();
    sqlx::query("LOCK TABLE registers IN EXCLUSIVE MODE").execute(&mut *tx).await.unwrap();
    let call = retail.call(Method::POST, "/api/v1/sales/import").header("content-type", "text/csv");
    let sent = tokio::spawn(call.body(HEADER.to_owned() + &text).send());
    eventually("two pages to wait", async || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'registers'::regclass AND NOT granted";
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() == 2
    })
    .await;
    sqlx::query("TRUNCATE import_rows").execute(&pool).await.unwrap();
    tx.commit().await.unwrap();
    sent.await.unwrap().expect(503);
    let (second, state, applied) = ended().await;
    assert!(second > first && state == "interrupted" && (1..24_000).contains(&applied), "{state} {applied}");
    let report = retail.import("/api/v1/sales/import", HEADER.to_owned() + &text).await;
    assert_eq!(counts(&report), [24_000, 24_000 - applied, applied, 0]);
}

#[tokio::test]
async fn documents_are_whole_however_pages_fall_and_pages_share_what_is_left_of_a_sale() {
    let stack = Stack::builder().only(&["retail"]).start().await;
    let retail = stack.direct("retail");
    retail.import("/api/v1/stores/import", STORE).await;
    let at = "S1,1,2026-01-02T10:00:00Z";
    let mut file = HEADER.to_owned();
    // About the rows of a page, and about those that a document may have.
    for (document, lines) in [1, 2_499, 2_500, 2_501, 1, 5_000, 5_001, 1].into_iter().enumerate() {
        for line in 1..=lines {
            writeln!(file, "d-{document},sale,{at},{line},1,SKU-1,P,Tools,1,999,500").unwrap();
        }
    }
    let report = retail.import("/api/v1/sales/import", file).await;
    assert_eq!(counts(&report), [17_504, 12_503, 0, 5_001], "{report}");
    let reasons: Vec<&str> =
        report["errors"].as_array().unwrap().iter().map(|it| it["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["the document has more than 5000 rows"]);
    let pool = stack.pool("retail_db").await;
    let stored: Vec<i64> = sqlx::query_scalar(
        "SELECT count(*) FROM sales s JOIN sale_lines l ON l.sale_id = s.id GROUP BY s.reference ORDER BY s.reference",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(stored, [1, 2_499, 2_500, 2_501, 1, 5_000, 1]);

    // Several pages of returns of one sale.
    let mut file = HEADER.replace("line_no", "original_reference,line_no");
    writeln!(file, "sold,sale,{at},,1,1,SKU-1,P,Tools,3000,999,500").unwrap();
    (0..6_000).for_each(|back| writeln!(file, "r-{back},return,{at},sold,1,1,SKU-1,P,Tools,1,999,500").unwrap());
    let report = retail.import("/api/v1/sales/import", file).await;
    assert_eq!(counts(&report), [6_001, 3_001, 0, 3_000]);
    let back: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sales WHERE kind = 'return'").fetch_one(&pool).await.unwrap();
    assert_eq!(back, 3_000);
}

#[tokio::test]
async fn a_refused_body_gets_its_refusal_through_the_gateway() {
    let stack = shared_services().await;
    let office = stack.api("backoffice");
    let large = format!("colour,shape\n{}", "red,round\n".repeat(3_000_000));
    for (path, coding) in [("/retail/api/v1/sales/import", None), ("/inventory/api/v1/products/import", Some("gzip"))] {
        let mut call = office.call(Method::POST, path).header("content-type", "text/csv");
        if let Some(coding) = coding {
            call = call.header("content-encoding", coding);
        }
        let reply = call.body(large.clone()).send().await;
        assert_eq!(reply.status, if coding.is_none() { 422 } else { 415 }, "{}", reply.text());
    }
}

#[tokio::test]
async fn every_refusal_is_listed_and_every_column_documented() {
    let stack = shared_services().await;
    let shop = Shop::open(stack, 1, 0).await;
    let office = &shop.backoffice;
    let mut file = "sku,location_code,on_hand\n".to_owned();
    (0..250).for_each(|row| writeln!(file, "nothing-{row},{},1", shop.code).unwrap());
    let report = office.import("/inventory/api/v1/stock/import", file).await;
    assert_eq!(counts(&report), [250, 0, 0, 250]);
    assert_eq!((report["errors"].as_array().unwrap().len(), &report["errors_truncated"]), (100, &json!(true)));
    let path = format!("/inventory/api/v1/imports/{}", report["id"]);
    assert_eq!(office.get_json(&path).await["refused"], 250);
    assert_eq!(office.get_all(&format!("{path}/refusals?limit=60")).await.len(), 250);

    for (service, row, column, needed) in [
        ("inventory", "ProductRow", "unit_price", false),
        ("inventory", "CountRow", "on_hand", true),
        ("inventory", "MovementRow", "reason", true),
        ("retail", "SaleRow", "ticket_discount_cents", false),
        ("retail", "StoreRow", "code", true),
        ("ecommerce", "OrderRow", "delivered_at", false),
        ("ecommerce", "CustomerRow", "signup_day", true),
        ("ecommerce", "RefundRow", "order_reference", true),
    ] {
        let document = stack.direct(service).get_json("/openapi.json").await;
        let schema = &document["components"]["schemas"][row];
        for (name, shown) in schema["properties"].as_object().unwrap_or_else(|| panic!("{service} {row}: {document}")) {
            let meaning = shown["description"].as_str().unwrap_or_default();
            assert!(meaning.ends_with('.') && shown["examples"].is_array(), "{row}.{name}: {shown}");
        }
        assert!(schema["properties"][column].is_object(), "{row}.{column}");
        assert_eq!(schema["required"].as_array().unwrap().contains(&json!(column)), needed, "{row}.{column}");
    }
}
