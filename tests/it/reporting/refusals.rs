//! Every parameter wrong in every way: 400 or 404 that names it, never a 500, never a file.

use reqwest::Method;

use super::{api, direct, listed, shared};

#[tokio::test]
async fn every_wrong_parameter_is_named() {
    let stack = shared().await;
    let api = api(stack);
    let report = "store_performance";
    for (query, status, field) in [
        ("format=", 400, "format"),
        ("format=CSV", 400, "format"),
        ("format=csv&format=json", 400, "format"),
        ("format=..%2Fcsv", 400, "format"),
        ("business_day=", 400, "business_day"),
        ("business_day=2026-02-30", 400, "business_day"),
        ("business_day=yesterday", 400, "business_day"),
        ("business_day=2026-01-01T00:00:00Z", 400, "business_day"),
        ("business_day=%F0%9F%A7%B8", 400, "business_day"),
        ("revision=1", 400, "revision"),
        ("business_day=2026-01-01&revision=0", 400, "revision"),
        ("business_day=2026-01-01&revision=-1", 400, "revision"),
        ("business_day=2026-01-01&revision=1.5", 400, "revision"),
        ("business_day=2026-01-01&revision=99999999999", 400, "revision"),
        ("business_day=2026-01-01&from=2026-01-01", 400, "from"),
        ("business_day=2026-01-01&snapshot=1", 400, "snapshot"),
        ("business_day=2026-01-01&max_age=5m", 400, "max_age"),
        ("business_day=2026-01-01&stale=refuse", 400, "stale"),
        ("snapshot=", 400, "snapshot"),
        ("snapshot=first", 400, "snapshot"),
        ("snapshot=-1", 400, "snapshot"),
        ("snapshot=9223372036854775807", 400, "snapshot"),
        ("snapshot=9223372036854775808", 400, "snapshot"),
        ("snapshot=1&max_age=5m", 400, "max_age"),
        ("max_age=", 400, "max_age"),
        ("max_age=60", 400, "max_age"),
        ("max_age=0s", 400, "max_age"),
        ("max_age=-5m", 400, "max_age"),
        ("max_age=1.5h", 400, "max_age"),
        ("max_age=99999999999999999999d", 400, "max_age"),
        ("stale=", 400, "stale"),
        ("stale=maybe", 400, "stale"),
        ("from=", 400, "from"),
        ("from=2026-02-30", 400, "from"),
        ("from=today-99999999999d", 400, "from"),
        ("from=2026-02-01&to=2026-01-01", 400, "from"),
        ("from=2026-02-01&from=2026-01-01", 400, "from"),
        ("limit=0", 400, "limit"),
        ("limit=1e3", 400, "limit"),
        ("limit=99999999999999999999", 400, "limit"),
        ("limit=%D9%A3", 400, "limit"),
        ("limit=1;DROP%20TABLE%20stores", 400, "limit"),
        ("colour=red", 400, "colour"),
        ("%00=1", 400, "\u{0}"),
        ("=", 400, ""),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let reply = api.call(method.clone(), &direct(&format!("{report}?{query}"))).send().await.expect(status);
            if method == Method::GET {
                assert_eq!(reply.media_type(), "application/problem+json", "{query}");
                assert_eq!(reply.json()["field"].as_str().unwrap_or_default(), field, "{query}: {}", reply.text());
            }
        }
    }
    for query in ["word=%00", "word=%0A"] {
        assert_eq!(api.get(&direct(&format!("many?{query}"))).await.expect(400).json()["field"], "word", "{query}");
    }
    // Text that only looks dangerous is text.
    for word in
        ["%27%20OR%201%3D1%20--", "%5C%27%20OR%201%3D1%20--", "%F0%9F%A7%B8%20Z%C3%BCrich", "%2E%2E%2F", "%25", "+"]
    {
        api.get(&direct(&format!("many?word={word}&format=csv"))).await.expect(200);
    }
}

#[tokio::test]
async fn a_name_that_no_report_has_finds_nothing_else() {
    let stack = shared().await;
    let api = api(stack);
    for name in [
        "nothing",
        "STORE_PERFORMANCE",
        "store_performance%20",
        "..%2Fstore_performance",
        "..%2F..%2F..%2Fetc%2Fpasswd",
        "%2Fetc%2Fpasswd",
        "....%2F%2Fmany",
        "many.sql",
        "many%2Fmany",
        "%E2%80%AEmany",
        "Z%C3%BCrich%20%F0%9F%A7%B8",
        "'%20OR%20'1'='1",
        "%25s%25n",
    ] {
        for path in [direct(name), format!("{}?format=csv", direct(name)), format!("{}/revisions", direct(name))] {
            let reply = api.get(&path).await.expect(404);
            assert_eq!(reply.media_type(), "application/problem+json", "{path}");
            assert!(!reply.text().contains("root:"), "{path}");
        }
        let run = api.post(&format!("{}/runs", direct(name)), &serde_json::json!({})).await;
        assert_eq!(run.status, 404, "{name}: {}", run.text());
    }
    // Nor has one a name that no text of PostgreSQL can be.
    api.get(&direct("many%00")).await.expect(404);
    // Escapes that are no UTF-8 are no name at all.
    api.get(&direct("many%FF")).await.expect(400);
    let outside = listed(stack.folder());
    assert!(outside.iter().all(|name| !name.contains("passwd")), "{outside:?}");
}

/// The arguments of a job in the order of their names are none: `[true]` would let a poll drop what it likes.
#[tokio::test]
async fn an_array_is_no_object_in_any_body() {
    let api = api(shared().await);
    for body in ["[]", "[true]", "[true, true]", "null", "\"2026-01-01\"", "[[\"2026-01-01\"]]"] {
        for path in [
            "jobs/poll-retail/runs",
            "jobs/nightly/runs",
            "jobs/restate/runs",
            "jobs/backfill/backfill",
            "sources/retail/poll",
            "sources/retail/quarantine/replay",
            "reports/many/runs",
        ] {
            let call = api.call(Method::POST, &format!("/api/v1/{path}")).header("content-type", "application/json");
            let reply = call.body(body.as_bytes().to_vec()).send().await.expect(422);
            assert!(reply.problem().is_some(), "{path} {body}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn what_a_path_does_not_take_is_refused_with_the_methods_it_takes() {
    let stack = shared().await;
    let api = api(stack);
    for (method, path) in [
        (Method::POST, direct("many")),
        (Method::DELETE, direct("many")),
        (Method::PUT, "/api/v1/reports".to_owned()),
        (Method::GET, format!("{}/runs/1/cancel", direct("many"))),
        (Method::POST, "/api/v1/exports/1".to_owned()),
    ] {
        let reply = api.call(method.clone(), &path).send().await.expect(405);
        assert!(reply.header("allow").is_some(), "{method} {path}");
        assert_eq!(reply.media_type(), "application/problem+json");
    }
}
