//! What the console does not let itself be told: by headers, cookies, other sites, or guesses.

use reqwest::{Client, Method, RequestBuilder, Response, redirect::Policy};
use system_tests::Stack;

/// A client that follows nothing and keeps nothing.
struct Visitor {
    client: Client,
    base: String,
}

impl Visitor {
    fn of(stack: &Stack) -> Self {
        let client = Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        Self { client, base: format!("{}/reporting", stack.gateway()) }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    /// A form as one of our own pages would send it.
    fn post(&self, path: &str, body: &str) -> RequestBuilder {
        let form = "application/x-www-form-urlencoded";
        self.client
            .post(format!("{}{path}", self.base))
            .header("content-type", form)
            .header("sec-fetch-site", "same-origin")
            .body(body.to_owned())
    }

    /// The cookie of a new session.
    async fn cookie(&self, stack: &Stack, consumer: &str) -> String {
        let answer = self.post("/sign-in", &format!("key={}", stack.state().keys[consumer])).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }
}

fn header(answer: &Response, name: &str) -> String {
    answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn nobody_is_believed_who_has_not_signed_in() {
    let stack = Stack::shared().await;
    let visitor = Visitor::of(stack);
    let pages =
        ["/", "/reports", "/reports/daily_sales", "/reports/daily_sales/download?format=csv", "/jobs", "/exports"];
    for path in pages {
        // Headers in which the gateway would name a consumer, and a key where it does not belong.
        let forged =
            visitor.get(path).header("x-consumer-username", "operator").header("x-consumer-groups", "operator");
        let answer = forged.header("x-gateway-token", "guess").send().await.unwrap();
        assert_eq!(answer.status(), 303, "{path}");
        assert!(header(&answer, "location").starts_with("/reporting/sign-in?next="), "{path}");
        let joint = if path.contains('?') { '&' } else { '?' };
        let key = &stack.state().keys["operator"];
        let answer = visitor.get(&format!("{path}{joint}apikey={key}&key={key}")).send().await.unwrap();
        assert_eq!(answer.status(), 303, "{path} with a key in its URL");
    }
    let answer = visitor.get("/sign-in").send().await.unwrap();
    let policy = header(&answer, "content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(header(&answer, "cache-control"), "no-store");
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_not_found_whatever_is_asked_of_it() {
    let stack = Stack::shared().await;
    let api = stack.direct("reporting");
    for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        for path in ["/api/v1/nothing", "/api/nothing", "/nothing/here"] {
            let answer = api.call(method.clone(), path).send().await;
            assert_eq!(answer.status, 404, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_cookie_that_was_tampered_with_or_signed_out_is_worth_nothing() {
    let stack = Stack::shared().await;
    let visitor = Visitor::of(stack);
    let cookie = visitor.cookie(stack, "analyst").await;
    let status =
        async |cookie: &str| visitor.get("/reports").header("cookie", cookie).send().await.unwrap().status().as_u16();
    assert_eq!(status(&cookie).await, 200);

    let (name, value) = cookie.split_once('=').unwrap();
    let (claims, seal) = value.split_once('.').unwrap();
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
    let claims = String::from_utf8(claims).unwrap().replace("\"role\":\"analyst\"", "\"role\":\"operator\"");
    assert!(claims.contains("operator"));
    let claims = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims);
    assert_eq!(status(&format!("{name}={claims}.{seal}")).await, 303);
    assert_eq!(status(&format!("{name}={claims}.")).await, 303);
    assert_eq!(status(&format!("{name}=x")).await, 303);

    let out = visitor.post("/sign-out", "").header("cookie", &cookie).send().await.unwrap();
    assert!(header(&out, "set-cookie").contains("Max-Age=0"));
    assert_eq!(status(&cookie).await, 303, "kept by somebody, it is still worth nothing");
}

#[tokio::test]
async fn a_form_of_another_site_sets_nothing_in_motion() {
    let stack = Stack::shared().await;
    let visitor = Visitor::of(stack);
    let cookie = visitor.cookie(stack, "operator").await;
    let runs = async || {
        let found = stack.api("operator").get_json("/reporting/api/v1/jobs/export-pack/runs").await;
        found["items"].as_array().unwrap().len()
    };
    let before = runs().await;
    let post = |body: &str| visitor.post("/jobs/export-pack/runs", body).header("cookie", &cookie);
    let page = visitor.get("/jobs/export-pack").header("cookie", &cookie).send().await.unwrap().text().await.unwrap();
    let token = page.split("name=\"form\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let good = format!("form={token}");
    let plain = visitor.client.post(format!("{}/jobs/export-pack/runs", visitor.base)).header("cookie", &cookie);
    let elsewhere = plain.header("origin", "https://evil.example").body(good.clone());
    for request in [elsewhere, post(""), post("form=guess")] {
        assert_eq!(request.send().await.unwrap().status(), 403);
    }
    // An analyst's own token is good for an analyst's rights.
    let analyst = visitor.cookie(stack, "analyst").await;
    let stolen = visitor.post("/jobs/export-pack/runs", &good).header("cookie", &analyst).send().await.unwrap();
    assert_eq!(stolen.status(), 403);
    assert_eq!(runs().await, before, "nothing was set in motion");
    let answer = post(&good).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    assert!(header(&answer, "location").starts_with("/reporting/runs/"));
    assert_eq!(runs().await, before + 1);
}

#[tokio::test]
async fn guessing_keys_is_slow_and_a_key_that_may_not_read_is_told_so() {
    let stack = Stack::start().await;
    let visitor = Visitor::of(&stack);
    let attempt = async |key: &str| visitor.post("/sign-in", &format!("key={key}")).send().await.unwrap();
    let answer = attempt(&stack.state().keys["pos"]).await;
    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.unwrap().contains("may not read reports"));
    for _ in 1..10 {
        assert_eq!(attempt("guess").await.status(), 401);
    }
    let answer = attempt("guess").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "retry-after").as_str()), (429, "60"));
    // No key in any log.
    let log = stack.log("reporting") + &stack.log("gateway");
    assert!(!log.contains(&stack.state().keys["pos"]), "a key was logged");
}

#[tokio::test]
async fn the_first_page_is_small_and_its_files_are_kept_for_ever() {
    let stack = Stack::shared().await;
    let visitor = Visitor::of(stack);
    let cookie = visitor.cookie(stack, "analyst").await;
    let page = visitor.get("/").header("cookie", &cookie).send().await.unwrap().text().await.unwrap();
    let mut bytes = page.len();
    let files: Vec<&str> = page.split('"').filter(|text| text.starts_with("/reporting/assets/")).collect();
    assert_eq!(files.len(), 3, "icon, stylesheet, script: {files:?}");
    for file in files {
        let answer = visitor.client.get(format!("{}{file}", stack.gateway())).send().await.unwrap();
        assert_eq!(header(&answer, "cache-control"), "public, max-age=31536000, immutable", "{file}");
        bytes += answer.bytes().await.unwrap().len();
    }
    assert!(bytes < 100_000, "{bytes} bytes, uncompressed");
    let small = visitor.get("/").header("cookie", &cookie).header("accept-encoding", "br").send().await.unwrap();
    assert_eq!(header(&small, "content-encoding"), "br");
    let unknown = visitor.get("/assets/console.0000000000000000.css").send().await.unwrap();
    assert_eq!(unknown.status(), 404);
    // The cookie's path ends in a slash, and so does ours.
    let bare = visitor.get("").send().await.unwrap();
    assert_eq!((bare.status().as_u16(), header(&bare, "location").as_str()), (308, "/reporting/"));
}
