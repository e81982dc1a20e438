//! Clients that ask for much and take it slowly, or not at all: a bounded number of them is served in bounded memory,
//! the others are told to come again, and when they are gone nothing of them stays.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

use futures_util::{StreamExt as _, stream};
use rustix::process::{Resource, getrlimit, setrlimit};
use system_tests::raw::{Head, Raw, get};
use system_tests::{Stack, eventually};

use super::workers::resident;
use super::{api, direct, metric, reporting};

/// Bytes that a client leaves unread at most.
const ROOM: u32 = 4_096;
const CROWD: usize = 1_000;
/// What `REPORTING_DOWNLOADS` allows when nothing is said.
const DOWNLOADS: usize = 256;
/// More than the kernel takes off the service's hands for a client that reads nothing: that much is sent at once.
const LARGE: usize = 5_000_000;
/// How many of the crowd connect at a time: the bound under test is not that of the database's connections.
const AT_ONCE: usize = 16;

/// What the service has open.
struct Open {
    process: u32,
    port: u16,
    spool: String,
}

impl Open {
    fn of(stack: &Stack) -> Self {
        let (address, _) = stack.upstream("reporting");
        let process = stack.state().services["reporting"].pid;
        Self { process, port: address.port(), spool: stack.folder().join("spool").to_string_lossy().into_owned() }
    }

    /// Where its descriptors lead.
    fn descriptors(&self) -> Vec<String> {
        let links = fs::read_dir(format!("/proc/{}/fd", self.process)).unwrap();
        // One that is closed meanwhile leads nowhere.
        let links = links.filter_map(|link| fs::read_link(link.unwrap().path()).ok());
        links.map(|link| link.to_string_lossy().into_owned()).collect()
    }

    /// Files of the spool.
    fn files(&self) -> usize {
        self.descriptors().iter().filter(|it| it.starts_with(&self.spool)).count()
    }

    /// Connections that clients have made to it.
    fn connections(&self) -> usize {
        let sockets: BTreeSet<String> = self.descriptors().into_iter().filter(|it| it.starts_with("socket:")).collect();
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.process)).unwrap();
        let ours = format!(":{:04X}", self.port);
        let held = table.lines().skip(1).filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // 0A is the listening socket itself.
            fields[1].ends_with(&ours) && fields[3] != "0A" && sockets.contains(&format!("socket:[{}]", fields[9]))
        });
        held.count()
    }
}

/// Clients that ask, read the head of the answer, and then nothing.
async fn crowd(address: SocketAddr, request: &[u8], size: usize) -> Vec<(Head, Raw)> {
    let clients = stream::iter(0..size).map(|_| async {
        let mut client = Raw::connect_with_room(address, ROOM).await.unwrap();
        client.send(request).await.unwrap();
        let head = client.head().await.unwrap();
        (head, client)
    });
    clients.buffer_unordered(AT_ONCE).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_slow_clients_cost_little_stop_nobody_and_leave_nothing() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let stack = reporting(&[]).await;
    let (api, open) = (api(&stack), Open::of(&stack));
    let (address, token) = stack.upstream("reporting");
    api.get(&direct("many?blocks=2")).await.expect(200);
    let long = "x".repeat(200);
    // A file, JSON that lies in the spool, and JSON that is shared in memory as long as there is room.
    for (query, first, files) in [
        ("many?blocks=100&format=csv".to_owned(), "block,", DOWNLOADS),
        ("many?blocks=50".to_owned(), "{", DOWNLOADS),
        (format!("many?blocks=20&word={long}"), "{", 0),
    ] {
        let path = direct(&query);
        let whole = api.get(&path).await.expect(200);
        assert!(whole.text().starts_with(first) && whole.body.len() > LARGE, "{}", whole.body.len());
        let before = resident(open.process, "RssAnon:");
        let (served, refused): (Vec<_>, Vec<_>) =
            crowd(address, &get(&path, &token), CROWD).await.into_iter().partition(|(head, _)| head.status == 200);
        assert_eq!((served.len(), refused.len()), (DOWNLOADS, CROWD - DOWNLOADS), "{query}");
        assert!(refused.iter().all(|(head, _)| head.status == 503), "{query}");
        assert_eq!(metric(&api, "tributary_downloads_open ").await, DOWNLOADS as f64);
        if files > 0 {
            assert!(open.files() >= files, "{query}: {} files are read", open.files());
        }
        // Two pieces of 32 KiB for each that is served, and what a thousand connections cost; not the whole answers,
        // which would be more than a gigabyte.
        let grown = resident(open.process, "RssAnon:").saturating_sub(before);
        assert!(grown < 300 * 1024, "{query}: {CROWD} slow clients hold {grown} KiB");
        // The refusal says what to do, and whoever asks for little is served as ever.
        let again = api.get(&path).await.expect(503);
        assert_eq!(again.header("retry-after"), Some("10"), "{}", again.text());
        assert!(again.text().contains("256 downloads are on their way"), "{}", again.text());
        for little in ["many?days=50", "many?days=50&format=csv", "many?days=50&format=xlsx"] {
            api.get(&direct(little)).await.expect(200);
        }
        api.call(reqwest::Method::HEAD, &path).send().await.expect(200);
        api.get("/api/v1/reports").await.expect(200);
        // One of them goes on after all, and has every byte; its place is free then.
        let mut served = served;
        let (_, mut patient) = served.pop().unwrap();
        let mut body = Vec::new();
        patient.read(&mut body, whole.body.len()).await.unwrap();
        assert!(first == "{" || body == whole.body, "{query}");
        eventually("a place for another", async || api.get(&path).await.status == 200).await;
        drop((served, refused, patient));
        eventually("no download on its way", async || metric(&api, "tributary_downloads_open ").await == 0.0).await;
        eventually("every file to be closed", async || open.files() == 0).await;
        // Those of the client that asks for the metrics stay.
        eventually("every connection to be closed", async || open.connections() <= 4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_broken_off_in_time() {
    let stack = reporting(&[("REPORTING_SEND_TIMEOUT_SECONDS", "1"), ("REPORTING_DOWNLOADS", "3")]).await;
    let (api, open) = (api(&stack), Open::of(&stack));
    let (address, token) = stack.upstream("reporting");
    let long = "x".repeat(200);
    for query in ["many?blocks=100&format=csv".to_owned(), format!("many?blocks=20&word={long}")] {
        let mut silent = crowd(address, &get(&direct(&query), &token), 3).await;
        assert!(silent.iter().all(|(head, _)| head.status == 200 && head.length > LARGE), "{query}");
        // They stay and say nothing; the service ends it.
        eventually("no download on its way", async || metric(&api, "tributary_downloads_open ").await == 0.0).await;
        eventually("every file to be closed", async || open.files() == 0).await;
        eventually("every connection to be closed", async || open.connections() <= 4).await;
        // What was sent is shorter than what was announced, so nobody takes it for whole.
        let (head, client) = silent.first_mut().unwrap();
        assert!(client.read(&mut Vec::new(), head.length).await.is_err(), "{query}");
    }
    assert_eq!(metric(&api, "tributary_downloads_stalled_total ").await, 6.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_the_gateway_is_gone_behind_it_too() {
    let stack = reporting(&[]).await;
    let (api, open) = (api(&stack), Open::of(&stack));
    let state = stack.state();
    let gateway = state.gateway.trim_start_matches("http://").parse().unwrap();
    let path = format!("{}/many?blocks=400&format=csv", super::REPORTS);
    stack.api("analyst").get(&path).await.expect(200);
    let slow = crowd(gateway, &get(&path, &format!("apikey: {}\r\n", state.keys["analyst"])), 20).await;
    assert!(slow.iter().all(|(head, _)| head.status == 200));
    assert_eq!(metric(&api, "tributary_downloads_open ").await, 20.0);
    drop(slow);
    eventually("no download on its way", async || metric(&api, "tributary_downloads_open ").await == 0.0).await;
    eventually("every file to be closed", async || open.files() == 0).await;
}
