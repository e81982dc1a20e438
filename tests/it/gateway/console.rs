//! The console's way through the gateway: a browser without a key, with cookies, forms and redirects.

use reqwest::{Client, Method, redirect};
use system_tests::eventually;

use super::harness::{Act, Gate, Upstream, key};
use super::wire::exchange;

#[tokio::test]
async fn a_browser_signs_in_with_a_form_and_comes_back_with_its_cookies() {
    let answer = "HTTP/1.1 303 See Other\r\nLocation: /reporting/?day=2026-11-25\r\nSet-Cookie: session=a; Path=/reporting/; \
                  HttpOnly; SameSite=Strict\r\nSet-Cookie: theme=dark; Path=/reporting/\r\nCache-Control: no-store\r\n\
                  Content-Length: 0\r\n\r\n";
    let upstream = Upstream::start(|_| Act::Send(answer.as_bytes().to_vec())).await;
    let gate = Gate::before(&upstream).await;
    let browser = Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
    let form = browser
        .post(gate.url("/reporting/sign-in"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("cookie", "session=old; theme=light")
        .body("key=a%2Bb&next=%2Freporting%2F")
        .send()
        .await
        .unwrap();
    assert_eq!(form.status(), 303);
    assert_eq!(form.headers()["location"], "/reporting/?day=2026-11-25");
    let cookies: Vec<_> = form.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["session=a; Path=/reporting/; HttpOnly; SameSite=Strict", "theme=dark; Path=/reporting/"]);
    assert_eq!(form.headers()["cache-control"], "no-store");
    let seen = upstream.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/sign-in"));
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen.header("cookie"), Some("session=old; theme=light"));
    assert_eq!(seen.body, b"key=a%2Bb&next=%2Freporting%2F");
    // By these the service can make absolute links.
    assert_eq!(seen.header("x-forwarded-host"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-prefix"), Some("/reporting/"));
}

#[tokio::test]
async fn every_path_but_the_apis_is_the_consoles() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    for (path, want) in [
        ("/reporting", "/"),
        ("/reporting/", "/"),
        ("/reporting/reports/daily_sales?day=2026-11-25", "/reports/daily_sales?day=2026-11-25"),
        ("/reporting/assets/console.css", "/assets/console.css"),
        ("/reporting/apiary", "/apiary"),
    ] {
        assert_eq!(gate.bare(Method::GET, path).send().await.unwrap().status(), 200, "{path}");
        assert_eq!(upstream.last().target, want);
    }
    let reached = upstream.seen().len();
    for path in ["/reporting/api", "/reporting/api/", "/reporting/api/v1/reports", "/reporting/api/v2/anything"] {
        assert_eq!(gate.bare(Method::GET, path).send().await.unwrap().status(), 401, "{path}");
    }
    assert_eq!(upstream.seen().len(), reached);
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_held_whatever_key_it_shows() {
    let upstream = Upstream::plain().await;
    let strict = |text: &str| {
        let limit = "{ second: 100, minute: 3000, policy: local, limit_by: ip }";
        assert!(text.contains(limit));
        text.replace(limit, "{ minute: 2, policy: local, limit_by: ip }")
    };
    let gate = Gate::changed(upstream.address, strict).await;
    // A window follows the clock, so the minute must not end in the middle of the test.
    eventually("the minute to have time left", async || chrono::Utc::now().timestamp() % 60 < 45).await;
    let ask = async |consumer: &str| {
        let request = gate.by(consumer, Method::GET, "/reporting/");
        request.header("x-forwarded-for", format!("10.0.0.{}", consumer.len())).send().await.unwrap().status().as_u16()
    };
    assert_eq!([ask("analyst").await, ask("operator").await, ask("pos").await], [200, 200, 429]);
    // The API's callers are counted elsewhere.
    assert_eq!(gate.get("analyst", "/reporting/api/v1/reports").await.status(), 200);
}

#[tokio::test]
async fn who_a_browser_claims_to_be_does_not_get_through_in_any_spelling() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    let claims = "X-CONSUMER-USERNAME: operator\r\nX-Consumer-Username: operator\r\nx-consumer-groups: operator\r\n\
                  X-Authenticated-Groups: operator\r\nX-Gateway-Token: guess\r\n";
    let request = format!(
        "GET /reporting/ HTTP/1.1\r\nHost: x\r\napikey: {}\r\n{claims}Connection: close, X-Gateway-Token\r\n\r\n",
        key("operator")
    );
    assert!(exchange(&gate, &request).await.starts_with("HTTP/1.1 200"));
    let seen = upstream.last();
    for name in ["x-consumer-username", "x-consumer-groups", "x-consumer-id", "x-authenticated-groups"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}
