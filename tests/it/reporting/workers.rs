//! The processes in which reports are computed, as the system sees them.

/// The parent of a process that lives.
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if fields[0] == "Z" { None } else { fields[1].parse().ok() }
}

/// The processes that compute for a service.
pub(super) fn workers(service: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|it| it.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|pid| parent(*pid) == Some(service)).collect()
}
