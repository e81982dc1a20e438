//! A cached report over HTTP, beside a bare axum handler that answers the same bytes from a process of its own.

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::{Router, body::Bytes, http::header, routing::get};
use system_tests::bench::{Row, Target};
use system_tests::{Raw, Stack, many, raw};
use tokio::task::JoinSet;

/// The clients of the target.
const CLIENTS: usize = 100;
/// How long each side is asked at a time, and how often.
const ROUND: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;
/// The 99th percentile at that many clients, in milliseconds.
const P99_MS: f64 = 10.0;
const COLD: usize = 20;
const PATH: &str = "/api/v1/reports/many?days=100";

/// Rows in answers per second and milliseconds.
pub(crate) async fn run() -> Result<Vec<Row>> {
    let catalogue = many::catalogue().to_string_lossy();
    let builder = Stack::builder().only(&["reporting"]).env("reporting", "REPORTING_CATALOGUE_DIR", &catalogue);
    let stack = builder.start().await;
    let (ours, token) = stack.upstream("reporting");
    let request = raw::get(PATH, &token);
    let mut body = Vec::new();
    let mut client = Raw::connect(ours).await?;
    for _ in 0..2 {
        let (head, _) = client.call(&request, &mut body).await?;
        ensure!(head.status == 200, "the report answers {}", head.status);
    }
    let bare = Bare::start(&body)?;
    let (mut of_ours, mut of_bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_bare.extend(crowd(bare.address, &request).await?);
        of_ours.extend(crowd(ours, &request).await?);
    }
    let cached = median(&of_ours);
    let mut cold = Vec::new();
    for number in 0..COLD {
        let request = raw::get(&format!("{PATH}&word=cold-{number}"), &token);
        let began = Instant::now();
        client.send(&request).await?;
        let head = client.head().await?;
        cold.push(began.elapsed());
        client.read(&mut body, head.length).await?;
    }
    let rate = |times: &[Duration]| times.len() as f64 / (ROUND * u32::try_from(ROUNDS).unwrap_or(1)).as_secs_f64();
    let size = body.len() / 1_000;
    Ok(vec![
        Row::new(
            format!("cached report of {size} kB, {CLIENTS} clients"),
            (rate(&of_ours), "calls/s"),
            ("bare axum handler", rate(&of_bare)),
            Target::AtLeast(0.5),
        ),
        Row::new("the same, 99th percentile", (percentile(&of_ours, 99), "ms"), ("limit", P99_MS), Target::AtMost(1.0)),
        Row::new(
            "the same, 99th percentile beside the handler's",
            (percentile(&of_ours, 99), "ms"),
            ("bare axum handler", percentile(&of_bare, 99)),
            Target::Informative,
        ),
        Row::new(
            "first byte of a report that nobody asked before",
            (median(&cold), "ms"),
            ("cached", cached),
            Target::Informative,
        ),
    ])
}

/// All clients at once for a while; how long each answer took.
async fn crowd(address: SocketAddr, request: &[u8]) -> Result<Vec<Duration>> {
    let mut clients = JoinSet::new();
    let end = Instant::now() + ROUND;
    for _ in 0..CLIENTS {
        let request = request.to_vec();
        clients.spawn(async move {
            let (mut client, mut body, mut times) = (Raw::connect(address).await?, Vec::new(), Vec::new());
            while Instant::now() < end {
                let (head, took) = client.call(&request, &mut body).await?;
                ensure!(head.status == 200, "the answer is {}", head.status);
                times.push(took);
            }
            Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = clients.join_next().await {
        all.extend(done??);
    }
    all.sort_unstable();
    Ok(all)
}

fn median(times: &[Duration]) -> f64 {
    percentile(times, 50)
}

fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() * percent / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
}

/// The bare handler in its process, which ends with this value.
struct Bare {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Bare {
    fn start(body: &[u8]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file: PathBuf = folder.path().join("body");
        std::fs::write(&file, body)?;
        let mut process =
            Command::new(std::env::current_exe()?).arg("--bare").arg(&file).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        std::io::BufReader::new(process.stdout.take().context("its output")?).read_line(&mut line)?;
        Ok(Self { process, address: line.trim().parse()?, _folder: folder })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The process apart: answers every request with the bytes of a file, and prints where.
#[expect(clippy::print_stdout, reason = "what the bench reads")]
pub(crate) async fn bare(arguments: &[String]) -> Result<()> {
    let [file] = arguments else { anyhow::bail!("a file") };
    let body = Bytes::from(std::fs::read(file)?);
    let answer = move || std::future::ready(([(header::CONTENT_TYPE, "application/json")], body.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    Ok(axum::serve(listener, Router::new().fallback(get(answer))).await?)
}
