//! What the local gateway adds to a direct call: the same request on kept-alive connections, to an upstream that
//! answers at once and through the gateway to that same upstream, in turn, so that both see the same machine.
//!
//! Prints a table and one line of JSON. Times are microseconds.
#![expect(clippy::print_stdout, reason = "a bench is read on a terminal")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// As large as a page of products.
const BODY: usize = 2_000;
const ALONE: usize = 5_000;
const CLIENTS: usize = 100;
const EACH: usize = 100;

#[tokio::main]
async fn main() -> Result<()> {
    let upstream = upstream().await?;
    let gateway = gateway(upstream).await?;
    let mut direct = Client::connect(upstream).await?;
    let mut through = Client::connect(gateway).await?;
    for _ in 0..ALONE / 10 {
        direct.call().await?;
        through.call().await?;
    }
    let (mut alone_direct, mut alone_through) = (Vec::new(), Vec::new());
    for _ in 0..ALONE {
        alone_direct.push(direct.call().await?);
        alone_through.push(through.call().await?);
    }
    let crowd_direct = crowd(upstream).await?;
    let crowd_through = crowd(gateway).await?;

    let rows = [
        Row::new("one client, direct", alone_direct, None),
        Row::new("one client, gateway", alone_through, None),
        Row::new("100 clients, direct", crowd_direct.0, Some(crowd_direct.1)),
        Row::new("100 clients, gateway", crowd_through.0, Some(crowd_through.1)),
    ];
    println!("{:<22} {:>8} {:>8} {:>8} {:>10}", "gateway (µs)", "p50", "p95", "p99", "requests/s");
    for row in &rows {
        let rate = row.rate.map(|rate| format!("{rate:.0}")).unwrap_or_default();
        println!("{:<22} {:>8} {:>8} {:>8} {rate:>10}", row.name, row.p50, row.p95, row.p99);
    }
    let [direct, through, ..] = &rows;
    let added = through.p50.saturating_sub(direct.p50);
    println!("the gateway adds {added} µs to the median call (target: under 1000)");
    let json: Vec<_> = rows
        .iter()
        .map(|row| serde_json::json!({"name": row.name, "p50_us": row.p50, "p95_us": row.p95, "p99_us": row.p99, "per_second": row.rate}))
        .collect();
    println!("{}", serde_json::json!({"bench": "gateway", "added_median_us": added, "target_us": 1000, "rows": json}));
    Ok(())
}

struct Row {
    name: &'static str,
    p50: u128,
    p95: u128,
    p99: u128,
    rate: Option<f64>,
}

impl Row {
    fn new(name: &'static str, mut times: Vec<Duration>, rate: Option<f64>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| times.get((times.len() - 1) * percent / 100).map_or(0, Duration::as_micros);
        Self { name, p50: at(50), p95: at(95), p99: at(99), rate }
    }
}

/// All clients at once; their times and the requests per second.
async fn crowd(address: SocketAddr) -> Result<(Vec<Duration>, f64)> {
    let mut clients = JoinSet::new();
    let started = Instant::now();
    for _ in 0..CLIENTS {
        clients.spawn(async move {
            let mut client = Client::connect(address).await?;
            let mut times = Vec::with_capacity(EACH);
            for _ in 0..EACH {
                times.push(client.call().await?);
            }
            anyhow::Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = clients.join_next().await {
        all.extend(times??);
    }
    let rate = f64::from(u32::try_from(all.len())?) / started.elapsed().as_secs_f64();
    Ok((all, rate))
}

/// A client that costs as little as possible, so that what is measured is the other side.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    async fn call(&mut self) -> Result<Duration> {
        let started = Instant::now();
        let request = "GET /inventory/api/v1/products?limit=20 HTTP/1.1\r\nHost: bench\r\napikey: key\r\n\r\n";
        self.0.get_mut().write_all(request.as_bytes()).await?;
        let mut length = None;
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        anyhow::ensure!(line.starts_with("HTTP/1.1 200 "), "{line}");
        while !line.trim().is_empty() {
            line.clear();
            self.0.read_line(&mut line).await?;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
        let mut body = vec![0; length.context("a length")?];
        self.0.read_exact(&mut body).await?;
        Ok(started.elapsed())
    }
}

/// Answers whatever it is asked.
async fn upstream() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let body = "x".repeat(BODY);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {BODY}\r\n\r\n{body}");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                stream.set_nodelay(true)?;
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).await? > 0 {
                    if line.trim().is_empty() {
                        stream.get_mut().write_all(answer.as_bytes()).await?;
                    }
                    line.clear();
                }
                std::io::Result::Ok(())
            });
        }
    });
    Ok(address)
}

/// The gateway with the shipped file, every plugin at work; only the rates are out of the way.
async fn gateway(upstream: SocketAddr) -> Result<SocketAddr> {
    let value = |name: &str| match name {
        "TRIBUTARY_KEY_STOREFRONT" => "key".to_owned(),
        _ if name.starts_with("TRIBUTARY_TARGET_") => upstream.to_string(),
        _ => name.to_lowercase(),
    };
    let values = gateway::placeholders(gateway::TEMPLATE).into_iter().map(|name| (name.clone(), value(&name)));
    let text = gateway::render(gateway::TEMPLATE, &values.collect())?;
    let storefront = "consumer: storefront\n    config: { second: 2000, minute: 60000,";
    anyhow::ensure!(text.contains(storefront), "the rates of kong.yml have moved");
    let text = text.replace(storefront, "consumer: storefront\n    config: { second: 1000000, minute: 60000000,");
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let path = file.path();
        gateway::serve(path, listener, None, Duration::from_secs(1), std::future::pending()).await
    });
    Ok(address)
}
