//! Clients that go away, or ask nonsense on the wire: the service keeps its memory, its files and its temper.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use system_tests::raw::{Raw, get};
use system_tests::{Api, Stack, eventually};

use super::{api, direct, listed, metric, reporting};

/// Bytes that a client leaves unread at most.
const ROOM: u32 = 4_096;

fn process(stack: &Stack) -> u32 {
    stack.state().services["reporting"].pid
}

/// Files, pipes and connections of clients that the process holds; its connections to databases are its pools' affair.
fn open_files(stack: &Stack) -> usize {
    let port = format!(":{:04X}", stack.upstream("reporting").0.port());
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let clients: BTreeSet<String> = connections
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields[1].ends_with(&port))
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect();
    let held = std::fs::read_dir(format!("/proc/{}/fd", process(stack))).unwrap();
    // One may be closed meanwhile.
    let links = held.filter_map(|it| std::fs::read_link(it.unwrap().path()).ok());
    links.filter(|it| it.to_str().is_none_or(|it| !it.starts_with("socket:") || clients.contains(it))).count()
}

async fn none_in_flight(api: &Api) {
    // The request for the metrics does not pass the layer that counts, or counts itself alone.
    eventually("no request in flight", async || metric(api, "http_requests_in_flight{").await <= 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_leave_at_any_stage() {
    let stack = reporting(&[]).await;
    let api = api(&stack);
    let (address, token) = stack.upstream("reporting");
    api.get(&direct("many?blocks=3&format=csv")).await.expect(200);
    let files = open_files(&stack);
    for (place, query) in ["many?blocks=30&format=csv", "many?blocks=30", "many?blocks=30&format=xlsx", "many?blocks=5"]
        .into_iter()
        .enumerate()
    {
        // Each stage asks for something of its own, so that nothing is at hand yet.
        let request = |stage: usize| get(&direct(&format!("{query}&word=stage-{place}-{stage}")), &token);
        let connect = || async { Raw::connect_with_room(address, ROOM).await.unwrap() };
        // In the middle of the request line, of the headers, and right after the request: before, while and after it
        // is computed and built.
        for (stage, cut) in [(0, 10), (1, 60)] {
            let mut client = connect().await;
            client.send(&request(stage)[..cut]).await.unwrap();
        }
        for stage in 2..6 {
            let mut client = connect().await;
            client.send(&request(stage)).await.unwrap();
        }
        // After the head, and in the middle of the body.
        for (stage, bytes) in [(6, 0), (7, 1), (8, 40_000)] {
            let mut client = connect().await;
            client.send(&request(stage)).await.unwrap();
            let head = client.head().await.unwrap();
            assert_eq!(head.status, 200);
            client.read(&mut Vec::new(), bytes.min(head.length)).await.unwrap();
        }
    }
    none_in_flight(&api).await;
    eventually("every file and socket to be closed", async || open_files(&stack) <= files + 4).await;
    let spool = stack.folder().join("spool");
    eventually("nothing half-built", async || listed(&spool).iter().all(|name| !name.ends_with(".part"))).await;
    // Every slot is free again: more at once than there are slots, all served.
    let replies = join_all((0..8).map(|n| {
        let path = direct(&format!("many?blocks=2&word=after-{n}&format=parquet"));
        let api = api.clone();
        async move { api.get(&path).await.status }
    }));
    assert_eq!(replies.await, [200; 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_refused_and_the_connection_is_no_worse_for_it() {
    let stack = super::shared().await;
    let (address, token) = stack.upstream("reporting");
    let long = |bytes: usize| "x".repeat(bytes);
    for (request, status) in [
        (get(&direct(&format!("many?word={}", long(9_000))), &token), 400),
        (get(&direct(&long(1_000)), &token), 404),
        (get(&direct(&long(100_000)), &token), 414),
        (get(&direct("many"), &format!("{token}accept: {}\r\n", long(20_000))), 406),
        (get(&direct("many"), &format!("{token}if-none-match: {}\r\n", long(20_000))), 200),
        (get(&direct("many"), &format!("{token}{}", "x: y\r\n".repeat(200))), 431),
        (get(&direct("many"), &format!("{token}x: {}\r\n", long(1_000_000))), 431),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400),
    ] {
        let mut client = Raw::connect(address).await.unwrap();
        // A refusal may come before the whole request was sent.
        client.send(&request).await.ok();
        let shown = String::from_utf8_lossy(&request).chars().take(80).collect::<String>();
        let answered = client.head().await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(answered.status, status, "{shown}");
    }
    api(stack).get("/health/live").await.expect(200);
}
