//! The processes in which reports are computed, as the system sees them.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use system_tests::wait_until;

/// How long a worker may take to begin, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The parent of a process that lives, and the ticks of processor time that it has taken.
fn process(pid: u32) -> Option<(u32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
    if fields[0] == "Z" { None } else { Some((fields[1].parse().ok()?, ticks(11)? + ticks(12)?)) }
}

/// Whether a process is there.
pub(crate) fn is_alive(pid: u32) -> bool {
    process(pid).is_some()
}

/// The processes that compute for a service.
pub(crate) fn workers(service: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|it| it.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|pid| process(*pid).is_some_and(|(parent, _)| parent == service)).collect()
}

/// The worker that computes: one that takes half a second of processor time.
pub(crate) async fn busy(service: u32) -> u32 {
    let mut seen = BTreeMap::new();
    let mut is_busy = |pid: &u32| {
        let now = process(*pid).map_or(0, |(_, ticks)| ticks);
        now > *seen.entry(*pid).or_insert(now) + 50
    };
    wait_until("a worker at work", PATIENCE, async || workers(service).into_iter().find(&mut is_busy)).await
}

/// Ends a process as `kill -9` does.
pub(crate) fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).ok();
}

/// A line of what the system says of a process's memory (`RssAnon:` is without that of files), in KiB.
pub(crate) fn resident(pid: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
