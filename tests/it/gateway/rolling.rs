//! A service is replaced under load: of two replicas one is told to stop, and no client of the gateway notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use system_tests::{Api, Stack, eventually};
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::harness::{self, Gate};

/// Clients who work without pause, each on a connection that it keeps.
const CLIENTS: usize = 8;
/// How long the replica says that it goes, in seconds. Far longer than the checks need even on a busy machine.
const SHUTDOWN_DELAY: &str = "10";

/// Another process of retail on the same database.
async fn replica(stack: &Stack) -> (Child, SocketAddr) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let program = system_tests::binaries::program("retail");
    let mut command = Command::new(program);
    command.env_clear().envs(stack.environment("retail")).env("RETAIL_LISTEN", address.to_string());
    let child = command.stdout(std::process::Stdio::null()).kill_on_drop(true).spawn().unwrap();
    eventually("the second replica to be ready", async || {
        let answer = reqwest::get(format!("http://{address}/health/ready")).await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    (child, address)
}

/// `kong.yml` with both replicas of retail, their token, quick checks, and no rate that the clients could reach.
fn two_replicas(text: &str, replicas: [SocketAddr; 2], token: &str) -> String {
    let (one, other) = (replicas[0], replicas[1]);
    let (before, after) = text.split_once("  - name: retail.upstream\n").expect("retail has an upstream");
    let single = format!("targets: [{{ target: \"{one}\" }}]");
    assert!(after.contains(&single));
    let both = format!("targets: [{{ target: \"{one}\" }}, {{ target: \"{other}\" }}]");
    format!("{before}  - name: retail.upstream\n{}", after.replacen(&single, &both, 1))
        .replace(&harness::token("retail"), token)
        .replace("interval: 1", "interval: 0.1")
        .replace("second: 1000, minute: 30000,", "second: 1000000, minute: 60000000,")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_told_to_stop_fails_no_request_at_the_gateway() {
    let mut stack = Stack::builder()
        .env("retail", "RETAIL_SHUTDOWN_DELAY_SECONDS", SHUTDOWN_DELAY)
        // Few connections, so that all of them are there before it begins: to make one takes a busy machine seconds.
        .env("retail", "RETAIL_POOL_SIZE", "2")
        .start_databases()
        .await;
    stack.restart("retail").await;
    let first = stack.upstream("retail").0;
    let (_second, second) = replica(&stack).await;
    let token = stack.gateway_token("retail").to_owned();
    for replica in [first, second] {
        let replica = Api::new(&format!("http://{replica}"), &[("x-gateway-token", &token)]);
        eventually("all connections of a replica", async || {
            join_all((0..10).map(|_| replica.get("/api/v1/stores"))).await.iter().all(|answer| answer.status == 200)
        })
        .await;
    }
    let gate = Arc::new(Gate::changed(first, |text| two_replicas(text, [first, second], &token)).await);
    let enough = Arc::new(AtomicBool::new(false));
    let answered: Arc<Vec<AtomicU64>> = Arc::new((0..CLIENTS).map(|_| AtomicU64::new(0)).collect());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (gate, enough, answered) = (gate.clone(), enough.clone(), answered.clone());
            tokio::spawn(async move {
                while !enough.load(Ordering::Relaxed) {
                    let store = json!({"code": Uuid::new_v4().simple().to_string(), "name": "N", "city": "C", "time_zone": "UTC"});
                    let made = gate.by("backoffice", Method::POST, "/retail/api/v1/stores").json(&store).send().await;
                    let made = made.unwrap();
                    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
                    answered[client].fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let all_went_on = async |what| {
        let before: Vec<u64> = answered.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        eventually(what, async || {
            clients.iter().any(tokio::task::JoinHandle::is_finished)
                || answered.iter().zip(&before).all(|(now, before)| now.load(Ordering::Relaxed) >= before + 5)
        })
        .await;
    };
    all_went_on("every client to be busy").await;
    let replica = stack.system().process("retail").expect("the first replica");
    assert!(replica.stop(Duration::from_secs(60)).await, "it ended by itself");
    all_went_on("every client to go on without it").await;
    enough.store(true, Ordering::Relaxed);
    for outcome in join_all(clients).await {
        outcome.expect("a client met no failure");
    }
    let health = gate.admin("/upstreams/retail.upstream/health").await;
    assert!(health.contains("UNHEALTHY") && health.contains("\"HEALTHY\""), "{health}");
    let made: i64 =
        sqlx::query_scalar("SELECT count(*) FROM stores").fetch_one(&stack.pool("retail_db").await).await.unwrap();
    let answered: u64 = answered.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    assert_eq!(u64::try_from(made).unwrap(), answered, "nothing was sent twice");
}

/// What a restart of containers may do: retail's address has come to be ecommerce's.
#[tokio::test]
async fn a_service_at_anothers_address_does_nothing_and_is_soon_left_out() {
    let stack = Stack::shared().await;
    let (wrong, token) = (stack.upstream("ecommerce").0, stack.gateway_token("retail").to_owned());
    // Checks that come late show what a request meets before them, and quick ones what they find.
    let gate = async |interval: &str| {
        let change = |text: &str| {
            text.replace(&harness::token("retail"), &token).replace("interval: 1", &format!("interval: {interval}"))
        };
        Gate::changed(wrong, change).await
    };
    let early = gate("600").await;
    let answer = early.get("backoffice", "/retail/api/v1/customers").await;
    assert_eq!(answer.status(), 403);
    let text = answer.text().await.unwrap();
    assert!(text.contains("not-through-gateway") && text.contains("nothing was done"), "{text}");
    let checked = gate("0.05").await;
    eventually("the target to be left out", async || {
        checked.get("backoffice", "/retail/api/v1/customers").await.status() == 503
    })
    .await;
    assert_eq!(stack.direct("ecommerce").get("/health/live/ecommerce").await.status, 200);
    assert_eq!(stack.direct("ecommerce").get("/health/live/retail").await.status, 404);
}

/// What a service waits for, by default, is what the shipped checks need.
#[test]
fn the_shutdown_delay_is_longer_than_the_checks_need() {
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
        assert!(config.shutdown_delay.as_secs_f64() >= interval * failures + 0.5, "{upstream}");
        assert!(active["unhealthy"]["http_statuses"].as_array().unwrap().contains(&json!(503)));
    }
    assert!(config.drain > config.shutdown_delay);
}
