//! What a killed PostgreSQL server leaves alive for a moment: its sessions, which hold its shared memory until they
//! notice. A new server refuses to start beside them.

use std::path::Path;
use std::time::{Duration, Instant};

/// After this time the new server is started all the same, and reports itself what blocks it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until nobody holds the shared memory of the cluster in `dir` any more.
pub(crate) async fn wait_until_released(dir: &Path) {
    let end = Instant::now() + PATIENCE;
    while is_held(dir) && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a process is attached to the shared memory that the last server of this folder wrote down. Where the system
/// shows no list of such memory, nobody is.
fn is_held(dir: &Path) -> bool {
    let lock = std::fs::read_to_string(dir.join("postmaster.pid")).unwrap_or_default();
    let segments = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    shared_memory(&lock).is_some_and(|id| attached(&segments, id) > 0)
}

/// The id of the shared memory: second on the seventh line of PostgreSQL's lock file.
fn shared_memory(lock: &str) -> Option<&str> {
    lock.lines().nth(6)?.split_whitespace().nth(1)
}

/// How many processes are attached to a segment. The list has the columns of sysvipc(5): key, shmid, perms, size, cpid,
/// lpid, nattch, …
fn attached(segments: &str, id: &str) -> u64 {
    let rows = segments.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(1) == Some(&id)).filter_map(|row| row.get(6)?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "9024\n/data/pg\n1764200149\n31635\n\n127.0.0.1\n  10010743        52\nready   \n";
    const SEGMENTS: &str = "       key      shmid perms   size  cpid  lpid nattch   uid\n  10010743         52   600     56 31209 31778      3   101\n  10010744         53   600     56 31209 31778      0   101\n";

    #[test]
    fn the_sessions_of_a_killed_server_are_found_by_its_lock_file() {
        let id = shared_memory(LOCK).unwrap();
        assert_eq!((id, attached(SEGMENTS, id), attached(SEGMENTS, "53"), attached(SEGMENTS, "9")), ("52", 3, 0, 0));
        assert_eq!((shared_memory(""), attached("", "52")), (None, 0));
    }
}
