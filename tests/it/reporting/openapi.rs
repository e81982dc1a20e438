//! `/openapi.json` is the truth that others build on: every endpoint there, with an example to copy.

use serde_json::Value;

use super::{api, shared};

/// What `$ref` leads to.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|it| it.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} leads nowhere")),
        None => schema,
    }
}

/// Whether a reader is shown an instance: of the content, or of its schema.
fn is_shown(document: &Value, content: &Value) -> bool {
    let schema = resolved(document, &content["schema"]);
    [content, schema].iter().any(|it| !it["example"].is_null() || !it["examples"].is_null())
        || schema["properties"]["items"]
            .get("items")
            .is_some_and(|item| is_shown(document, &serde_json::json!({ "schema": item })))
}

#[tokio::test]
async fn every_endpoint_has_an_example_of_what_it_takes_and_gives() {
    let stack = shared().await;
    let document = api(stack).get_json("/openapi.json").await;
    let mut missing = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let answers =
                operation["responses"].as_object().unwrap().iter().filter(|(status, _)| status.starts_with('2'));
            let contents = answers.map(|(_, answer)| &answer["content"]).chain([&operation["requestBody"]["content"]]);
            for content in contents.filter_map(|content| content.get("application/json")) {
                if !is_shown(&document, content) {
                    missing.push(format!("{method} {path}"));
                }
            }
        }
    }
    missing.dedup();
    assert_eq!(missing, Vec::<String>::new());
}
