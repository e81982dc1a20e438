//! The same imports by an older build, whose programs lie in the folder that `BEFORE` names, on databases of their own.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use kit::config::Vars;
use system_tests::{Stack, eventually};
use tokio::process::{Child, Command};

use super::SERVICES;

/// What every build is told; one that is told more refuses to start.
const TOLD: [&str; 7] =
    ["LISTEN", "DATABASE_URL", "OWNER_URL", "GATEWAY_TOKEN", "GATEWAY_URL", "GATEWAY_KEY", "TIME_ZONE"];

/// A running older build. It ends with this value.
pub(super) struct Before {
    pub(super) stack: Stack,
    _services: Vec<Child>,
}

/// The older build, where one is named.
pub(super) async fn start() -> Result<Option<Before>> {
    let folder = Vars::from_env("").optional::<String>("BEFORE", "folder of the programs of an older release build")?;
    let Some(folder) = folder else { return Ok(None) };
    let stack = Stack::builder().as_installed().start_databases().await;
    let mut services = Vec::new();
    for service in SERVICES {
        let prefix = format!("{}_", service.to_uppercase());
        let mut told = stack.environment(service);
        told.retain(|(name, _)| name.strip_prefix(&prefix).is_some_and(|name| TOLD.contains(&name)));
        let program = Path::new(&folder).join(service);
        let child = Command::new(&program)
            .env_clear()
            .envs(told)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        services.push(child);
        let api = stack.direct(service);
        eventually("an older build to be ready", async || {
            let answer = api.call(reqwest::Method::GET, "/health/ready").try_send().await;
            answer.is_ok_and(|answer| answer.status == 200)
        })
        .await;
    }
    Ok(Some(Before { stack, _services: services }))
}
