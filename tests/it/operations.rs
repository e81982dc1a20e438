//! What operators rely on: a service that is told to stop, under load, fails no request; one id tells the story of a
//! request in the logs of every service that it went through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Api, Stack, eventually};
use uuid::Uuid;

use crate::shop::{Shop, services};

/// Clients who work without pause, each on a connection that it keeps.
const CLIENTS: usize = 24;

/// A write that needs no other service.
struct Write {
    service: &'static str,
    path: &'static str,
    /// Counts what was written.
    count: &'static str,
    /// A body that no other request sends.
    body: fn() -> Value,
}

const WRITES: [Write; 3] = [
    Write {
        service: "inventory",
        path: "/api/v1/categories",
        count: "SELECT count(*) FROM categories",
        body: || json!({"name": Uuid::new_v4().to_string()}),
    },
    Write {
        service: "retail",
        path: "/api/v1/stores",
        count: "SELECT count(*) FROM stores",
        body: || {
            let code = Uuid::new_v4().simple().to_string();
            json!({"code": code, "name": "N", "city": "C", "time_zone": "Europe/Berlin"})
        },
    },
    Write {
        service: "ecommerce",
        path: "/api/v1/customers",
        count: "SELECT count(*) FROM customers",
        body: || json!({"name": Uuid::new_v4().to_string()}),
    },
];

/// Each request sent is answered, or was refused by a listener that is already closed and so did nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_service_fails_no_request() {
    let mut stack = Stack::builder().start_databases().await;
    for Write { service, path, count, body } in WRITES {
        stack.restart(service).await;
        let api = stack.direct(service);
        let done = Arc::new(AtomicU64::new(0));
        let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(work(api.clone(), path, body, done.clone()))).collect();
        eventually("clients to be busy", async || done.load(Ordering::Relaxed) > 10 * CLIENTS as u64).await;
        stack.stop(service).await;
        for outcome in join_all(clients).await {
            outcome.unwrap();
        }
        let written: i64 =
            sqlx::query_scalar(count).fetch_one(&stack.pool(&format!("{service}_db")).await).await.unwrap();
        let answered = done.load(Ordering::Relaxed);
        assert_eq!(u64::try_from(written).unwrap(), answered, "{service}: what was answered is what was done");
    }
}

/// Writes until the listener is closed.
async fn work(api: Api, path: &'static str, body: fn() -> Value, done: Arc<AtomicU64>) {
    loop {
        match api.call(Method::POST, path).json(&body()).try_send().await {
            Ok(reply) => {
                reply.expect(201);
                done.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                assert!(error.is_connect(), "a request was sent and not answered: {error:?}");
                return;
            }
        }
    }
}

#[tokio::test]
async fn one_id_goes_through_all_services() {
    let builder = Stack::builder().env("retail", "RETAIL_LOG", "debug").env("inventory", "INVENTORY_LOG", "debug");
    let stack = services(builder).await;
    let shop = Shop::open(&stack, 1, 10).await;
    let id = format!("till-{}", Uuid::new_v4().simple());
    let sale = shop.pos.call(Method::POST, "/retail/api/v1/sales").json(&shop.sale(shop.products[0], 1));
    let answer = sale.header("x-correlation-id", &id).send().await;
    assert_eq!(answer.header("x-correlation-id"), Some(id.as_str()));
    for (service, path) in [("retail", "/api/v1/sales"), ("inventory", "/api/v1/products/validate")] {
        eventually("its story in the log", async || {
            let log = stack.log(service);
            log.lines().any(|line| line.contains(&id) && line.contains(&format!("\"path\":\"{path}\"")))
        })
        .await;
    }
    let missing = shop.pos.call(Method::GET, "/retail/api/v1/sales/0").header("x-correlation-id", &id).send().await;
    assert_eq!(missing.expect(404).json()["correlation_id"], json!(id), "a problem names it, too");
}
