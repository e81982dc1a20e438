//! The ports of one stack: the decision's own, or free ones.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::databases::DATABASES;
use crate::error::{Error, Result};

/// Which ports a stack takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The ports of the decision; a busy one is an error.
    Fixed,
    /// Ports that nobody holds now.
    Auto,
}

/// Every listener of the stack besides the databases, with its fixed port.
const FIXED: [(&str, u16); 6] = [
    ("gateway", 8000),
    ("admin", 8001),
    ("inventory", 8081),
    ("ecommerce", 8082),
    ("retail", 8083),
    ("reporting", 8084),
];

/// A port per listener: the four databases by name, the four services, `gateway` and `admin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports(BTreeMap<&'static str, u16>);

impl Ports {
    /// Takes the ports.
    ///
    /// # Errors
    /// [`Error::PortsBusy`] names every busy fixed port and, where the system tells, who holds it.
    pub fn choose(choice: Choice) -> Result<Self> {
        let names = DATABASES.iter().map(|database| (database.name, database.fixed_port)).chain(FIXED);
        match choice {
            Choice::Auto => names.map(|(name, _)| Ok((name, free_port()?))).collect::<Result<_>>().map(Self),
            Choice::Fixed => {
                let ports = Self(names.collect());
                ports.check_free()?;
                Ok(ports)
            }
        }
    }

    /// The port of a listener; every name of [`DATABASES`], the services, `gateway` and `admin` has one.
    pub fn of(&self, name: &str) -> u16 {
        self.0.get(name).copied().unwrap_or_default()
    }

    fn check_free(&self) -> Result<()> {
        let list: Vec<String> = self
            .0
            .iter()
            .filter(|(_, port)| !is_free(**port))
            .map(|(name, port)| match holder(*port) {
                Some(who) => format!("port {port} ({name}) is held by {who}"),
                None => format!("port {port} ({name}) is in use"),
            })
            .collect();
        if list.is_empty() { Ok(()) } else { Err(Error::PortsBusy { list }) }
    }
}

/// Whether this machine's loopback lets us listen on `port`.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

/// A port that nobody holds and that no stack on this machine has chosen, for as long as this process lives.
///
/// It is taken from below the range that outgoing connections use, so that no client socket sits on it by the time
/// its listener starts; and a locked file per port keeps it from other stacks that choose theirs at this moment.
///
/// # Errors
/// [`Error::PortsBusy`] when none is found.
pub fn free_port() -> Result<u16> {
    static CLAIMED: LazyLock<Mutex<BTreeMap<u16, File>>> = LazyLock::new(Mutex::default);
    const LOWEST: u16 = 15_000;
    const HIGHEST: u16 = 32_000;
    let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..1_000 {
        let port = rand::random_range(LOWEST..HIGHEST);
        if claimed.contains_key(&port) {
            continue;
        }
        if let Some(claim) = claim(port)
            && is_free(port)
        {
            claimed.insert(port, claim);
            return Ok(port);
        }
    }
    Err(Error::PortsBusy { list: vec![format!("no free port was found between {LOWEST} and {HIGHEST}")] })
}

/// The locked file that stands for `port`; the system unlocks it when its process ends, however it ends.
fn claim(port: u16) -> Option<File> {
    let folder = std::env::temp_dir().join(format!("tributary-ports-{}", rustix::process::getuid().as_raw()));
    std::fs::create_dir_all(&folder).ok()?;
    let file = File::create(folder.join(port.to_string())).ok()?;
    file.try_lock().ok().map(|()| file)
}

/// The process that listens on `port`, where `/proc` tells (Linux; another user's processes only to root).
fn holder(port: u16) -> Option<String> {
    let socket = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .find_map(|table| listening_inode(&table, port))?;
    let wanted = format!("socket:[{socket}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        // `/proc/self` and its like are other names of a process that comes by its number too.
        if process.file_name().to_string_lossy().parse::<u32>().is_err() {
            continue;
        }
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let holds = files
            .flatten()
            .filter_map(|file| std::fs::read_link(file.path()).ok())
            .any(|link| link.as_os_str() == wanted.as_str());
        if holds {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {})", name.trim(), process.file_name().to_string_lossy()));
        }
    }
    None
}

/// Inode of the socket that listens on `port`, from a table such as `/proc/net/tcp`.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, hex) = fields.get(1)?.rsplit_once(':')?;
        let matches = u16::from_str_radix(hex, 16).ok()? == port && *fields.get(3)? == LISTEN;
        if matches { fields.get(9)?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_is_named_with_its_holder() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = Ports(BTreeMap::from([("gateway", port)])).check_free().unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} (gateway)")), "{error}");
        if std::path::Path::new("/proc/net/tcp").exists() {
            assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        }
    }

    #[test]
    fn free_ports_differ() {
        let ports = Ports::choose(Choice::Auto).unwrap();
        let distinct: std::collections::BTreeSet<u16> = ports.0.values().copied().collect();
        assert_eq!(distinct.len(), 10);
        // Another stack on this machine, before anything listens on them.
        assert!(distinct.iter().all(|port| claim(*port).is_none()));
    }
}
