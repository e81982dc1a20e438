//! What the local gateway adds to a direct call: the same request on kept-alive connections, to an upstream that
//! answers at once and through the gateway to that same upstream, in turn, so that both see the same machine.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use system_tests::Raw;
use system_tests::bench::{Row, Target};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// As large as a page of products.
const BODY: usize = 2_000;
const ALONE: usize = 5_000;
const CLIENTS: usize = 100;
const EACH: usize = 100;
const REQUEST: &[u8] = b"GET /inventory/api/v1/products?limit=20 HTTP/1.1\r\nHost: bench\r\napikey: key\r\n\r\n";
/// What the gateway may add to the median call, in milliseconds.
const MAY_ADD_MS: f64 = 1.0;

/// Rows in milliseconds and requests per second.
pub(crate) async fn run() -> Result<Vec<Row>> {
    let upstream = upstream().await?;
    let gateway = gateway(upstream).await?;
    let mut direct = Raw::connect(upstream).await?;
    let mut through = Raw::connect(gateway).await?;
    for _ in 0..ALONE / 10 {
        call(&mut direct).await?;
        call(&mut through).await?;
    }
    let (mut alone_direct, mut alone_through) = (Vec::new(), Vec::new());
    for _ in 0..ALONE {
        alone_direct.push(call(&mut direct).await?);
        alone_through.push(call(&mut through).await?);
    }
    let crowd_direct = crowd(upstream).await?;
    let crowd_through = crowd(gateway).await?;

    let (direct, through) = (median_ms(alone_direct), median_ms(alone_through));
    Ok(vec![
        Row::new(
            "what the gateway adds to the median call",
            (through - direct, "ms"),
            ("limit", MAY_ADD_MS),
            Target::AtMost(1.0),
        ),
        Row::new(
            "median call through the gateway, one client",
            (through, "ms"),
            ("direct", direct),
            Target::Informative,
        ),
        Row::new(
            "100 clients through the gateway",
            (crowd_through, "calls/s"),
            ("direct", crowd_direct),
            Target::Informative,
        ),
    ])
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
}

/// All clients at once; their calls per second.
async fn crowd(address: SocketAddr) -> Result<f64> {
    let mut clients = JoinSet::new();
    let started = Instant::now();
    for _ in 0..CLIENTS {
        clients.spawn(async move {
            let mut client = Raw::connect(address).await?;
            for _ in 0..EACH {
                call(&mut client).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    Ok(f64::from(u32::try_from(CLIENTS * EACH)?) / started.elapsed().as_secs_f64())
}

async fn call(client: &mut Raw) -> Result<Duration> {
    let mut body = Vec::with_capacity(BODY);
    let (head, took) = client.call(REQUEST, &mut body).await?;
    anyhow::ensure!(head.status == 200, "the answer is {}", head.status);
    Ok(took)
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
    let values = stack::render::placeholders(gateway::TEMPLATE).into_iter().map(|name| (name.clone(), value(&name)));
    let text = stack::render::render(gateway::TEMPLATE, &values.collect())?;
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
