//! The gateway as a program of its own: its memory while large bodies pass, its end, and how it refuses to start.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Body, Client};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::harness::{Act, Upstream, key, rendered};

/// Far more than the gateway may hold, and little enough to pass in a moment.
const LARGE: usize = 100 * 1024 * 1024;
/// The most memory the process may ever have had, in kB.
const MEMORY: u64 = 48 * 1024;

fn start(config: &Path) -> Child {
    let gateway = system_tests::binaries::program("gateway");
    Command::new(gateway)
        .env_clear()
        .env("GATEWAY_CONFIG", config)
        .env("GATEWAY_LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The port that the first line of its log names.
async fn port(child: &mut Child) -> u16 {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("it says that it listens");
    let port = serde_json::from_str::<serde_json::Value>(&line).unwrap()["port"].as_u64().expect(&line);
    port.try_into().unwrap()
}

/// The largest the process has been, in kB.
fn high_water(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn large_bodies_pass_in_little_memory_and_a_signal_ends_it_cleanly() {
    let upstream = Upstream::start(|seen| match seen.method.as_str() {
        "GET" => Act::Large(LARGE),
        _ => Act::ok("{}"),
    })
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rendered(upstream.address)).unwrap();
    let mut child = start(file.path());
    let base = format!("http://127.0.0.1:{}", port(&mut child).await);
    let client = Client::builder().no_proxy().build().unwrap();

    let feed = format!("{base}/retail/api/v1/changes/sale_lines");
    let mut body = client.get(feed).header("apikey", key("aggregator")).send().await.unwrap().bytes_stream();
    let mut read = 0;
    while let Some(piece) = body.next().await {
        read += piece.unwrap().len();
    }
    assert_eq!(read, LARGE);
    let down = high_water(&child);
    assert!(down < MEMORY, "{down} kB for a download");

    let import = format!("{base}/retail/api/v1/sales/import");
    let pieces = (0..LARGE / 65_536).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 65_536]));
    let send = client.post(import).header("apikey", key("backoffice"));
    // Without a length: it is measured before anything is sent on, and not in memory.
    let response = send.body(Body::wrap_stream(futures_util::stream::iter(pieces))).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(upstream.last().body.len(), LARGE);
    let up = high_water(&child);
    assert!(up < MEMORY, "{up} kB for an upload");

    kill_process(Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    let status = tokio::time::timeout(Duration::from_secs(30), child.wait()).await.expect("it ends").unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_file_it_cannot_obey_ends_it_with_the_path_of_the_fault() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = rendered("127.0.0.1:1".parse().unwrap());
    std::fs::write(
        file.path(),
        text.replacen("        strip_path: true\n", "        strip_path: true\n        foo: 1\n", 1),
    )
    .unwrap();
    let output = start(file.path()).wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("services[0].routes[0].foo: unknown field"), "{said}");
}
