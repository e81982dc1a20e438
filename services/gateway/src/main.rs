//! The local gateway's program: reads the environment and serves until a signal to stop.

use anyhow::Context as _;
use kit::config::Vars;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut vars = Vars::from_env("GATEWAY_");
    let config = gateway::Config::read(&mut vars)?;
    vars.finish()?;
    kit::telemetry::init(&config.log).context("GATEWAY_LOG")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(gateway::run(&config, stop).await?)
}
