//! What the process itself uses, under the names that every Prometheus client gives it. Read from `/proc`, which
//! only Linux has: elsewhere these are absent.

use std::fs;

use metrics::{Unit, describe_gauge, gauge};

const CPU: &str = "process_cpu_seconds_total";
const MEMORY: &str = "process_resident_memory_bytes";
const FILES: &str = "process_open_fds";
const FILES_LIMIT: &str = "process_max_fds";
const THREADS: &str = "process_threads";

/// Ticks per second in `/proc/self/stat`: fixed for programs, whatever the kernel counts in.
const USER_HZ: f64 = 100.0;

pub(super) fn describe() {
    // A sum that only grows, in fractions of a second: the recorder's counters hold whole numbers.
    describe_gauge!(CPU, Unit::Seconds, "Processor time used, by the program and for it by the kernel");
    describe_gauge!(MEMORY, Unit::Bytes, "Resident memory");
    describe_gauge!(FILES, Unit::Count, "Open files and sockets");
    describe_gauge!(FILES_LIMIT, Unit::Count, "Open files and sockets that are allowed");
    describe_gauge!(THREADS, Unit::Count, "Threads");
}

/// Reads all of them. What cannot be read keeps its last value.
pub(crate) fn observe() {
    if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) {
        gauge!(CPU).set(seconds);
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        if let Some(kibibytes) = field(&status, "VmRSS:") {
            gauge!(MEMORY).set(kibibytes * 1024.0);
        }
        if let Some(threads) = field(&status, "Threads:") {
            gauge!(THREADS).set(threads);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is this very folder.
        let open = u32::try_from(open.count()).unwrap_or(u32::MAX).saturating_sub(1);
        gauge!(FILES).set(open);
    }
    if let Some(limit) = fs::read_to_string("/proc/self/limits").ok().and_then(|text| field(&text, "Max open files")) {
        gauge!(FILES_LIMIT).set(limit);
    }
}

/// The sum of user and system time; the program's name before them may hold blanks and brackets.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut ticks = rest.split_whitespace().skip(11).map(str::parse::<f64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some((user + system) / USER_HZ)
}

/// The first number of the line that begins with `name`.
fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_programs_do_not_shift_the_columns() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 9 0 1";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("7 (cut"), None);
    }

    #[test]
    fn a_field_is_found_by_its_line() {
        let text = "Name:\tx\nVmRSS:\t    2048 kB\nMax open files            1024                 4096";
        assert_eq!(field(text, "VmRSS:"), Some(2048.0));
        assert_eq!(field(text, "Max open files"), Some(1024.0));
        assert_eq!(field(text, "VmSwap:"), None);
    }
}
