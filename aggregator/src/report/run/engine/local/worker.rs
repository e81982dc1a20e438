//! A worker as the service sees it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::Duration;

use polars::prelude::DataFrame;
use rustix::process::{Pid, setpriority_pgrp};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::super::failure::Failure;
use super::Workers;
use super::process::{ARGUMENT, OUT_OF_MEMORY};
use super::wire::{self, Job, Reply};

/// How long a worker may take until it takes jobs.
const START: Duration = Duration::from_secs(30);
/// The nice value of a long job: short ones come first.
const LAST: i32 = 19;
/// Bytes of rows that are decoded at once, and not on a thread for work that blocks.
const SMALL: usize = 64 * 1024;

/// A process that computes; killed when it is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    process: Child,
    socket: BufReader<UnixStream>,
}

/// What a worker answers.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) rows: usize,
    pub(super) frames: Vec<DataFrame>,
    pub(super) file: Option<Value>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Ended {
    /// The worker says so, and takes the next job.
    Failed(Failure),
    /// It has grown long while another long one runs.
    Overtaken,
    /// It took longer than it may.
    OutOfTime,
    /// It took more memory than it may.
    OutOfMemory,
    /// It came to its end.
    Died(String),
    /// There was none to give the job to.
    NotBegun(String),
}

impl Ended {
    /// As in the label `reason`.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Overtaken => "overtaken",
            Self::OutOfTime => "time",
            Self::OutOfMemory => "memory",
            Self::Died(_) => "died",
            Self::NotBegun(_) => "not_begun",
        }
    }
}

impl Worker {
    /// Starts one and hears that it is of our build; else says why there is none.
    pub(super) async fn start(workers: &Workers) -> Result<Self, String> {
        let mut worker = Self::spawn(workers).map_err(|error| format!("it could not be started: {error}"))?;
        let hello = async {
            let build = wire::build(&workers.program)?;
            match wire::parsed(&worker.frame().await?)? {
                Reply::Ready { build: other } if build == other => Ok(()),
                _ => Err(io::Error::other("it is of another build")),
            }
        };
        match tokio::time::timeout(START, hello).await {
            Ok(Ok(())) => Ok(worker),
            Ok(Err(error)) => Err(format!("it ended before it was ready: {:?}", worker.end(&error).await)),
            Err(_) => Err(format!("it was not ready within {} s", START.as_secs())),
        }
    }

    fn spawn(workers: &Workers) -> io::Result<Self> {
        // Both ends close on exec: no worker holds another's.
        let (ours, theirs) = Pair::pair()?;
        ours.set_nonblocking(true)?;
        let process = Command::new(&workers.program)
            .arg(ARGUMENT)
            .arg(workers.memory.to_string())
            // It needs no setting and should know no secret.
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { process, socket: BufReader::new(UnixStream::from_std(ours)?) })
    }

    /// Its process id.
    pub(super) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Whether it has not come to its end while it waited.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Bytes that it holds; none where the system does not say.
    pub(super) fn resident(&self) -> u64 {
        let status = self.id().and_then(|id| std::fs::read_to_string(format!("/proc/{id}/status")).ok());
        let resident = status.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("VmRSS:")));
        let kibibytes = resident.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kibibytes.unwrap_or_default() * 1024
    }

    /// Gives it a job and hears its answer to the end.
    pub(super) async fn answer(&mut self, job: &Job) -> Result<Answer, Ended> {
        match self.exchange(job).await {
            Ok(answer) => answer,
            Err(error) => Err(self.end(&error).await),
        }
    }

    async fn exchange(&mut self, job: &Job) -> io::Result<Result<Answer, Ended>> {
        self.socket.write_all(&wire::head(job)?).await?;
        let mut answer = Answer::default();
        loop {
            match wire::parsed(&self.frame().await?)? {
                Reply::Rows => {
                    let frame = self.frame().await?;
                    answer.frames.push(decoded(frame).await?);
                }
                Reply::Done { rows } => return Ok(Ok(Answer { rows, ..answer })),
                Reply::Filed { rows, outcome } => return Ok(Ok(Answer { rows, file: Some(outcome), ..answer })),
                Reply::Failed(failure) => return Ok(Err(Ended::Failed(failure))),
                Reply::Panicked(message) => return Ok(Err(Ended::Died(message))),
                Reply::Ready { .. } => return Err(io::Error::other("it begins again")),
            }
        }
    }

    async fn frame(&mut self) -> io::Result<Vec<u8>> {
        let length = self.socket.read_u32().await?;
        let mut bytes = Vec::with_capacity(length as usize);
        let read = (&mut self.socket).take(u64::from(length)).read_to_end(&mut bytes).await?;
        if read == length as usize { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// How it came to its end: what it says no longer can be understood.
    async fn end(&mut self, error: &io::Error) -> Ended {
        // Dead already, if its end of the pair closed.
        if error.kind() != io::ErrorKind::UnexpectedEof && error.kind() != io::ErrorKind::ConnectionReset {
            self.process.start_kill().ok();
        }
        match self.process.wait().await {
            Ok(status) if status.code() == Some(OUT_OF_MEMORY) => Ended::OutOfMemory,
            Ok(status) => match status.signal() {
                Some(signal) => Ended::Died(format!("signal {signal} ({error})")),
                None => Ended::Died(format!("{status} ({error})")),
            },
            Err(failed) => Ended::Died(format!("{error}; {failed}")),
        }
    }
}

/// Makes a worker yield to those of short jobs: itself and all of its threads, which are a group of their own.
pub(super) fn yield_to_short(process: Option<u32>) {
    let group = process.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Err(error) = setpriority_pgrp(group, LAST) {
        tracing::debug!(%error, "a long job computes at the priority of short ones");
    }
}

async fn decoded(frame: Vec<u8>) -> io::Result<DataFrame> {
    if frame.len() <= SMALL {
        return wire::rows(frame).map_err(io::Error::other);
    }
    tokio::task::spawn_blocking(move || wire::rows(frame)).await?.map_err(io::Error::other)
}
