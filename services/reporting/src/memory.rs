//! How much memory a process that computes may take when nobody says: so little that all of them, and the service, have
//! room beside each other.

use std::{
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use aggregator::report::Workers;

/// Bytes that are left to the service itself.
const SERVICE: u64 = 256 << 20;
/// Where the system does not say what there is.
const UNKNOWN: u64 = 4 << 30;
/// Less than this computes nothing.
const LEAST: u64 = 128 << 20;

/// What one worker may take of the bounds that hold for this process: half of the machine, and all that is left of a
/// control group's limit.
#[must_use]
pub(crate) fn of_worker() -> NonZeroU64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text)).unwrap_or(UNKNOWN);
    let group = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let share = share(machine, limit(Path::new("/sys/fs/cgroup"), &group));
    NonZeroU64::new(share).unwrap_or(NonZeroU64::MIN)
}

fn share(machine: u64, limit: Option<u64>) -> u64 {
    let of_group = limit.unwrap_or(u64::MAX).saturating_sub(SERVICE);
    ((machine / 2).min(of_group) / Workers::MOST).max(LEAST)
}

/// Bytes that a machine has, of `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The least limit of the control groups that `/proc/self/cgroup` names, and of those around them.
fn limit(root: &Path, groups: &str) -> Option<u64> {
    let of_line = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        match controllers {
            "" => Some((root.to_owned(), group.to_owned(), "memory.max")),
            "memory" => Some((root.join("memory"), group.to_owned(), "memory.limit_in_bytes")),
            _ => None,
        }
    };
    let limits = groups.lines().filter_map(of_line).flat_map(|(root, group, file)| {
        let innermost = root.join(group.trim_start_matches('/'));
        // In a container the path is the host's, and the root is the container's own group.
        let around: Vec<PathBuf> =
            innermost.ancestors().take_while(|it| it.starts_with(&root)).map(Into::into).collect();
        around.into_iter().filter_map(move |folder| std::fs::read_to_string(folder.join(file)).ok())
    });
    limits.filter_map(|text| text.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_around_the_process_counts() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        for (folder, text) in [(root.path().to_owned(), "max"), (root.path().join("a"), "2000"), (inner, "max")] {
            std::fs::write(folder.join("memory.max"), format!("{text}\n")).unwrap();
        }
        assert_eq!(limit(root.path(), "0::/a/b\n"), Some(2_000));
        assert_eq!(limit(root.path(), "0::/\n"), None);
        assert_eq!(limit(root.path(), "3:cpu,cpuacct:/a\n"), None);
    }

    #[test]
    fn workers_and_service_fit_beside_each_other() {
        let gigabytes = |count: u64| count << 30;
        assert_eq!(share(gigabytes(16), None) * Workers::MOST, gigabytes(8) / Workers::MOST * Workers::MOST);
        assert!(share(gigabytes(16), Some(gigabytes(2))) * Workers::MOST + SERVICE <= gigabytes(2));
        assert_eq!(total("MemTotal:        8048 kB\nMemFree: 1 kB"), Some(8_048 * 1_024));
    }
}
