//! JSON answers: shared rows, an envelope per answer, negotiation, conditions, compression.

use reqwest::Method;
use serde_json::{Value, json};

use super::{api, direct, reporting, rows, shared};

#[tokio::test]
async fn an_answer_is_the_same_from_memory_and_from_the_spool() {
    let stack = shared().await;
    let api = api(stack);
    // 3,000 rows are kept in memory, 21,000 lie in the spool: neither differs from what any client would parse.
    for (blocks, count) in [(0, 0), (3, 3_000), (21, 21_000)] {
        let path = direct(&format!("many?blocks={blocks}"));
        let (first, second) = (api.get(&path).await.expect(200), api.get(&path).await.expect(200));
        let document = first.json();
        assert_eq!(document["row_count"], count);
        assert_eq!(rows(&document).len(), count);
        assert_eq!(rows(&document), rows(&second.json()));
        assert_eq!(first.header("content-length").unwrap(), first.body.len().to_string());
        assert_eq!(first.header("tributary-rows").unwrap(), count.to_string());
        assert_eq!(first.header("etag"), second.header("etag"));
        assert!(first.header("etag").unwrap().starts_with("W/"), "each answer has its own age");
        assert_eq!(first.header("cache-control"), Some("private, no-cache"));
        if let Some(row) = rows(&document).first() {
            assert_eq!(row["block"], "1969-01-01");
            assert_eq!(row["word"], "a \"quoted\" word, and more");
            assert!(first.text().contains("\"net\":1.01,"), "cents are exact");
        }
    }
}

#[tokio::test]
async fn who_has_it_already_gets_304_and_head_is_get_without_a_body() {
    let stack = shared().await;
    let api = api(stack);
    for blocks in [2, 22] {
        let path = direct(&format!("many?blocks={blocks}"));
        let whole = api.get(&path).await.expect(200);
        let head = api.call(Method::HEAD, &path).send().await.expect(200);
        assert!(head.body.is_empty());
        for name in ["content-length", "etag", "last-modified", "content-type", "tributary-snapshot", "vary"] {
            assert_eq!(head.header(name), whole.header(name), "{name}");
        }
        let (etag, date) = (whole.header("etag").unwrap(), whole.header("last-modified").unwrap());
        for method in [Method::GET, Method::HEAD] {
            for (name, value, status) in [
                ("if-none-match", etag, 304),
                ("if-none-match", etag.trim_start_matches("W/"), 304),
                ("if-none-match", &format!("\"other\", {etag}"), 304),
                ("if-none-match", "\"other\"", 200),
                ("if-modified-since", date, 304),
                ("if-modified-since", "Sun, 08 Mar 2026 07:30:00 GMT", 200),
                ("if-modified-since", "not a date", 200),
            ] {
                let reply = api.call(method.clone(), &path).header(name, value).send().await.expect(status);
                assert_eq!(reply.header("etag"), Some(etag), "{name}: {value}");
                assert!(status == 200 || reply.body.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn a_format_is_chosen_by_name_else_by_accept_and_what_there_is_not_is_listed() {
    let stack = shared().await;
    let api = api(stack);
    let path = direct("many");
    for (accept, media_type) in [
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("application/json;q=0.1, text/csv;q=0.2", "text/csv"),
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ("text/html, */*;q=0.1", "application/json"),
    ] {
        let reply = api.call(Method::GET, &path).header("accept", accept).send().await.expect(200);
        assert_eq!(reply.media_type(), media_type, "{accept}");
        assert!(reply.header("vary").unwrap().contains("accept"));
    }
    let reply = api.call(Method::GET, &path).header("accept", "image/png, text/csv;q=0").send().await.expect(406);
    let problem = reply.json();
    for name in ["application/json", "parquet", "xlsx", "text/csv", "arrow", "ndjson"] {
        assert!(problem["detail"].as_str().unwrap().contains(name), "{problem}");
    }
    let problem = api.get(&direct("many?format=xml")).await.expect(400).json();
    assert_eq!(problem["field"], "format");
    assert!(problem["detail"].as_str().unwrap().contains("csv-spreadsheet"), "{problem}");
    // The name is worth more than the header.
    let reply = api.call(Method::GET, &direct("many?format=csv")).header("accept", "image/png").send().await;
    assert_eq!(reply.expect(200).media_type(), "text/csv");
}

#[tokio::test]
async fn json_is_compressed_for_who_takes_it() {
    let stack = shared().await;
    let api = api(stack);
    for path in [direct("many?blocks=4"), direct("many?blocks=23"), "/api/v1/reports".to_owned()] {
        let plain = api.get(&path).await.expect(200);
        assert!(plain.header("content-encoding").is_none());
        for coding in ["gzip", "zstd", "br"] {
            let reply = api.call(Method::GET, &path).header("accept-encoding", coding).send().await.expect(200);
            assert_eq!(reply.header("content-encoding"), Some(coding), "{path}");
            assert!(reply.body.len() < plain.body.len() / 3, "{path}: {} bytes in {coding}", reply.body.len());
            let read = super::downloads::decoded(coding, &reply.body).await;
            let document: Value = serde_json::from_slice(&read).unwrap();
            assert_eq!(document["rows"], plain.json()["rows"], "{path}");
        }
    }
}

#[tokio::test]
async fn the_envelope_is_as_old_as_its_answer() {
    // A source that was never polled is stale, and says so in header and envelope.
    let stack = reporting(&[]).await;
    let api = api(&stack);
    let reply = api.get(&direct("store_performance")).await.expect(200);
    assert_eq!(reply.header("tributary-stale"), Some("true"));
    let document = reply.json();
    let retail = document["sources"].as_array().unwrap().iter().find(|it| it["name"] == "retail").unwrap();
    assert_eq!((&retail["stale"], &retail["complete_through"]), (&json!(true), &Value::Null));
    let refused = api.get(&direct("store_performance?stale=refuse")).await.expect(503);
    assert!(refused.header("retry-after").is_some());
    assert!(refused.text().contains("retail was never polled"), "{}", refused.text());
    // One that reads no source is never stale.
    let reply = api.get(&direct("many?stale=refuse&max_age=1s")).await.expect(200);
    assert_eq!(reply.header("tributary-stale"), Some("false"));
}
