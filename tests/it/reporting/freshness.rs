//! `max_age` and `stale`: polled first, once for all, and the last data where a source is down.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::Value;
use system_tests::Stack;
use system_tests::runs::poll_all;

use super::REPORTS;
use crate::company::Company;

async fn polls(stack: &Stack, source: &str) -> i64 {
    let pool = stack.pool("reporting_db").await;
    sqlx::query_scalar("SELECT count(*) FROM sync.poll WHERE source = $1").bind(source).fetch_one(&pool).await.unwrap()
}

fn age(document: &Value, source: &str) -> i64 {
    let sources = document["sources"].as_array().unwrap();
    sources.iter().find(|it| it["name"] == source).unwrap()["age_seconds"].as_i64().unwrap()
}

#[tokio::test]
async fn an_answer_is_as_fresh_as_it_was_asked_to_be() {
    // Nobody polls but who asks.
    let mut stack = Stack::builder().env("reporting", "REPORTING_SCHEDULER", "false").start().await;
    let company = Company::found(&stack, 100).await;
    let now = chrono::Utc::now();
    company.sell(&stack.api("pos"), now, 3, 7, 5).await;
    let analyst = stack.api("analyst");
    let path = format!("{REPORTS}/store_performance?from=today-1d&to=today");

    // Never polled: the last data are none, and marked.
    let reply = analyst.get(&path).await.expect(200);
    assert_eq!((reply.header("tributary-stale"), &reply.json()["row_count"]), (Some("true"), &Value::from(0)));
    analyst.get(&format!("{path}&stale=refuse")).await.expect(503);

    // Many who ask at once: one poll of each source, and all see the sale.
    let asked = format!("{path}&max_age=60s&stale=refuse");
    let answers = join_all((0..10).map(|_| analyst.get(&asked))).await;
    for reply in answers {
        let reply = reply.expect(200);
        assert_eq!(reply.header("tributary-stale"), Some("false"));
        assert!(reply.text().contains("44.38"), "{}", reply.text());
        assert!(age(&reply.json(), "retail") < 60);
    }
    assert_eq!(polls(&stack, "retail").await, 1);
    // What is fresh enough is not polled for.
    analyst.get(&asked).await.expect(200);
    assert_eq!(polls(&stack, "retail").await, 1);

    // A source that is down: the last data, marked by the caller's own measure, or a refusal.
    stack.kill("retail");
    let impatient = format!("{path}&max_age=1s");
    system_tests::eventually("the last poll to be a second old", async || {
        age(&analyst.get_json(&path).await, "retail") > 1
    })
    .await;
    let reply = analyst.get(&impatient).await.expect(200);
    assert_eq!(reply.header("tributary-stale"), Some("true"));
    assert!(reply.text().contains("44.38"));
    let refused = analyst.get(&format!("{impatient}&stale=refuse")).await.expect(503);
    assert!(refused.header("retry-after").is_some());
    let problem = refused.json();
    assert!(problem["detail"].as_str().unwrap().contains("retail is complete through"), "{problem}");
    assert_eq!(problem["sources"][0]["name"], "retail");
    // By its declaration it is not stale yet.
    assert_eq!(analyst.get(&path).await.expect(200).header("tributary-stale"), Some("false"));
}

#[tokio::test]
async fn an_answer_is_given_again_only_until_something_changes() {
    let stack = Stack::start().await;
    let company = Company::found(&stack, 100).await;
    let analyst = stack.api("analyst");
    let path = format!("{REPORTS}/store_performance?from=today-1d&to=today");
    for sold in 1..4 {
        company.sell(&stack.api("pos"), chrono::Utc::now(), 1, 1, 5).await;
        poll_all(&stack).await;
        // Right after the poll, and twice: made, and given again.
        for _ in 0..2 {
            let document = analyst.get_json(&path).await;
            assert_eq!(document["rows"][0]["tickets"], sold, "{document}");
        }
    }
    // What the request says besides is heard, whoever asked before.
    let plain = analyst.get(&path).await.expect(200);
    let get = || analyst.call(Method::GET, &path);
    let known = get().header("if-none-match", plain.header("etag").unwrap()).send().await.expect(304);
    assert_eq!(known.body, b"");
    get().header("if-match", "\"another\"").send().await.expect(412);
    let head = analyst.call(Method::HEAD, &path).send().await.expect(200);
    assert_eq!((head.header("content-length"), head.body.len()), (plain.header("content-length"), 0));
    assert_eq!(get().header("accept", "text/csv").send().await.expect(200).media_type(), "text/csv");
    let other = analyst.get_json(&format!("{REPORTS}/store_performance?from=today-1d&to=today&limit=1")).await;
    assert_eq!(other["parameters"]["limit"], 1);
    for coding in ["gzip", "identity", "gzip"] {
        let answer = get().header("accept-encoding", coding).send().await.expect(200);
        assert!(answer.header("content-encoding").is_none_or(|used| used == coding), "{coding}");
        assert_eq!(answer.header("etag"), plain.header("etag"));
    }
}
