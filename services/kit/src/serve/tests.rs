//! The layers and the shutdown, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use reqwest::{Client, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::*;
use crate::config::Vars;
use crate::correlation;
use crate::extract::Json;
use crate::problem::Problem;

const TOKEN: &str = "0123456789abcdef";

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Echo {
    text: String,
}

/// Answer what was sent.
#[utoipa::path(post, path = "/echo", request_body = Echo, responses((status = 200, body = Echo)))]
async fn echo(Json(body): Json<Echo>) -> Json<Echo> {
    Json(body)
}

/// Fail as a bug would.
#[utoipa::path(get, path = "/panic", responses((status = 200)))]
async fn panic() -> StatusCode {
    panic!("a secret of the program")
}

/// Never answer.
#[utoipa::path(get, path = "/stuck", responses((status = 200)))]
async fn stuck() -> StatusCode {
    std::future::pending().await
}

/// The id that a call to another service would carry.
#[utoipa::path(get, path = "/id", responses((status = 200)))]
async fn id() -> String {
    correlation::current_text().unwrap_or_default()
}

struct Running {
    client: Client,
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

fn api() -> Api {
    let routes =
        OpenApiRouter::new().routes(routes!(echo)).routes(routes!(panic)).routes(routes!(stuck)).routes(routes!(id));
    Api::new("test", "A service for tests.").routes(routes)
}

async fn start(api: Api, drain: Duration) -> Running {
    let mut vars = Vars::from_map(
        "T_",
        [
            ("T_LISTEN", "127.0.0.1:0"),
            ("T_DATABASE_URL", "-"),
            ("T_GATEWAY_TOKEN", TOKEN),
            ("T_REQUEST_TIMEOUT_SECONDS", "1"),
            ("T_SHUTDOWN_DELAY_SECONDS", "1"),
        ],
    );
    let mut config = ServiceConfig::read(&mut vars).unwrap();
    config.drain = drain;
    let listener = bind(&config).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let (app, stopping) = (api.build(&config), stop.clone());
    let server = tokio::spawn(async move { serve(listener, app, &config, stopping).await });
    Running { client: Client::builder().no_proxy().build().unwrap(), address, stop, server }
}

impl Running {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).header("x-gateway-token", TOKEN).send().await.unwrap()
    }
}

async fn problem(response: Response) -> Problem {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Problem = response.json().await.unwrap();
    assert!(problem.correlation_id.is_some());
    problem
}

#[tokio::test]
async fn only_the_gateway_comes_in_and_health_is_for_all() {
    let running = start(api(), Duration::from_secs(1)).await;
    for token in ["", "0123456789abcdeX", "0123456789abcdef0"] {
        let request = running.client.get(running.url("/api/v1/id")).header("x-gateway-token", token);
        assert_eq!(problem(request.send().await.unwrap()).await.code(), "not-through-gateway");
    }
    for open in ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"] {
        assert_eq!(running.client.get(running.url(open)).send().await.unwrap().status(), 200, "{open}");
    }
}

#[tokio::test]
async fn every_fault_is_a_problem_of_its_own() {
    let running = start(api(), Duration::from_secs(1)).await;
    let cases = [
        ("/api/v1/nothing", 404, "not-found"),
        ("/nothing", 404, "not-found"),
        ("/api/v1/echo", 405, "method-not-allowed"),
        ("/api/v1/panic", 500, "internal"),
        ("/api/v1/stuck", 503, "timeout"),
    ];
    for (path, status, code) in cases {
        let response = running.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers().contains_key("retry-after"), status == 503, "{path}");
        let problem = problem(response).await;
        assert_eq!(problem.code(), code, "{path}");
        assert!(!problem.detail.contains("secret"), "{path}");
    }
    let metrics = running.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("http_panics_total 1"), "{metrics}");
    assert!(metrics.contains(r#"route="/api/v1/panic",status="500""#), "{metrics}");
}

#[tokio::test]
async fn bad_bodies_are_told_apart() {
    let running = start(api(), Duration::from_secs(1)).await;
    let large = format!("{{\"text\": \"{}\"}}", "x".repeat(10 << 20));
    let cases = [
        ("text/plain", "{}".to_owned(), "unsupported-media-type", Some("Content-Type")),
        ("application/json", "{".to_owned(), "bad-request", None),
        ("application/json", "{}".to_owned(), "invalid-field", Some("text")),
        ("application/json; charset=utf-8", "{\"text\": \"a\", \"b\": 1}".to_owned(), "invalid-field", Some("b")),
        ("application/json", large, "body-too-large", None),
    ];
    for (media_type, body, code, field) in cases {
        let request = running.client.post(running.url("/api/v1/echo")).header("x-gateway-token", TOKEN);
        let found = problem(request.header("content-type", media_type).body(body).send().await.unwrap()).await;
        assert_eq!((found.code(), found.field.as_deref()), (code, field));
    }
}

#[tokio::test]
async fn a_correlation_id_is_kept_or_made_and_never_unsafe() {
    let running = start(api(), Duration::from_secs(1)).await;
    for (sent, kept) in [("order-7", true), ("two words", false), ("", false)] {
        let request = running.client.get(running.url("/api/v1/id")).header("x-gateway-token", TOKEN);
        let response = request.header("x-correlation-id", sent).send().await.unwrap();
        let answered = response.headers()["x-correlation-id"].to_str().unwrap().to_owned();
        assert_eq!(response.text().await.unwrap(), answered, "the task sees what the client sees");
        assert_eq!(answered == sent, kept, "{sent:?}");
    }
}

#[tokio::test]
async fn readiness_names_the_dependency_that_fails() {
    let api =
        api().check("warehouse", || async { Err("postgres://secret".to_owned()) }).check("till", || async { Ok(()) });
    let running = start(api, Duration::from_secs(1)).await;
    let response = running.get("/health/ready").await;
    assert_eq!(response.status(), 503);
    assert_eq!(
        response.text().await.unwrap(),
        format!(
            r#"{{"status":"unavailable","failing":["warehouse"],"checks":{{"warehouse":"unavailable","till":"ok"}},"zone_data":"{}"}}"#,
            base::ZONE_DATA
        )
    );
    for (path, status) in [("/health/live", 200), ("/health/live/test", 200), ("/health/live/other", 404)] {
        assert_eq!(running.get(path).await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn the_document_lists_what_every_operation_may_answer() {
    let running = start(api(), Duration::from_secs(1)).await;
    let document: serde_json::Value = running.get("/openapi.json").await.json().await.unwrap();
    let statuses = |path: &str, method: &str| -> Vec<String> {
        document["paths"][path][method]["responses"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(statuses("/api/v1/id", "get"), ["200", "400", "403", "500", "503"]);
    assert_eq!(statuses("/api/v1/echo", "post"), ["200", "400", "403", "500", "503", "413", "415", "422"]);
    let page = running.get("/docs").await.text().await.unwrap();
    assert!(page.contains("/api/v1/echo") && page.contains("Answer what was sent."), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"), "the page reaches no other host");
}

/// A route that reports when it is entered and answers when it is told to.
fn gated() -> (Api, mpsc::UnboundedReceiver<()>, Arc<Semaphore>) {
    let (entered, entries) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let wait = get(move || async move {
        entered.send(()).unwrap();
        let _opened = opened.acquire().await.unwrap();
        "done"
    });
    (Api::new("test", "").streams(OpenApiRouter::new().route("/wait", wait)), entries, gate)
}

#[tokio::test]
async fn a_stop_lets_open_requests_end() {
    let (api, mut entries, gate) = gated();
    let running = start(api, Duration::from_secs(60)).await;
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let request = running.client.get(running.url("/api/v1/wait")).header("x-gateway-token", TOKEN);
            tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() })
        })
        .collect();
    for _ in &requests {
        entries.recv().await.unwrap();
    }
    running.stop.cancel();
    // Answers close their connection, and health checks get 503.
    for (path, status) in [("/docs", 200), ("/health/live", 503), ("/health/live/test", 503), ("/health/ready", 503)] {
        let answer = running.get(path).await;
        assert_eq!((answer.status().as_u16(), answer.headers()["connection"].to_str().unwrap()), (status, "close"));
    }
    gate.add_permits(1);
    for request in requests {
        assert_eq!(request.await.unwrap(), "done");
    }
    let again = running.client.get(running.url("/health/live"));
    running.server.await.unwrap().unwrap();
    assert!(again.send().await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_the_drain() {
    let (api, mut entries, _gate) = gated();
    let running = start(api, Duration::from_millis(50)).await;
    let request = running.client.get(running.url("/api/v1/wait")).header("x-gateway-token", TOKEN);
    let request = tokio::spawn(async move { request.send().await.is_ok() });
    entries.recv().await.unwrap();
    // A peer that never sends a request does not delay it either.
    let _idle = tokio::net::TcpStream::connect(running.address).await.unwrap();
    running.stop.cancel();
    tokio::time::timeout(Duration::from_secs(30), running.server).await.expect("bounded").unwrap().unwrap();
    request.abort();
}
