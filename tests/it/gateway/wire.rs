//! What passes on the wire: paths, headers, Kong's own errors, bodies that break off, and bodies that are large.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::harness::{Act, Gate, Upstream, key};

/// Sends bytes as they are and reads to the end.
pub(super) async fn exchange(gate: &Gate, request: &str) -> String {
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is cut still shows what came before.
    let _cut = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_path_is_stripped_and_forwarded_in_its_normal_form() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    for (path, want) in [
        ("/inventory", "/"),
        ("/inventory/", "/"),
        ("/inventory/docs", "/docs"),
        ("/inventory/docs/", "/docs/"),
        ("/inventory//api/v1/./locations/../stock", "/api/v1/stock"),
        ("/inventory/a%2Fb%20c/%41%7e", "/a%2Fb%20c/A~"),
        ("/inventory/api/v1/stock?", "/api/v1/stock?"),
        ("/inventory/api/v1/stock?a=%2F+%20//..", "/api/v1/stock?a=%2F+%20//.."),
        ("/inventory/api/v1/products?x=/../y", "/api/v1/products?x=/../y"),
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\napikey: {}\r\nConnection: close\r\n\r\n", key("backoffice"));
        let answer = exchange(&gate, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
        assert_eq!(upstream.last().target, want, "{path}");
    }
}

#[tokio::test]
async fn an_upstream_learns_of_the_client_and_not_what_the_client_made_up() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    let request = format!(
        "GET /inventory/docs HTTP/1.1\r\nHost: shop.example:81\r\napikey: {}\r\nX-Forwarded-For: 1.2.3.4\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Prefix: /evil\r\nX-Real-IP: 1.2.3.4\r\n\
         Via: 1.1 before\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\nTE: gzip\r\nX-Under_Score: kept\r\n\r\n",
        key("backoffice")
    );
    exchange(&gate, &request).await;
    let seen = upstream.last();
    for (name, want) in [
        ("host", upstream.address.to_string()),
        ("x-forwarded-for", "1.2.3.4, 127.0.0.1".to_owned()),
        ("x-real-ip", "127.0.0.1".to_owned()),
        ("x-forwarded-proto", "http".to_owned()),
        ("x-forwarded-host", "shop.example".to_owned()),
        ("x-forwarded-port", gate.address.port().to_string()),
        ("x-forwarded-path", "/inventory/docs".to_owned()),
        ("x-forwarded-prefix", "/inventory/".to_owned()),
        ("via", "1.1 before, 1.1 kong/3.9.3".to_owned()),
        ("x-under_score", "kept".to_owned()),
    ] {
        assert_eq!(seen.header(name), Some(want.as_str()), "{name}");
    }
    assert_eq!((seen.header("x-secret"), seen.header("te")), (None, None));
    assert_eq!(seen.header("x-kong-request-id").map(str::len), Some(32));
}

#[tokio::test]
async fn an_answer_keeps_its_own_headers_and_gets_the_gateways() {
    let body = "HTTP/1.1 409 Sold Out\r\nServer: retail\r\nContent-Type: text/plain\r\nRetry-After: 7\r\n\
                X-Kong-Upstream-Latency: 99999\r\nVia: 1.1 inner\r\nContent-Length: 2\r\n\r\nno";
    let upstream = Upstream::start(|_| Act::Send(body.as_bytes().to_vec())).await;
    let gate = Gate::before(&upstream).await;
    let request =
        format!("GET /retail/docs HTTP/1.1\r\nHost: x\r\napikey: {}\r\nConnection: close\r\n\r\n", key("backoffice"));
    let answer = exchange(&gate, &request).await.to_lowercase();
    assert!(answer.starts_with("http/1.1 409 sold out\r\n"), "{answer}");
    for line in [
        "server: retail",
        "content-type: text/plain; charset=utf-8",
        "retry-after: 7",
        "via: 1.1 inner, 1.1 kong/3.9.3",
    ] {
        assert!(answer.contains(&format!("\r\n{line}\r\n")), "{line} in {answer}");
    }
    assert!(answer.contains("x-kong-proxy-latency: ") && !answer.contains("99999"), "{answer}");
    assert!(!answer.contains("\r\ndate:"), "the upstream sent none: {answer}");
}

#[tokio::test]
async fn a_correlation_id_is_made_once_kept_if_given_and_sent_to_both() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    let made = gate.get("pos", "/retail/api/v1/stores").await;
    let id = made.headers()["x-correlation-id"].to_str().unwrap().to_owned();
    assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 4);
    assert_eq!(upstream.last().header("x-correlation-id"), Some(id.as_str()));

    let own =
        gate.by("pos", Method::GET, "/retail/api/v1/stores").header("x-correlation-id", "till 7").send().await.unwrap();
    assert_eq!(own.headers()["x-correlation-id"], "till 7");
    assert_eq!(upstream.last().header("x-correlation-id"), Some("till 7"));
    let lost = gate.bare(Method::GET, "/nowhere").header("x-correlation-id", "till 7").send().await.unwrap();
    assert_eq!((lost.status().as_u16(), &lost.headers()["x-correlation-id"]), (404, &"till 7".parse().unwrap()));
}

#[tokio::test]
async fn its_own_errors_look_like_kongs() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    let response = gate.bare(Method::GET, "/nowhere").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
    assert_eq!(response.headers()["server"], "kong/3.9.3");
    assert!(response.headers().contains_key("x-kong-response-latency") && !response.headers().contains_key("via"));
    let id = response.headers()["x-kong-request-id"].to_str().unwrap().to_owned();
    let want = format!("{{\n  \"message\":\"no Route matched with those values\",\n  \"request_id\":\"{id}\"\n}}");
    assert_eq!(response.text().await.unwrap(), want);

    let head = gate.bare(Method::HEAD, "/nowhere").send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-length"]),
        (404, &want.len().to_string().parse().unwrap())
    );
    let no_host = exchange(&gate, "GET /retail HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(no_host.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{no_host}");
}

#[tokio::test]
async fn a_body_that_breaks_off_never_looks_whole() {
    let upstream = Upstream::start(|seen| match seen.target.as_str() {
        "/length" => Act::Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\na,b\n".to_vec()),
        "/chunked" => Act::Cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na,b\n\r\n".to_vec()),
        "/stalled" => Act::Stall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na,b\n\r\n".to_vec()),
        _ => Act::Cut(Vec::new()),
    })
    .await;
    let gate = Gate::changed(upstream.address, |text| text.replace("read_timeout: 60000", "read_timeout: 300")).await;
    for path in ["/retail/length", "/retail/chunked", "/retail/stalled"] {
        let response = gate.get("backoffice", path).await;
        assert_eq!(response.status(), 200, "{path}");
        let mut body = response.bytes_stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "a,b\n", "{path}: what came before the break");
        assert!(body.next().await.unwrap().is_err(), "{path} ended as if it were whole");
    }
    let nothing = gate.get("backoffice", "/retail/nothing").await;
    assert_eq!(nothing.status(), 502);
    assert!(nothing.headers().contains_key("x-kong-upstream-latency"));
    assert!(nothing.text().await.unwrap().contains("An invalid response was received from the upstream server"));
}

#[tokio::test]
async fn nothing_is_sent_twice() {
    for (act, want) in [(Act::Cut(Vec::new()), 502), (Act::Stall(Vec::new()), 504)] {
        let upstream = Upstream::start(move |_| act.clone()).await;
        let gate =
            Gate::changed(upstream.address, |text| text.replace("read_timeout: 60000", "read_timeout: 300")).await;
        for (sent, method) in [Method::POST, Method::GET, Method::PUT].into_iter().enumerate() {
            let response = gate.by("backoffice", method.clone(), "/retail/slow").body("x").send().await.unwrap();
            assert_eq!(response.status(), want, "{method}");
            assert_eq!(upstream.seen().len(), sent + 1, "{method}");
        }
    }
}

#[tokio::test]
async fn an_import_may_be_worked_on_for_longer_than_its_bytes_may_be_late() {
    let work = Duration::from_millis(600);
    let upstream =
        Upstream::start(move |_| Act::Late(work, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec())).await;
    let gate = Gate::changed(upstream.address, |text| text.replace("write_timeout: 60000", "write_timeout: 100")).await;
    let body = vec![b'x'; 300_000];
    let chunks: Vec<_> = body.chunks(70_000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    for body in [reqwest::Body::from(body), reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))] {
        let sent = gate.by("backoffice", Method::POST, "/retail/api/v1/sales/import").body(body).send().await.unwrap();
        assert_eq!(sent.status(), 200);
    }
}

#[tokio::test]
async fn with_retries_only_what_may_happen_twice_is_sent_again() {
    let upstream = Upstream::start(|_| Act::Cut(Vec::new())).await;
    let gate = Gate::changed(upstream.address, |text| text.replace("retries: 0", "retries: 2")).await;
    for (method, tries) in
        [(Method::POST, 1), (Method::PATCH, 1), (Method::GET, 3), (Method::PUT, 3), (Method::DELETE, 3)]
    {
        let before = upstream.seen().len();
        let body = "x".repeat(100_000);
        let response = gate.by("backoffice", method.clone(), "/retail/x").body(body.clone()).send().await.unwrap();
        assert_eq!(response.status(), 502);
        let seen = upstream.seen().split_off(before);
        assert_eq!(seen.len(), tries, "{method}");
        assert!(seen.iter().all(|seen| seen.body == body.as_bytes()), "{method}: each try has the whole body");
    }
}

#[tokio::test]
async fn a_large_answer_flows_while_it_is_still_being_sent() {
    // The upstream's second half exists only once the client has the first.
    let mut first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n".to_vec();
    first.resize(first.len() + 0x10_0000, b'x');
    first.extend_from_slice(b"\r\n");
    let upstream = Upstream::start(move |_| Act::Stall(first.clone())).await;
    let gate = Gate::before(&upstream).await;
    let mut body = gate.get("aggregator", "/retail/api/v1/changes/sale_lines").await.bytes_stream();
    let mut read = 0;
    while read < 0x10_0000 {
        read += body.next().await.unwrap().unwrap().len();
    }
    assert_eq!(read, 0x10_0000);
}

#[tokio::test]
async fn a_large_body_arrives_whole_buffered_or_streamed() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    let body: Vec<u8> = (0..1_500_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    for path in ["/inventory/api/v1/anything", "/inventory/api/v1/products/import"] {
        let known = gate.by("backoffice", Method::POST, path).body(body.clone()).send().await.unwrap();
        assert_eq!(known.status(), 200);
        assert!(upstream.last().body == body, "{path} with a length");
        let chunks = futures_util::stream::iter(
            body.chunks(70_000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>(),
        );
        let chunked =
            gate.by("backoffice", Method::POST, path).body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap();
        assert_eq!(chunked.status(), 200);
        assert!(upstream.last().body == body, "{path} in chunks");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_is_finished_before_the_gateway_stops() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let upstream = Upstream::start(move |_| {
        tokio::task::block_in_place(|| released.lock().unwrap().recv().unwrap());
        Act::ok("{}")
    })
    .await;
    let gate = Gate::before(&upstream).await;
    let (url, address) = (gate.url("/retail/x"), gate.address);
    let under_way = tokio::spawn(reqwest::Client::new().get(url).header("apikey", key("backoffice")).send());
    system_tests::eventually("the upstream to have the request", async || !upstream.seen().is_empty()).await;
    let stopped = gate.stop();
    system_tests::eventually("new connections to be refused", async || TcpStream::connect(address).await.is_err())
        .await;
    release.send(()).unwrap();
    assert_eq!(under_way.await.unwrap().unwrap().status(), 200);
    tokio::time::timeout(Duration::from_secs(20), stopped).await.expect("it stops").unwrap().unwrap();
}
