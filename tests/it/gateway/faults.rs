//! A file that the local gateway cannot obey stops it, and the fault is named by its path.

use std::collections::BTreeMap;

use serde_json::Value;

use super::harness::rendered;

fn template() -> String {
    rendered("127.0.0.1:1".parse().unwrap())
}

#[test]
fn each_fault_is_named_by_its_path() {
    let text = template();
    let cases = [
        ("_format_version: \"3.0\"", "_format_version: \"1.1\"", "_format_version: unknown variant `1.1`"),
        (
            "    retries: 0\n",
            "    retries: 0\n    tls_verify: true\n",
            "services[0].tls_verify: unknown field `tls_verify`",
        ),
        (
            "        strip_path: true\n",
            "        strip_path: true\n        hosts: [x]\n",
            "services[0].routes[0].hosts: unknown field `hosts`",
        ),
        ("[\"~/inventory(/|$)\"]", "[\"inventory\"]", "services[0].routes[0].paths[0]: should start with ~/"),
        ("[\"~/inventory(/|$)\"]", "[\"~/inventory(\"]", "services[0].routes[0].paths[0]: regex parse error"),
        ("[\"~/inventory(/|$)\"]", "[\"~/a|/b\"]", "services[0].routes[0].paths[0]: an alternative outside"),
        ("methods: [GET, HEAD]", "methods: [get]", "services[1].routes[0].methods[0]: not a method"),
        ("host: inventory.upstream", "host: elsewhere", "services[0].host: is not the name of an upstream"),
        (
            "hide_credentials: true",
            "hide_credentials: maybe",
            "services[0].plugins[0].config.hide_credentials: invalid type",
        ),
        ("- name: prometheus", "- name: ip-restriction", "plugins[3].name: plugin 'ip-restriction' is not implemented"),
        ("generator: uuid", "generator: tracker", "plugins[0].config.generator: unknown variant `tracker`"),
        ("origins: [\"*\"]", "origins: [\"https://x\"]", "plugins[1].config.origins[0]: unknown variant"),
        ("consumer: pos", "consumer: nobody", "plugins[6].consumer: is not the username"),
        ("second: 200, minute: 6000,", "second: 200, minute: 10,", "plugins[4].config: the limit of a longer period"),
        (
            "key: \"key-of-pos\"",
            "key: \"key-of-storefront\"",
            "consumers[1].keyauth_credentials[0].key: is already another",
        ),
        ("key: \"key-of-pos\"", "key: \"\"", "consumers[1].keyauth_credentials[0].key: is empty"),
        ("target: \"127.0.0.1:1\"", "target: \"127.0.0.1\"", "upstreams[0].targets[0].target: should be host:port"),
        ("key: \"key-of-pos\"", "key: \"${TRIBUTARY_KEY_POS}\"", "a placeholder is not filled in"),
    ];
    gateway::check(&text).expect("the shipped file is obeyed");
    for (from, to, want) in cases {
        assert!(text.contains(from), "{from}");
        let error = gateway::check(&text.replacen(from, to, 1)).expect_err(to).to_string();
        assert!(error.contains(want), "{to}: {error}");
    }
}

#[test]
fn a_value_that_nobody_gave_is_named() {
    let error = stack::render::render(gateway::TEMPLATE, &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains("TRIBUTARY_"), "{error}");
    let names = stack::render::placeholders(gateway::TEMPLATE);
    let keys =
        ["STOREFRONT", "POS", "BACKOFFICE", "AGGREGATOR", "ANALYST", "OPERATOR", "SERVICE_RETAIL", "SERVICE_ECOMMERCE"];
    let mut want: Vec<String> = keys.iter().map(|key| format!("TRIBUTARY_KEY_{key}")).collect();
    for service in ["INVENTORY", "ECOMMERCE", "RETAIL", "REPORTING"] {
        want.extend(["TARGET", "GATEWAY_TOKEN"].map(|name| format!("TRIBUTARY_{name}_{service}")));
    }
    want.sort();
    assert_eq!(names, want);
}

/// What the file itself promises, whoever obeys it.
#[test]
fn the_file_keeps_its_promises() {
    let file: Value = serde_saphyr::from_str(&template()).unwrap();
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    for service in list(&file, "services") {
        let name = service["name"].as_str().unwrap();
        assert_eq!(service["retries"], 0, "{name}: a slow GET must not be multiplied");
        let keyed = list(&service, "plugins").iter().any(|plugin| plugin["name"] == "key-auth");
        for route in list(&service, "routes") {
            let route_name = route["name"].as_str().unwrap();
            let has = |plugin: &str| {
                [list(&route, "plugins"), list(&service, "plugins")]
                    .concat()
                    .iter()
                    .any(|found| found["name"] == plugin)
            };
            assert_eq!(keyed && has("acl"), route_name != "reporting-console", "{route_name}");
            let text = route["paths"].to_string();
            if text.contains("changes") || text.contains("exports") || text.contains("reports") {
                assert_eq!(route["response_buffering"], false, "{route_name}");
            }
            if text.contains("import") {
                assert!(has("request-size-limiting") && route["request_buffering"] == false, "{route_name}");
            }
        }
    }
    for upstream in list(&file, "upstreams") {
        assert!(upstream["healthchecks"]["active"]["healthy"]["interval"].as_f64().unwrap() > 0.0);
    }
    // No key is in the repository: each one stands as a placeholder.
    let source: Value = serde_saphyr::from_str(gateway::TEMPLATE).unwrap();
    for consumer in list(&source, "consumers") {
        for credential in list(&consumer, "keyauth_credentials") {
            assert!(credential["key"].as_str().unwrap().starts_with("${TRIBUTARY_KEY_"), "{consumer}");
        }
    }
}
