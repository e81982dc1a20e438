//! Who may do what: the table of consumers, row by row, and what nobody can pretend.

use reqwest::Method;

use super::harness::{Gate, Upstream, key, token};

const CONSUMERS: [&str; 8] =
    ["storefront", "pos", "backoffice", "aggregator", "analyst", "operator", "service-retail", "service-ecommerce"];

/// Requests of each kind, and what the upstream is then asked for.
const REQUESTS: [(&str, &str, &str, &[&str]); 53] = [
    // Products are read by whoever sells.
    ("GET", "/inventory/api/v1/products?limit=5", "/api/v1/products?limit=5", &["storefront", "pos", "backoffice"]),
    ("HEAD", "/inventory/api/v1/products", "/api/v1/products", &["storefront", "pos", "backoffice"]),
    ("GET", "/inventory/api/v1/products/7", "/api/v1/products/7", &["storefront", "pos", "backoffice"]),
    ("GET", "/inventory/api/v1/categories", "/api/v1/categories", &["storefront", "pos", "backoffice"]),
    (
        "POST",
        "/inventory/api/v1/products/validate",
        "/api/v1/products/validate",
        &["storefront", "pos", "backoffice", "service-retail", "service-ecommerce"],
    ),
    // Products and stock are written by the back office; stock is taken by the services too.
    ("POST", "/inventory/api/v1/products", "/api/v1/products", &["backoffice"]),
    ("PUT", "/inventory/api/v1/products/7", "/api/v1/products/7", &["backoffice"]),
    ("PATCH", "/inventory/api/v1/products/7", "/api/v1/products/7", &["backoffice"]),
    ("GET", "/inventory/api/v1/stock", "/api/v1/stock", &["backoffice"]),
    ("POST", "/inventory/api/v1/stock", "/api/v1/stock", &["backoffice"]),
    ("GET", "/inventory/api/v1/locations", "/api/v1/locations", &["backoffice"]),
    (
        "POST",
        "/inventory/api/v1/stock-movements",
        "/api/v1/stock-movements",
        &["backoffice", "service-retail", "service-ecommerce"],
    ),
    (
        "POST",
        "/inventory/api/v1/stock-movements/sale-1/reversal",
        "/api/v1/stock-movements/sale-1/reversal",
        &["backoffice", "service-retail", "service-ecommerce"],
    ),
    ("GET", "/inventory/api/v1/stock-movements", "/api/v1/stock-movements", &["backoffice"]),
    ("POST", "/inventory/api/v1/products/import", "/api/v1/products/import", &["backoffice"]),
    ("POST", "/inventory/api/v1/stock/import", "/api/v1/stock/import", &["backoffice"]),
    ("POST", "/inventory/api/v1/stock-movements/import", "/api/v1/stock-movements/import", &["backoffice"]),
    // The shop's own matters.
    ("POST", "/ecommerce/api/v1/customers", "/api/v1/customers", &["storefront", "backoffice"]),
    ("POST", "/ecommerce/api/v1/carts", "/api/v1/carts", &["storefront", "backoffice"]),
    ("POST", "/ecommerce/api/v1/carts/3/items", "/api/v1/carts/3/items", &["storefront", "backoffice"]),
    ("POST", "/ecommerce/api/v1/carts/3/checkout", "/api/v1/carts/3/checkout", &["storefront", "backoffice"]),
    ("GET", "/ecommerce/api/v1/orders/9", "/api/v1/orders/9", &["storefront", "backoffice"]),
    ("GET", "/ecommerce/api/v1/refunds/9", "/api/v1/refunds/9", &["storefront", "backoffice"]),
    ("POST", "/ecommerce/api/v1/customers/import", "/api/v1/customers/import", &["backoffice"]),
    ("POST", "/ecommerce/api/v1/orders/import", "/api/v1/orders/import", &["backoffice"]),
    ("POST", "/ecommerce/api/v1/refunds/import", "/api/v1/refunds/import", &["backoffice"]),
    ("GET", "/ecommerce/openapi.json", "/openapi.json", &["backoffice"]),
    // The tills.
    ("GET", "/retail/api/v1/stores", "/api/v1/stores", &["pos", "backoffice"]),
    ("GET", "/retail/api/v1/registers", "/api/v1/registers", &["pos", "backoffice"]),
    ("POST", "/retail/api/v1/sales", "/api/v1/sales", &["pos", "backoffice"]),
    ("POST", "/retail/api/v1/sales/4/void", "/api/v1/sales/4/void", &["pos", "backoffice"]),
    ("POST", "/retail/api/v1/sales/4/returns", "/api/v1/sales/4/returns", &["pos", "backoffice"]),
    ("POST", "/retail/api/v1/stores/import", "/api/v1/stores/import", &["backoffice"]),
    ("POST", "/retail/api/v1/sales/import", "/api/v1/sales/import", &["backoffice"]),
    ("GET", "/retail/metrics", "/metrics", &["backoffice"]),
    // The feeds are the aggregator's alone.
    ("GET", "/inventory/api/v1/changes", "/api/v1/changes", &["aggregator"]),
    ("GET", "/inventory/api/v1/changes/stock?after=x", "/api/v1/changes/stock?after=x", &["aggregator"]),
    ("GET", "/ecommerce/api/v1/changes/orders", "/api/v1/changes/orders", &["aggregator"]),
    ("GET", "/retail/api/v1/changes/sale_lines", "/api/v1/changes/sale_lines", &["aggregator"]),
    // Reports are read by many and made by few.
    ("GET", "/reporting/api/v1/reports", "/api/v1/reports", &["analyst", "operator", "backoffice"]),
    (
        "GET",
        "/reporting/api/v1/reports/x/revisions",
        "/api/v1/reports/x/revisions",
        &["analyst", "operator", "backoffice"],
    ),
    ("GET", "/reporting/api/v1/me", "/api/v1/me", &["analyst", "operator", "backoffice"]),
    ("GET", "/reporting/api/v1/exports/1", "/api/v1/exports/1", &["analyst", "operator"]),
    ("GET", "/reporting/api/v1/sources", "/api/v1/sources", &["analyst", "operator"]),
    ("GET", "/reporting/api/v1/rollups", "/api/v1/rollups", &["analyst", "operator"]),
    ("GET", "/reporting/api/v1/sources/retail/quarantine", "/api/v1/sources/retail/quarantine", &["operator"]),
    ("GET", "/reporting/api/v1/jobs/nightly/runs", "/api/v1/jobs/nightly/runs", &["analyst", "operator"]),
    ("POST", "/reporting/api/v1/reports/x/runs", "/api/v1/reports/x/runs", &["operator"]),
    ("POST", "/reporting/api/v1/sources/retail/poll", "/api/v1/sources/retail/poll", &["operator"]),
    ("POST", "/reporting/api/v1/jobs/nightly/runs", "/api/v1/jobs/nightly/runs", &["operator"]),
    ("POST", "/reporting/api/v1/jobs/nightly/backfill", "/api/v1/jobs/nightly/backfill", &["operator"]),
    (
        "POST",
        "/reporting/api/v1/sources/retail/quarantine/replay",
        "/api/v1/sources/retail/quarantine/replay",
        &["operator"],
    ),
    ("GET", "/reporting/metrics", "/metrics", &["operator"]),
];

#[tokio::test]
async fn each_consumer_may_do_what_the_table_says_and_nothing_else() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    for (method, path, target, allowed) in REQUESTS {
        let method: Method = method.parse().unwrap();
        for consumer in CONSUMERS {
            let before = upstream.seen().len();
            let status = gate.by(consumer, method.clone(), path).send().await.unwrap().status();
            let reached = upstream.seen().len() - before;
            if allowed.contains(&consumer) {
                assert_eq!((status.as_u16(), reached), (200, 1), "{consumer} may {method} {path}");
                let seen = upstream.last();
                assert_eq!((seen.method.as_str(), seen.target.as_str()), (method.as_str(), target));
                assert_eq!(seen.header("x-consumer-username"), Some(consumer));
                let service = path.split('/').nth(1).unwrap();
                assert_eq!(seen.header("x-gateway-token"), Some(token(service).as_str()));
            } else {
                assert_eq!((status.as_u16(), reached), (403, 0), "{consumer} may not {method} {path}");
            }
        }
        let status = gate.bare(method.clone(), path).send().await.unwrap().status();
        assert_eq!(status, 401, "{method} {path} without a key");
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_around_the_table() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    let spelled = [
        ("/inventory//api/v1//changes", 403),
        ("/inventory/./api/v1/%63hanges", 403),
        ("/inventory/x/../api/v1/changes", 403),
        ("/inventoryapi/v1/changes", 404),
        ("/inventoryx/api/v1/changes", 404),
        ("/Inventory/api/v1/changes", 404),
    ];
    for (path, want) in spelled {
        let status = raw_status(&gate, path, Some(&key("backoffice"))).await;
        assert_eq!(status, want, "{path}");
    }
    assert_eq!(upstream.seen().len(), 0);
    for path in ["/reporting//api/v1/jobs", "/reporting/%61pi/v1/jobs", "/reporting/x/../metrics", "/reporting/api"] {
        assert_eq!(raw_status(&gate, path, None).await, 401, "{path}");
    }
    // An escaped slash is no separator, here or at the service, which knows no such path.
    assert_eq!(raw_status(&gate, "/inventory/api/v1%2Fchanges", Some(&key("backoffice"))).await, 200);
    assert_eq!(upstream.last().target, "/api/v1%2Fchanges");
}

/// The status of a request whose path no client library may tidy.
async fn raw_status(gate: &Gate, path: &str, key: Option<&str>) -> u16 {
    let key = key.map(|key| format!("apikey: {key}\r\n")).unwrap_or_default();
    let answer =
        super::wire::exchange(gate, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{key}Connection: close\r\n\r\n")).await;
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_client_cannot_say_who_it_is() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    let forged = [
        ("x-consumer-username", "operator"),
        ("x-consumer-groups", "operator"),
        ("x-consumer-id", "1"),
        ("x-consumer-custom-id", "1"),
        ("x-credential-identifier", "1"),
        ("x-anonymous-consumer", "true"),
        ("x-gateway-token", "guess"),
    ];
    let forge = |request: reqwest::RequestBuilder| {
        forged.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };

    let console = forge(gate.bare(Method::GET, "/reporting/reports")).send().await.unwrap();
    assert_eq!(console.status(), 200);
    let seen = upstream.last();
    assert_eq!(seen.target, "/reports");
    assert_eq!(seen.header("x-gateway-token"), Some(token("reporting").as_str()));
    for (name, _) in &forged[..6] {
        assert_eq!(seen.header(name), None, "{name} on the console's route");
    }

    let keyed = forge(gate.by("pos", Method::GET, "/retail/api/v1/stores")).send().await.unwrap();
    assert_eq!(keyed.status(), 200);
    let seen = upstream.last();
    assert_eq!(seen.header("x-consumer-username"), Some("pos"));
    assert_eq!(seen.header("x-consumer-groups"), Some("pos"));
    assert_eq!(seen.header("x-gateway-token"), Some(token("retail").as_str()));
    assert_eq!(seen.header("x-consumer-custom-id"), None);
    assert_eq!(seen.header("x-anonymous-consumer"), None);
    assert_ne!(seen.header("x-consumer-id"), Some("1"));
    assert_ne!(seen.header("x-credential-identifier"), Some("1"));
}

#[tokio::test]
async fn a_key_comes_by_header_alone_and_goes_no_further() {
    let upstream = Upstream::plain().await;
    let gate = Gate::before(&upstream).await;
    let path = "/retail/api/v1/stores";
    // A key in a query would stand in every log on its way.
    let own = format!("?apikey={}", key("pos"));
    for (query, header, text) in [
        ("", None, "No API key found in request"),
        (own.as_str(), None, "No API key found in request"),
        ("", Some(""), "No API key found in request"),
        ("", Some("wrong"), "Unauthorized"),
        (own.as_str(), Some("wrong"), "Unauthorized"),
    ] {
        let request = gate.bare(Method::GET, &format!("{path}{query}"));
        let request = header.into_iter().fold(request, |request, key| request.header("apikey", key));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401, "{query} {header:?}");
        assert_eq!(response.headers()["www-authenticate"], "Key");
        assert!(response.text().await.unwrap().contains(&format!("\"message\":\"{text}\"")), "{query} {header:?}");
    }
    assert_eq!(upstream.seen().len(), 0);

    // Beside a key in the header it is a parameter that nobody knows, and still goes no further.
    assert_eq!(gate.get("pos", &format!("{path}?a=%20&apikey=x&b=2")).await.status(), 200);
    assert_eq!(upstream.last().target, "/api/v1/stores?a=%20&b=2");
    assert_eq!(upstream.last().header("apikey"), None);
}
