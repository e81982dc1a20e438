//! Computing in processes of our own: what runs away there is ended, and takes nothing with it.
//!
//! A worker is a child of the service, of the same program, and speaks with it over a pair of sockets. It stays warm and
//! takes one job at a time. It is ended as soon as nobody waits for its job, when the job's time is up or another long
//! one has the turn; it ends by itself at its bound on memory, and when the service's end of the pair closes. `turns`
//! says whose job is next, `pool` keeps workers, `worker` is one as the service sees it, `process` as it sees itself,
//! and `wire` what the two say.

mod pool;
mod process;
#[cfg(test)]
mod tests;
mod turns;
mod wire;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::{Asker, Engine, Filed, Filing, Frames, Order, Work};
use crate::metric;
use crate::report::run::ask::Bounds;
use crate::report::run::error::ReportError;
use pool::Pool;
pub use process::{OUT_OF_MEMORY, WriteFile, as_worker, work};
use turns::{Class, Turn, Turns};
use wire::Job;
use worker::{Answer, Ended};

/// How long what is waited for may last.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// From when on a job is a long one.
    long: Duration,
    /// How long a worker waits for its next job before it is one too many.
    idle: Duration,
    /// How often those that wait are looked at.
    look: Duration,
}

const TIMES: Times =
    Times { long: Duration::from_secs(2), idle: Duration::from_secs(60), look: Duration::from_secs(5) };
/// How often a job is given to a worker that does not live to answer.
const TRIES: u32 = 3;

/// Of what workers are made.
#[derive(Debug, Clone)]
pub struct Workers {
    /// The program, whose `main` asks [`as_worker`] first; see [`own_program`].
    pub program: PathBuf,
    /// Bytes of memory that one may take.
    pub memory: u64,
}

impl Workers {
    /// Most that compute at a time; one more may wait.
    pub const MOST: u64 = turns::SHORT as u64 + 1;
}

/// The program that runs: itself, even if another lies in its place by now.
///
/// # Errors
/// When the system does not say.
pub fn own_program() -> std::io::Result<PathBuf> {
    let itself = Path::new("/proc/self/exe");
    if itself.exists() { Ok(itself.to_owned()) } else { std::env::current_exe() }
}

/// The engine of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pool: Arc<Pool>,
    turns: Arc<Turns>,
    long: Duration,
}

impl Local {
    pub(crate) fn new(workers: Workers) -> Self {
        Self::with(workers, TIMES)
    }

    fn with(workers: Workers, times: Times) -> Self {
        Self { pool: Pool::open(workers, times), turns: Arc::new(Turns::new()), long: times.long }
    }

    /// Runs a job to its end, in as many attempts as it takes.
    async fn run(self, job: Job, asker: Asker, bounds: Bounds) -> Result<Answer, ReportError> {
        let work = Arc::clone(&job.work);
        let statement = &work.statement;
        let (mut patience, mut time, mut deaths) = (bounds.patience, bounds.time, 0);
        let mut class = self.turns.class_of(&work, &asker);
        loop {
            let asked = Instant::now();
            let turn = tokio::time::timeout(patience, self.turns.take(class, &asker)).await;
            patience = patience.saturating_sub(asked.elapsed());
            metric::report_turn(asked.elapsed());
            let mut turn = turn.map_err(|_| ReportError::Busy)?;
            let (began, mut unfinished) = (Instant::now(), Unfinished(true));
            let ended = match tokio::time::timeout(time, self.attempt(&job, &asker, &mut turn)).await {
                Ok(ended) => ended,
                Err(_) => Err(Ended::OutOfTime),
            };
            unfinished.0 = false;
            time = time.saturating_sub(began.elapsed());
            let report = &work.shape.report;
            let ended = match ended {
                Ok(answer) => {
                    metric::report(report, began.elapsed(), Some(answer.rows));
                    return Ok(answer);
                }
                Err(ended) => ended,
            };
            metric::computation_ended(ended.reason());
            let error = match ended {
                Ended::Overtaken => {
                    class = Class::Long;
                    continue;
                }
                Ended::Died(how) => {
                    deaths += 1;
                    tracing::error!(report, how, deaths, %statement, "a process that computed a report came to its end");
                    if deaths < TRIES {
                        continue;
                    }
                    ReportError::Crashed { report: report.clone() }
                }
                Ended::NotBegun(why) => {
                    tracing::error!(report, why, "no process could be started to compute a report");
                    ReportError::Busy
                }
                Ended::Failed(failure) => failure.of(&work.shape),
                Ended::OutOfTime => {
                    let seconds = bounds.time.as_secs();
                    tracing::warn!(report, seconds, %statement, "a report was ended: its time was up");
                    ReportError::TimedOut { report: report.clone(), seconds }
                }
                Ended::OutOfMemory => {
                    let bytes = self.pool.memory();
                    tracing::warn!(report, bytes, %statement, "a report was ended: it needs more memory than it may take");
                    ReportError::OutOfMemory { report: report.clone(), bytes }
                }
            };
            metric::report(report, began.elapsed(), None);
            return Err(error);
        }
    }

    /// Gives a job to a worker. One that grows long goes on if no other long one runs, and makes room if one does.
    async fn attempt(&self, job: &Job, asker: &Asker, turn: &mut Turn) -> Result<Answer, Ended> {
        let mut borrowed = self.pool.take().await?;
        let process = borrowed.worker.id();
        if turn.is_long() {
            worker::yield_to_short(process);
        }
        let answer = {
            let mut answering = std::pin::pin!(borrowed.worker.answer(job));
            match tokio::time::timeout(self.long, &mut answering).await {
                Ok(answer) => {
                    if answer.is_ok() && turn.is_long() {
                        self.turns.learn(&job.work, asker, Class::Short).await;
                    }
                    answer
                }
                Err(_) => {
                    self.turns.learn(&job.work, asker, Class::Long).await;
                    if !turn.is_long() {
                        *turn = self.turns.grown_long(asker).ok_or(Ended::Overtaken)?;
                        worker::yield_to_short(process);
                        self.pool.spare();
                    }
                    answering.await
                }
            }
        };
        // One that yields to others cannot be made as quick as they again.
        if matches!(answer, Ok(_) | Err(Ended::Failed(_))) && !turn.is_long() {
            borrowed.give_back();
        }
        answer
    }
}

/// Whether an attempt has not come to its end: when it is dropped, nobody waits for it any more.
struct Unfinished(bool);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.0 {
            metric::computation_ended(metric::LEFT);
        }
    }
}

impl Engine for Local {
    fn rows(&self, work: Arc<Work>, asker: &Asker, bounds: Bounds) -> Frames {
        // All of them before the first is passed on: what has been passed on could not be computed again.
        let run = self.clone().run(Job { work, file: None }, asker.clone(), bounds);
        let frames = run.map(|answer| answer.map(|answer| stream::iter(answer.frames).map(Ok)));
        stream::once(frames).try_flatten().boxed()
    }

    fn file(&self, work: Arc<Work>, asker: &Asker, bounds: Bounds, order: Order) -> Filing {
        let run = self.clone().run(Job { work, file: Some(order) }, asker.clone(), bounds);
        let filed = |Answer { file, frames, .. }| match file {
            Some(outcome) => Filed::File(outcome),
            None => Filed::Rows(stream::iter(frames).map(Ok).boxed()),
        };
        run.map(move |answer| answer.map(filed)).boxed()
    }

    fn warm(&self) {
        self.pool.spare();
    }
}
