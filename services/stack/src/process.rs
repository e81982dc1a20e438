//! One child process: started with its own environment, log and process group; watched; ended in good order.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::user::User;

/// What to start. A restart starts the same again.
#[derive(Debug, Clone)]
pub struct Program {
    /// Name in logs and in `stack status`.
    pub name: String,
    /// The file to execute.
    pub exe: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment: nothing is inherited, so that a stray variable of the caller changes nothing.
    pub env: Vec<(String, String)>,
    /// Whom it runs as; `None` is whoever runs the stack.
    pub user: Option<User>,
    /// The signal that asks it to stop in good order.
    pub stop: Signal,
    /// Where its output goes.
    pub log: PathBuf,
    /// Where its pid is noted while it runs, so that a later stack can clear up after a killed one.
    pub pid_file: PathBuf,
}

/// A started [`Program`].
#[derive(Debug)]
pub struct Process {
    program: Program,
    child: std::process::Child,
    pid: Pid,
}

impl Program {
    /// A program of this data folder with an empty environment, stopped by SIGTERM.
    pub fn new(layout: &Layout, name: &str, exe: &Path) -> Self {
        Self {
            name: name.to_owned(),
            exe: exe.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            user: None,
            stop: Signal::TERM,
            log: layout.log(name),
            pid_file: layout.run().join(format!("{name}.pid")),
        }
    }

    /// Starts it in a process group of its own: Ctrl-C at the terminal reaches the stack alone, which then stops
    /// its processes in order.
    pub fn spawn(&self) -> Result<Process> {
        let log = open_log(&self.log)?;
        let errors = log.try_clone().map_err(Error::io("write", &self.log))?;
        let mut command = std::process::Command::new(&self.exe);
        command
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0);
        if let Some(user) = &self.user {
            command.uid(user.uid).gid(user.gid);
        }
        let child = command.spawn().map_err(Error::io("start", &self.exe))?;
        let pid = Pid::from_child(&child);
        let started = start_time(child.id()).unwrap_or_default();
        let process = Process { program: self.clone(), child, pid };
        std::fs::write(&self.pid_file, format!("{} {started}\n", process.id()))
            .map_err(Error::io("write", &self.pid_file))?;
        Ok(process)
    }
}

impl Process {
    /// What it was started from.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal; a process that has ended gets none.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            // It may end between the look and the signal; its pid is ours until it is waited for, so no other
            // process can be hit, and there is nothing to do about a signal that came too late.
            rustix::process::kill_process(self.pid, signal).ok();
        }
    }

    /// Asks it to stop and waits; after `grace` it is killed. Returns whether it stopped by itself.
    pub async fn stop(&mut self, grace: Duration) -> bool {
        self.signal(self.program.stop);
        let deadline = Instant::now() + grace;
        let mut orderly = true;
        while self.ended().is_none() {
            if orderly && Instant::now() > deadline {
                orderly = false;
                self.signal(Signal::KILL);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.forget();
        orderly
    }

    /// Ends it at once, as a crash would, and waits until it has ended.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        // Only fails for a child that was waited for already.
        self.child.wait().ok();
        self.forget();
    }

    /// The last lines of its log, for a message.
    pub fn tail(&self) -> String {
        tail(&self.program.log)
    }

    fn forget(&self) {
        // The file may have been removed with its folder; a stale one is recognised by the start time.
        std::fs::remove_file(&self.program.pid_file).ok();
    }
}

impl Drop for Process {
    /// Whatever is still running when the stack is dropped (an error on the way up, a panicking test) is ended:
    /// a cluster by immediate shutdown, which takes its sessions along, everything else by force.
    fn drop(&mut self) {
        if self.ended().is_some() {
            return self.forget();
        }
        if self.program.user.is_some() || self.program.stop == Signal::INT {
            self.signal(Signal::QUIT);
            let deadline = Instant::now() + Duration::from_secs(5);
            while self.ended().is_none() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.kill();
    }
}

/// When a process was started, in clock ticks since boot: with the pid it names a process for good.
/// `None` where there is no `/proc`, or no such process.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, field 2, is in parentheses and may hold spaces; the start time is field 22.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// Whether the process noted as (`pid`, `started`) still runs.
pub fn is_alive(pid: u32, started: u64) -> bool {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    rustix::process::test_kill_process(id).is_ok()
        && start_time(pid).is_none_or(|now| started == 0 || now == started)
        && !is_zombie(pid)
}

/// A zombie has ended; it only waits for a parent that may not care.
fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(')').map(|(_, rest)| rest.trim_start().starts_with('Z')))
        .unwrap_or(false)
}

/// What an earlier stack left running in this data folder: `(name, pid)` by its pid files.
pub fn leftovers(layout: &Layout) -> Vec<(String, u32)> {
    let Ok(entries) = std::fs::read_dir(layout.run()) else { return Vec::new() };
    let mut found: Vec<(String, u32)> = entries
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let text = std::fs::read_to_string(&path).ok()?;
            let (pid, started) = text.trim().split_once(' ')?;
            let (pid, started) = (pid.parse().ok()?, started.parse().ok()?);
            is_alive(pid, started).then(|| (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), pid))
        })
        .collect();
    // Databases last, so that services end while their database still answers.
    found.sort_by_key(|(name, _)| (name.ends_with("_db"), name.clone()));
    found
}

/// Ends what an earlier stack left behind; returns the names. Databases shut down fast, not by force.
pub async fn end_leftovers(layout: &Layout) -> Vec<String> {
    let mut ended = Vec::new();
    for (name, pid) in leftovers(layout) {
        let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
        let started = start_time(pid).unwrap_or_default();
        let ask = if name.ends_with("_db") { Signal::INT } else { Signal::TERM };
        rustix::process::kill_process(id, ask).ok();
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_alive(pid, started) {
            if Instant::now() > deadline {
                rustix::process::kill_process(id, Signal::KILL).ok();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ended.push(name);
    }
    if let Ok(entries) = std::fs::read_dir(layout.run()) {
        for entry in entries.flatten() {
            std::fs::remove_file(entry.path()).ok();
        }
    }
    ended
}

fn open_log(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path).map_err(Error::io("write", path))
}

/// The last lines of a file, indented; enough to see why a program ended.
pub fn tail(path: &Path) -> String {
    const LINES: usize = 12;
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    last.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
