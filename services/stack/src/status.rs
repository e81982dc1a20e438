//! `stack status`: what runs, where, and whether it answers.

use std::time::Duration;

use comfy_table::{Table, presets};

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::lock;
use crate::state::State;

/// The state of the running stack.
///
/// # Errors
/// [`Error::NotRunning`] when none runs on this folder, [`Error::Starting`] when one is not ready yet.
pub fn read(layout: &Layout) -> Result<State> {
    let data = || layout.root().to_owned();
    let pid = lock::holder(layout)?.ok_or_else(|| Error::NotRunning { data: data() })?;
    // The lock is taken before the state is written.
    State::read(layout)?.ok_or_else(|| Error::Starting { pid, data: data() })
}

/// The state as a table for people, each service asked for its health.
pub async fn table(state: &State) -> String {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3)).build().unwrap_or_default();
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["process", "pid", "port", "restarts", "health"]);
    for (name, member) in &state.processes {
        let health = match (member.pid, name.as_str()) {
            (None, _) => "waiting to be started again".to_owned(),
            (Some(_), database) if state.databases.contains_key(database) => "running".to_owned(),
            (Some(_), "gateway") => gateway_health(&client, state).await,
            (Some(_), _) => health(&client, member.port).await,
        };
        let pid = member.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        table.add_row([name.clone(), pid, member.port.to_string(), member.restarts.to_string(), health]);
    }
    format!("{table}\ngateway {}", state.gateway)
}

async fn health(client: &reqwest::Client, port: u16) -> String {
    match client.get(format!("http://127.0.0.1:{port}/health/ready")).send().await {
        Ok(answer) if answer.status().is_success() => "ready".to_owned(),
        Ok(answer) => {
            let status = answer.status();
            format!("{status} {}", answer.text().await.unwrap_or_default().chars().take(80).collect::<String>())
        }
        Err(_) => "does not answer".to_owned(),
    }
}

/// The gateway is as well as the way to each service.
async fn gateway_health(client: &reqwest::Client, state: &State) -> String {
    for service in state.services.keys() {
        if let Err(reason) = crate::ready::upstream_health(client, &state.admin, service).await {
            return reason;
        }
    }
    "ready".to_owned()
}
