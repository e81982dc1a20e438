//! Connections to PostgreSQL that die without a word: what waits for an answer ends, the work goes on, and so does nothing
//! that was asked to stop.

use std::time::{Duration, Instant};

use kit::config::{ServiceConfig, Vars};
use serde_json::json;
use sqlx::PgPool;
use system_tests::{Fault, Network, Stack, Way, wait_until};

use crate::jobs::desk::{ask, desk, jobs_file};

/// Within this time everything goes on.
const MINUTE: Duration = Duration::from_secs(60);

/// A network before the server of `reporting_db`, and the address of that database through it.
async fn network(stack: &Stack) -> (Network, String) {
    let direct = stack.url("reporting_db", "reporting");
    let (head, rest) = direct.split_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    let network = Network::before(server).await;
    let url = format!("{head}@{}/{database}", network.address());
    (network, url)
}

/// A pool for work, with a limit that no statement of these tests reaches.
fn work(url: &str) -> PgPool {
    let vars = [("X_LISTEN", "127.0.0.1:0"), ("X_DATABASE_URL", url), ("X_GATEWAY_TOKEN", "0123456789abcdef")];
    let config = ServiceConfig::read(&mut Vars::from_map("X_", vars)).unwrap();
    kit::db::side_pool(&config, "dead connections", 4, Duration::from_secs(300)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_the_server_is_not_at_work_on_ends_and_one_that_it_is_goes_on() {
    let stack = Stack::builder().start_databases().await;
    let (network, url) = network(&stack).await;
    let pool = work(&url);
    for (fault, way) in [(Fault::Mute, Way::Back), (Fault::Mute, Way::There), (Fault::Frozen, Way::Both)] {
        // A connection that works, and is idle when it is struck.
        sqlx::query("SELECT 1").execute(&pool).await.unwrap();
        let mut held = pool.acquire().await.unwrap();
        assert!(network.strike(fault, way) > 0);
        let struck = sqlx::query("SELECT 1").execute(&mut *held);
        let other = work(&url);
        let long = sqlx::query("SELECT pg_sleep(15)").execute(&other);
        let began = Instant::now();
        let (struck, long) = tokio::join!(tokio::time::timeout(MINUTE, struck), long);
        assert!(struck.expect("it ends").is_err(), "{fault:?} {way:?}");
        assert!(began.elapsed() < MINUTE / 2, "{:?}", began.elapsed());
        long.expect("what the server is at work on is waited for");
    }
    let delayed = Fault::Delayed(Duration::from_millis(300));
    network.strike(delayed, Way::Both);
    sqlx::query("SELECT pg_sleep(0)").execute(&pool).await.expect("what is slow is no fault");
    for fault in [Fault::Halved, Fault::Cut] {
        network.strike(fault, Way::Back);
        wait_until("the pool to go on", MINUTE, async || sqlx::query("SELECT 1").execute(&pool).await.ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_go_on_within_a_minute_and_the_process_ends_when_it_is_asked_to() {
    let file = jobs_file("");
    let mut stack = desk(&file).only(&["inventory", "retail", "reporting"]).start().await;
    let (network, url) = network(&stack).await;
    let (jobs, url) = (file.path().to_string_lossy().into_owned(), url.as_str());
    let variables =
        [("REPORTING_JOBS", jobs.as_str()), ("REPORTING_LEASE_SECONDS", "6"), ("REPORTING_DATABASE_URL", url)];
    stack.restart_with("reporting", &variables).await;
    let (api, live) = (stack.api("operator"), stack.direct("reporting"));
    for (fault, way) in [(Fault::Mute, Way::Back), (Fault::Mute, Way::There), (Fault::Frozen, Way::Both)] {
        // One that is under way, and what is asked for afterwards.
        let before = ask(&stack, "poll-retail", &json!({})).await;
        assert!(network.strike(fault, way) > 0);
        let asked = wait_until("a poll to be taken", MINUTE, async || {
            let reply = api.post("/reporting/api/v1/jobs/poll-retail/runs", &json!({})).await;
            (reply.status == 202).then(|| reply.json())
        })
        .await;
        for run in [before, asked] {
            let path = format!("/reporting/api/v1/jobs/runs/{}", run["id"]);
            let ended = wait_until("the poll to end", MINUTE, async || {
                let reply = api.get(&path).await;
                let run = (reply.status == 200).then(|| reply.json())?;
                (!run["finished_at"].is_null()).then_some(run)
            })
            .await;
            assert_eq!(ended["status"], "succeeded", "{fault:?} {way:?}: {ended}");
        }
        live.get("/health/live").await.expect(200);
    }
    let incidents = api.get_json("/reporting/api/v1/jobs/incidents").await;
    assert_eq!(incidents["items"], json!([]), "no false alarm");

    ask(&stack, "poll-retail", &json!({})).await;
    network.strike(Fault::Frozen, Way::Both);
    let asked = Instant::now();
    stack.stop("reporting").await;
    assert!(asked.elapsed() < Duration::from_secs(29), "{:?}", asked.elapsed());
}
