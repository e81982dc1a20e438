//! `/openapi.json`, completed with what every operation may answer, and `/docs`, a page made from it.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::{Map, Value, json};
use utoipa::PartialSchema as _;

use super::layers::TOKEN_HEADER;
use crate::problem::{MEDIA_TYPE, Problem};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The two documents, rendered once.
pub(super) fn router(name: &str, description: &str, openapi: utoipa::openapi::OpenApi) -> Router {
    let mut document = serde_json::to_value(openapi).unwrap_or_default();
    complete(&mut document, name, description);
    let page = page(&document);
    let json = axum::body::Bytes::from(document.to_string());
    Router::new()
        .route(
            "/openapi.json",
            get(move || {
                let json = json.clone();
                async move { ([(axum::http::header::CONTENT_TYPE, "application/json")], json) }
            }),
        )
        .route("/docs", get(move || std::future::ready(Html(page.clone()))))
}

/// Adds title, the gateway's token, and to each operation the problems that the shared layers may answer,
/// so that handlers document only what is theirs.
fn complete(document: &mut Value, name: &str, description: &str) {
    document["info"] = json!({"title": name, "description": description, "version": env!("CARGO_PKG_VERSION")});
    document["components"]["schemas"]["Problem"] = serde_json::to_value(Problem::schema()).unwrap_or_default();
    document["components"]["securitySchemes"]["gateway"] =
        json!({"type": "apiKey", "in": "header", "name": TOKEN_HEADER});
    document["security"] = json!([{"gateway": []}]);
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, item) in paths {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method) {
                add_problems(operation, path);
            }
        }
    }
}

fn add_problems(operation: &mut Value, path: &str) {
    let has_body = operation.get("requestBody").is_some();
    let mut problems = vec![
        ("400", "The request is malformed, or a parameter is unknown or bad"),
        ("403", "The request did not come through the gateway"),
        ("500", "A bug; the correlation id finds it in the logs"),
        (
            "503",
            "Something this service needs is away, or the time limit is over; `Retry-After` says when to try again",
        ),
    ];
    if path.contains('{') {
        problems.push(("404", "What the path names does not exist"));
    }
    if has_body {
        problems.push(("413", "The body is too large"));
        problems.push(("415", "The body is of another media type"));
        problems
            .push(("422", "A field of the body is unknown, missing or bad, or the Idempotency-Key was used before"));
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (status, meaning) in problems {
        responses.entry(status).or_insert_with(|| json!({"description": meaning}));
    }
    for (_, response) in responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
        if response.get("content").is_none() {
            let mut content = Map::new();
            content.insert(MEDIA_TYPE.to_owned(), json!({"schema": {"$ref": "#/components/schemas/Problem"}}));
            response["content"] = Value::Object(content);
        }
    }
}

/// A page for people: no script, no outside host.
fn page(document: &Value) -> String {
    let title = escape(text(&document["info"]["title"]));
    let mut html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>{title} API</title><style>\
         body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}\
         code,pre{{font:14px/1.4 ui-monospace,monospace}}pre{{background:#8881;padding:.75rem;overflow:auto}}\
         summary{{cursor:pointer;padding:.25rem 0}}td,th{{text-align:left;padding:0 1rem 0 0;vertical-align:top}}\
         b.m{{display:inline-block;min-width:4rem}}:root{{color-scheme:light dark}}</style>\
         <h1>{title}</h1><p>{} Machines read <a href=openapi.json>openapi.json</a>.</p>",
        escape(text(&document["info"]["description"]))
    );
    for (path, item) in entries(&document["paths"]) {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                operation_html(&mut html, method, path, operation);
            }
        }
    }
    html.push_str("<h2>Schemas</h2>");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        let pretty = serde_json::to_string_pretty(schema).unwrap_or_default();
        html.push_str(&format!(
            "<details id='{0}'><summary><code>{0}</code></summary><pre>{1}</pre></details>",
            escape(name),
            escape(&pretty)
        ));
    }
    html
}

fn operation_html(html: &mut String, method: &str, path: &str, operation: &Value) {
    html.push_str(&format!(
        "<details><summary><b class=m>{}</b> <code>{}</code> {}</summary><p>{}</p>",
        method.to_uppercase(),
        escape(path),
        escape(text(&operation["summary"])),
        escape(text(&operation["description"]))
    ));
    html.push_str("<table><tr><th>Parameter<th>In<th>Meaning</tr>");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        html.push_str(&format!(
            "<tr><td><code>{}</code><td>{}<td>{}</tr>",
            escape(text(&parameter["name"])),
            escape(text(&parameter["in"])),
            escape(text(&parameter["description"]))
        ));
    }
    html.push_str("</table><table><tr><th>Status<th>Meaning</tr>");
    for (status, response) in entries(&operation["responses"]) {
        let meaning = escape(text(&response["description"]));
        html.push_str(&format!("<tr><td>{status}<td>{meaning}</tr>"));
    }
    html.push_str("</table></details>");
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;").replace('"', "&quot;")
}
