//! A service is replaced while it is asked: how long it says that it goes, and what the gateway's checks need.

use serde_json::json;

/// What a service waits for, by default, is what the shipped checks need.
#[test]
fn the_farewell_is_longer_than_the_checks_need() {
    let file: serde_json::Value =
        serde_saphyr::from_str(&super::harness::rendered("127.0.0.1:1".parse().unwrap())).unwrap();
    let mut vars = kit::config::Vars::from_map(
        "X_",
        [("X_LISTEN", "127.0.0.1:0"), ("X_DATABASE_URL", "-"), ("X_GATEWAY_TOKEN", "0123456789abcdef")],
    );
    let config = kit::config::ServiceConfig::read(&mut vars).unwrap();
    for upstream in file["upstreams"].as_array().unwrap() {
        let active = &upstream["healthchecks"]["active"];
        let (interval, failures) =
            (active["healthy"]["interval"].as_f64().unwrap(), active["unhealthy"]["http_failures"].as_f64().unwrap());
        // The first check may come just before the service is told to stop.
        assert!(config.farewell.as_secs_f64() >= interval * failures + 0.5, "{upstream}");
        assert!(active["unhealthy"]["http_statuses"].as_array().unwrap().contains(&json!(503)));
    }
    assert!(config.drain > config.farewell);
}
