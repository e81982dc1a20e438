//! A worker as it sees itself: a process that computes, and ends when nobody is there any more to compute for.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError, mpsc};

use lake::References;
use polars::prelude::DataFrame;
use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setpgid, setrlimit};
use serde_json::Value;

use super::super::compute::compute;
use super::super::failure::Failure;
use super::own_program;
use super::wire::{self, Job, Reply};
use crate::report::run::deep::{thread, warm_up};
use crate::report::run::error::ReportError;

/// The first argument of a program that is to be a worker; the second are the bytes that it may take.
pub(super) const ARGUMENT: &str = "compute_reports";

/// With this code a worker ends that would take more memory than it may.
pub const OUT_OF_MEMORY: i32 = 86;

/// Writes rows to a file as an order says; what it gives, or why it could not, is for who gave the order.
pub type WriteFile = fn(&Value, DataFrame) -> Result<Value, Value>;

/// What the last panic said.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// The bytes that the worker may take, if the arguments of a program make it one. Ask it at the very start of `main`,
/// before there is a second thread.
pub fn as_worker(mut arguments: impl Iterator<Item = OsString>) -> Option<usize> {
    let is_worker = arguments.nth(1)? == ARGUMENT;
    if is_worker { arguments.next()?.to_str()?.parse().ok() } else { None }
}

/// Works until the service's end of the pair closes, which ends the process at once.
#[must_use]
pub fn work(write: WriteFile) -> ExitCode {
    match serve(write) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(write: WriteFile) -> io::Result<()> {
    lower();
    ignore_file_size_signal()?;
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let answers = socket.try_clone()?;
    let (jobs, taken) = mpsc::channel::<Job>();
    thread().spawn(move || {
        if answer_all(&taken, answers, write).is_err() {
            end();
        }
    })?;
    // This thread does nothing but listen, so that the end is heard in the middle of a computation.
    loop {
        let job = wire::read(&mut socket).and_then(|frame| wire::parsed(&frame));
        if job.map_or(true, |job| jobs.send(job).is_err()) {
            end();
        }
    }
}

/// Ends the process, whatever its other threads do.
fn end() -> ! {
    kill_process(getpid(), Signal::KILL).ok();
    std::process::abort();
}

/// Takes a place behind all that answer and store: for the processor, and when memory runs out.
fn lower() {
    // A group of its own: all of its threads can be named at once, and a terminal's interrupt is for the service.
    setpgid(None, None).ok();
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).ok();
    // Where there is no such file, the system chooses by itself.
    std::fs::write("/proc/self/oom_score_adj", "1000").ok();
    base::yield_to_others();
    std::panic::set_hook(Box::new(|panic| {
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
    }));
}

/// A file that may not grow beyond a limit fails one job.
fn ignore_file_size_signal() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _within = runtime.enter();
    base::ignore_file_size_signal()
}

fn answer_all(jobs: &mpsc::Receiver<Job>, socket: UnixStream, write: WriteFile) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, socket);
    warm_up().map_err(io::Error::other)?;
    out.write_all(&wire::head(&Reply::Ready { build: wire::build(&own_program()?)? })?)?;
    out.flush()?;
    let references = References::default();
    while let Ok(job) = jobs.recv() {
        let answer = catch_unwind(AssertUnwindSafe(|| answer(&job, &references, write)));
        let (rows, reply) = match answer {
            Ok(Ok((rows, done))) => (rows, done),
            Ok(Err(error)) => (None, Reply::Failed(Failure::from(error))),
            Err(_) => (None, Reply::Panicked(PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone())),
        };
        if let Some(rows) = rows {
            wire::send_rows(&rows, &mut out)?;
        }
        out.write_all(&wire::head(&reply)?)?;
        out.flush()?;
    }
    Ok(())
}

fn answer(job: &Job, references: &References, write: WriteFile) -> Result<(Option<DataFrame>, Reply), ReportError> {
    let frame = compute(&job.work, references)?;
    let rows = frame.height();
    let order = job.file.as_ref().filter(|order| order.few.is_none_or(|few| rows > few));
    let Some(order) = order else { return Ok((Some(frame), Reply::Done { rows })) };
    let outcome = write(&order.how, frame).map_err(ReportError::File)?;
    Ok((None, Reply::Filed { rows, outcome }))
}
