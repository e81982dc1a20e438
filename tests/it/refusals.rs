//! How bad input is refused, on whichever service: a 4xx that names the field, a problem, and no inner word.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Api, Reply, wait_until};

use crate::shop::PATIENCE;

/// One member of a valid body made bad: the path, the valid body, the member, its value (none: left out), and the
/// field that the answer must name.
pub(crate) type Case<'a> = (&'a str, &'a Value, &'a str, Option<Value>, &'a str);

/// Sends `body` (none where it is null) and expects a refusal that names `field`.
pub(crate) async fn refused(
    api: &Api,
    method: &Method,
    path: &str,
    body: &Value,
    status: u16,
    field: Option<&str>,
) -> Reply {
    // Where Inventory is asked first, a busy one may be silent: then one asks again, as a till does.
    let reply = wait_until("an answer", PATIENCE, async || {
        let mut call = api.call(method.clone(), path);
        if !body.is_null() {
            call = call.json(body);
        }
        let reply = call.send().await;
        (reply.status != 503).then_some(reply)
    })
    .await;
    let what = format!("{method} {path} {body}: {}", reply.text());
    assert_eq!((reply.status, reply.media_type()), (status, "application/problem+json"), "{what}");
    let problem = reply.json();
    assert_eq!(problem["field"].as_str(), field, "{what}");
    assert!(
        problem["correlation_id"].is_string() && problem["detail"].as_str().is_some_and(|text| !text.is_empty()),
        "{what}"
    );
    for secret in ["SELECT", "INSERT", "sqlx", "panicked"] {
        assert!(!reply.text().contains(secret), "{what}");
    }
    reply
}

/// Posts each case and expects 422 with its field.
pub(crate) async fn bad_members(api: &Api, cases: Vec<Case<'_>>) {
    for (path, valid, member, value, field) in cases {
        let mut body = valid.clone();
        match value {
            Some(value) => body[member] = value,
            None => drop(body.as_object_mut().unwrap().remove(member)),
        }
        refused(api, &Method::POST, &format!("/api/v1/{path}"), &body, 422, Some(field)).await;
    }
}

/// Pages that no listing has.
pub(crate) async fn bad_pages(api: &Api, collections: &[&str]) {
    for collection in collections {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=x", "limit"),
            ("limit=99999999999999999999", "limit"),
            ("limit=1&limit=2", "limit"),
            ("after=%21", "after"),
            ("after=", "after"),
            ("after=eyJhIjoxfQ", "after"),
            ("colour=red", "colour"),
        ] {
            refused(api, &Method::GET, &format!("/api/v1/{collection}?{query}"), &Value::Null, 400, Some(field)).await;
        }
    }
}

/// Filters whose values are of another type.
pub(crate) async fn bad_filters(api: &Api, filters: &[(&str, &str)]) {
    for (path, field) in filters {
        refused(api, &Method::GET, &format!("/api/v1/{path}"), &Value::Null, 400, Some(field)).await;
    }
}

/// Ids that no item of the collections has, and texts that are none.
pub(crate) async fn bad_ids(api: &Api, collections: &[&str]) {
    for collection in collections {
        for (id, status, field) in [
            ("9223372036854775807", 404, None),
            ("0", 404, None),
            ("-1", 404, None),
            ("9223372036854775808", 400, Some("path")),
            ("x", 400, Some("path")),
        ] {
            refused(api, &Method::GET, &format!("/api/v1/{collection}/{id}"), &Value::Null, status, field).await;
        }
    }
}

/// Bodies that are no JSON, of another type, or too large. `{"name": …}` is all that `plain` wants; on the other paths
/// a member that is missing may be told before the syntax.
pub(crate) async fn no_json(api: &Api, plain: Option<&str>, others: &[&str]) {
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(10 << 20));
    let cases: [(&str, Vec<u8>, u16); 6] = [
        ("application/json", b"{\"name\": \"\xff\xfe\"}".to_vec(), 400),
        ("application/json", b"".to_vec(), 400),
        ("application/json", b"{\"name\": \"a\"} more".to_vec(), 400),
        ("application/json", "[".repeat(1000).into_bytes(), 400),
        ("text/plain", b"{\"name\": \"a\"}".to_vec(), 415),
        ("application/json", large.into_bytes(), 413),
    ];
    for path in others.iter().copied().chain(plain) {
        for (media_type, body, status) in &cases {
            let call = api.call(Method::POST, &format!("/api/v1/{path}")).header("content-type", media_type);
            let reply = call.body(body.clone()).send().await;
            let another_shape = Some(path) != plain || body.first() == Some(&b'[');
            let expected = if *status == 400 && another_shape { vec![400, 422] } else { vec![*status] };
            assert!(expected.contains(&reply.status), "{path} {status}: {}", reply.text());
            assert!(reply.problem().is_some(), "{path} {status}");
        }
    }
}

/// Keys that are none.
pub(crate) async fn bad_keys(api: &Api, path: &str, body: &Value) {
    for key in [String::new(), "x".repeat(256)] {
        let call = api.call(Method::POST, &format!("/api/v1/{path}")).header("idempotency-key", &key);
        call.json(body).send().await.expect(400);
    }
}

/// An import of CSV whose header is not as agreed, and one of another type.
pub(crate) async fn bad_imports(api: &Api, path: &str, column: &str) {
    let path = format!("/api/v1/{path}");
    let send = async |media_type: &str, body: Vec<u8>| {
        api.call(Method::POST, &path).header("content-type", media_type).body(body).send().await
    };
    for body in ["".to_owned(), "colour\n".to_owned(), format!("{column},{column}\n"), format!("{column}\n")] {
        let reply = send("text/csv", body.clone().into_bytes()).await.expect(422);
        assert!(reply.json()["field"].is_string(), "{path} {body:?}: {}", reply.text());
    }
    assert!(send("text/csv", b"\xff\xfe\n".to_vec()).await.status < 500, "{path}");
    send("application/json", b"[]".to_vec()).await.expect(415);
    let reply = send("application/x-ndjson", b"{\"colour\": 1}\n[]\nnull\n{\n".to_vec()).await.expect(200).json();
    assert_eq!((&reply["applied"], &reply["complete"]), (&json!(0), &json!(true)), "{path}: {reply}");
    assert_eq!(reply["errors"].as_array().unwrap().len(), 4, "{path}: {reply}");
}

/// Line and field of each refused row of a report.
pub(crate) fn named(report: &Value) -> Vec<(i64, Option<&str>)> {
    let errors = report["errors"].as_array().unwrap();
    let mut named: Vec<_> =
        errors.iter().map(|error| (error["line"].as_i64().unwrap(), error["field"].as_str())).collect();
    named.sort_unstable();
    named
}
