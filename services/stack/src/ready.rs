//! Waiting until a process does its work, or is known not to.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use crate::error::{Error, Result};
use crate::postgres::Cluster;
use crate::process::Process;
use crate::secrets::{SUPERUSER, Secrets};

/// How long a process may take to become ready. Recovery after a crash and migrations are in it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the cluster takes connections.
pub async fn cluster(process: &mut Process, cluster: &Cluster, secrets: &Secrets) -> Result<()> {
    let options = cluster.connect("postgres", SUPERUSER, secrets);
    wait(process, async || match PgConnection::connect_with(&options).await {
        Ok(connection) => connection.close().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    })
    .await
}

/// Waits until `url` answers 200.
pub async fn http(process: &mut Process, client: &reqwest::Client, url: &str) -> Result<()> {
    wait(process, async || {
        let answer = client.get(url).timeout(Duration::from_secs(5)).send().await.map_err(|error| error.to_string())?;
        if answer.status().is_success() {
            return Ok(());
        }
        let status = answer.status();
        let body = answer.text().await.unwrap_or_default();
        Err(format!("{url} answers {status} {body}"))
    })
    .await
}

/// Waits until the gateway sends requests on to `service`: its own health checks must have seen the service well.
pub async fn upstream(gateway: &mut Process, client: &reqwest::Client, admin: &str, service: &str) -> Result<()> {
    wait(gateway, async || upstream_health(client, admin, service).await).await
}

/// Whether the gateway takes `service` to be well; the error says what it takes it for instead.
pub async fn upstream_health(client: &reqwest::Client, admin: &str, service: &str) -> std::result::Result<(), String> {
    let url = format!("{admin}/upstreams/{service}.upstream/health");
    let answer = client.get(url).timeout(Duration::from_secs(5)).send().await.map_err(|error| error.to_string())?;
    let answer: serde_json::Value = answer.json().await.map_err(|error| error.to_string())?;
    let targets = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !targets.is_empty() && targets.iter().all(|target| target["health"] == "HEALTHY") {
        return Ok(());
    }
    Err(format!("the gateway takes {service} to be down: {answer}"))
}

async fn wait<F>(process: &mut Process, probe: F) -> Result<()>
where
    F: AsyncFn() -> std::result::Result<(), String>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        // The process is asked first: another program on its port must not pass for it.
        if let Some(status) = process.ended() {
            let (name, log, tail) = (process.program().name.clone(), process.program().log.clone(), process.tail());
            return Err(Error::Ended { name, status: status.to_string(), log, tail });
        }
        match probe().await {
            Ok(()) => return Ok(()),
            Err(why) if Instant::now() > deadline => {
                let (name, log, tail) = (process.program().name.clone(), process.program().log.clone(), process.tail());
                return Err(Error::NotReady { name, seconds: PATIENCE.as_secs(), why, log, tail });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
