//! Resident memory of each service while nobody asks anything: just started, and after it has served the demo's history.

use anyhow::{Context as _, Result};
use system_tests::Stack;
use system_tests::bench::{Row, Target};

use crate::users;

/// Megabytes that each service may hold.
const LIMITS: [(&str, f64); 4] = [("inventory", 30.0), ("ecommerce", 30.0), ("retail", 30.0), ("reporting", 150.0)];

/// Rows in megabytes.
pub(crate) async fn run() -> Result<Vec<Row>> {
    let started = Stack::start().await;
    let mut rows = resident(&started, "just started")?;
    drop(started);
    rows.extend(resident(&users::company().await?, "after 90 days of history were told and polled")?);
    Ok(rows)
}

fn resident(stack: &Stack, when: &str) -> Result<Vec<Row>> {
    let services = stack.state().services;
    let row = |(name, limit): (&str, f64)| {
        let pid = services.get(name).context("a service of the stack")?.pid;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(Row::new(format!("{name}, {when}"), (kilobytes / 1024.0, "MB"), ("limit", limit), Target::AtMost(1.0)))
    };
    LIMITS.into_iter().map(row).collect()
}
