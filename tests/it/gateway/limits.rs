//! Rates, sizes, origins, health and metrics.

use futures_util::future::join_all;
use reqwest::Method;
use system_tests::eventually;
use tokio::net::TcpListener;

use super::harness::{Act, Gate, Upstream};

const SALES: &str = "/retail/api/v1/sales";

/// `kong.yml` with one sale a second and two a minute for tills.
fn strict(text: &str) -> String {
    text.replace(
        "consumer: pos\n    config: { second: 2000, minute: 60000,",
        "consumer: pos\n    config: { second: 2, minute: 2,",
    )
}

#[tokio::test]
async fn a_consumer_over_its_rate_is_refused_and_others_are_not() {
    let upstream = Upstream::start(|_| Act::status("503 Service Unavailable")).await;
    let gate = Gate::changed(upstream.address, strict).await;
    // A window follows the clock, so the minute must not end in the middle of the test.
    eventually("the minute to have time left", async || chrono::Utc::now().timestamp() % 60 < 45).await;
    // Neither of these spends anything.
    assert_eq!(gate.bare(Method::POST, SALES).send().await.unwrap().status(), 401);
    let large = vec![0; 2 * 1024 * 1024 + 1];
    assert_eq!(gate.by("pos", Method::POST, SALES).body(large).send().await.unwrap().status(), 413);
    assert_eq!(gate.by("pos", Method::POST, "/retail/api/v1/sales/import").send().await.unwrap().status(), 403);

    // A request counts whatever becomes of it.
    for left in ["1", "0"] {
        let response = gate.by("pos", Method::POST, SALES).send().await.unwrap();
        assert_eq!(response.status(), 503);
        let headers = response.headers();
        for kind in ["x-ratelimit-%-minute", "ratelimit-%"] {
            assert_eq!(headers[kind.replace('%', "limit").as_str()], "2");
            assert_eq!(headers[kind.replace('%', "remaining").as_str()], left);
        }
    }
    let refused = gate.by("pos", Method::POST, SALES).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let headers = refused.headers().clone();
    assert_eq!(headers["retry-after"], headers["ratelimit-reset"]);
    let reset: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&reset), "{reset}");
    assert!(headers.contains_key("x-correlation-id") && headers.contains_key("access-control-allow-origin"));
    assert!(refused.text().await.unwrap().contains("API rate limit exceeded"));
    assert_eq!(upstream.seen().len(), 2);
    assert_eq!(gate.by("backoffice", Method::POST, SALES).send().await.unwrap().status(), 503);
}

#[tokio::test]
async fn fifty_tills_at_once_and_the_aggregators_pages_pass() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    let sales = (0..50).map(|_| gate.by("pos", Method::POST, SALES).body("{}").send());
    for response in join_all(sales).await {
        assert_eq!(response.unwrap().status(), 200);
    }
    let pages = (0..100).map(|_| gate.by("aggregator", Method::GET, "/retail/api/v1/changes/sale_lines").send());
    for response in join_all(pages).await {
        assert_eq!(response.unwrap().status(), 200);
    }
}

/// What all sources together may ask is what the gateway lets the aggregator ask, however long a first poll takes.
#[test]
fn the_aggregators_own_pace_is_within_its_limits() {
    let file: serde_json::Value = serde_saphyr::from_str(gateway::TEMPLATE).unwrap();
    let plugins = file["plugins"].as_array().unwrap();
    let limits = &plugins.iter().find(|plugin| plugin["consumer"] == "aggregator").unwrap()["config"];
    let sources = std::fs::read_dir(system_tests::binaries::repository().join("aggregator/sources")).unwrap();
    let (mut count, mut pace) = (0, 0);
    for source in sources {
        let text = std::fs::read_to_string(source.unwrap().path()).unwrap();
        let table: toml::Table = text.parse().unwrap();
        // Unless its file says otherwise, a source is asked at most so often in a second.
        pace += table["source"].get("rate").map_or(50, |rate| rate.as_integer().unwrap());
        count += 1;
    }
    assert_eq!(count, 3);
    // One more of each source may fall into a window of the clock.
    assert!(pace + count <= limits["second"].as_i64().unwrap(), "{pace} requests a second");
    assert!(60 * pace + count <= limits["minute"].as_i64().unwrap(), "{pace} requests a second");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_the_upstream_sees_it() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    let limit = 2 * 1024 * 1024;
    let chunked = |size: usize| {
        let chunks: Vec<_> =
            vec![0_u8; size].chunks(64 * 1024).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
        reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))
    };
    for (size, want) in [(limit, 200), (limit + 1, 413)] {
        let known = gate.by("pos", Method::POST, SALES).body(vec![0; size]).send().await.unwrap();
        assert_eq!(known.status(), want, "{size} bytes");
        let unknown = gate.by("pos", Method::POST, SALES).body(chunked(size)).send().await.unwrap();
        assert_eq!(unknown.status(), want, "{size} bytes in chunks");
    }
    assert_eq!(upstream.seen().len(), 2);
    // Imports have a limit of their own.
    let import = gate
        .by("backoffice", Method::POST, "/retail/api/v1/sales/import")
        .body(vec![0; limit + 1])
        .send()
        .await
        .unwrap();
    assert_eq!(import.status(), 200);
    assert_eq!(upstream.last().body.len(), limit + 1);
}

#[tokio::test]
async fn an_import_over_its_limit_is_refused_with_and_without_a_length() {
    let upstream = Upstream::plain().await;
    let one_megabyte = |text: &str| text.replace("allowed_payload_size: 1024", "allowed_payload_size: 1");
    let gate = Gate::changed(upstream.address, one_megabyte).await;
    let limit = 1024 * 1024;
    for (size, want) in [(limit, 200), (limit + 1, 413)] {
        let chunks: Vec<_> =
            vec![0_u8; size].chunks(64 * 1024).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
        let unknown = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
        for (how, body) in [("known", reqwest::Body::from(vec![0; size])), ("unknown", unknown)] {
            let import = gate.by("backoffice", Method::POST, "/retail/api/v1/sales/import").body(body);
            let answer = import.send().await.unwrap();
            assert_eq!(answer.status(), want, "{size} bytes, length {how}");
            let text = answer.text().await.unwrap();
            assert_eq!(text.contains("Request size limit exceeded"), want == 413, "{text}");
        }
    }
    assert!(upstream.seen().iter().all(|seen| seen.body.len() == limit), "no whole body was over the limit");
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn a_preflight_needs_no_key_and_every_answer_says_who_may_read_it() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    let ask = |method: Method, path: &str| gate.bare(method, path).header("origin", "https://shop.example");
    let preflight = ask(Method::OPTIONS, SALES).header("access-control-request-method", "POST").send().await.unwrap();
    assert_eq!(preflight.status(), 200);
    let headers = preflight.headers();
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert_eq!(headers["content-length"], "0");
    assert!(headers["access-control-allow-methods"].to_str().unwrap().split(',').any(|method| method == "POST"));
    assert!(headers["access-control-allow-headers"].to_str().unwrap().split(',').any(|header| header == "apikey"));
    assert!(headers.contains_key("access-control-max-age") && headers.contains_key("x-correlation-id"));

    let unknown = ask(Method::OPTIONS, "/nowhere").header("access-control-request-method", "GET").send().await.unwrap();
    assert_eq!(unknown.status(), 404);
    let plain = ask(Method::OPTIONS, SALES).send().await.unwrap();
    assert_eq!(plain.status(), 401, "without a method asked for it is no preflight");
    assert_eq!(plain.headers()["access-control-allow-origin"], "*");
    assert_eq!(upstream.seen().len(), 0);
    let proxied = gate.get("pos", SALES).await;
    assert!(proxied.headers()["access-control-expose-headers"].to_str().unwrap().contains("ETag"));
}

#[tokio::test]
async fn a_target_that_is_down_is_skipped_and_comes_back() {
    let upstream = Upstream::plain().await;
    let address = upstream.address;
    let gate = Gate::before(&upstream).await;
    assert_eq!(gate.get("pos", SALES).await.status(), 200);
    drop(upstream);
    let health = async || gate.admin("/upstreams/retail.upstream/health").await;
    eventually("the target to be unhealthy", async || health().await.contains("UNHEALTHY")).await;
    let refused = gate.get("pos", SALES).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.text().await.unwrap().contains("failure to get a peer from the ring-balancer"));

    let _again = Upstream::on(TcpListener::bind(address).await.unwrap(), |_| Act::ok("{}"));
    eventually("the target to be healthy", async || health().await.contains("\"HEALTHY\"")).await;
    assert_eq!(gate.get("pos", SALES).await.status(), 200);
}

#[tokio::test]
async fn a_live_target_answers_for_a_dead_one() {
    let upstream = Upstream::plain().await;
    // Nobody listens at the discard port of this machine.
    let two = |text: &str| {
        let one = format!("targets: [{{ target: \"{}\" }}]", upstream.address);
        let both = format!("targets: [{{ target: \"127.0.0.1:9\" }}, {{ target: \"{}\" }}]", upstream.address);
        assert!(text.contains(&one));
        text.replace(&one, &both)
            .replace("retries: 0", "retries: 1")
            .replace("interval: 1,", "interval: 0,")
            .replace("interval: 1\n", "interval: 0\n")
    };
    let gate = Gate::changed(upstream.address, two).await;
    for _ in 0..10 {
        let sale = gate.by("pos", Method::POST, SALES).body("{\"n\": 1}").send().await.unwrap();
        assert_eq!(sale.status(), 200);
        assert_eq!(upstream.last().body, b"{\"n\": 1}");
    }
    assert_eq!(upstream.seen().len(), 10);
}

#[tokio::test]
async fn the_admin_listener_counts_what_went_through() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    assert_eq!(gate.get("pos", SALES).await.text().await.unwrap(), "{}");
    assert_eq!(gate.bare(Method::GET, SALES).send().await.unwrap().status(), 401);
    let place = "service=\"retail-shared\",route=\"retail-tills\"";
    let passed = format!(
        "kong_http_requests_total{{{place},code=\"200\",source=\"service\",workspace=\"default\",consumer=\"pos\"}} 1\n"
    );
    let refused = format!(
        "kong_http_requests_total{{{place},code=\"401\",source=\"kong\",workspace=\"default\",consumer=\"\"}} 1\n"
    );
    let bytes =
        format!("kong_bandwidth_bytes{{{place},direction=\"egress\",workspace=\"default\",consumer=\"pos\"}} 2\n");
    let waited = format!("kong_upstream_latency_ms_count{{{place},workspace=\"default\"}} 1\n");
    let healthy = "kong_upstream_target_health{upstream=\"retail.upstream\"";
    eventually("the metrics to show both requests", async || {
        let metrics = gate.admin("/metrics").await;
        [&passed, &refused, &bytes, &waited].iter().all(|line| metrics.contains(line.as_str()))
            && metrics.contains(healthy)
    })
    .await;
    assert_eq!(gate.bare(Method::GET, "/metrics").send().await.unwrap().status(), 404, "not where clients come in");
}
