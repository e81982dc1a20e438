//! Who wakes whom: the loop that plans, picks up what is due, and sleeps until the next occurrence.
//!
//! `tokio-cron-scheduler` is the in-process ticker and nothing more: each next occurrence, computed here in the job's
//! own zone, is registered as a one-shot that wakes this loop. Whether anything is due is decided by the planner and
//! the database's clock, and a sweep makes up for a tick that never came.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{sync::Notify, time::Instant};
use tokio_cron_scheduler::{Job as OneShot, JobScheduler};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{Cadence, EngineError, RunRow, Runner, history, planner};

/// How often the loop looks without being woken: for other replicas' requests, silent leases and lost ticks.
const SWEEP: Duration = Duration::from_secs(5);
/// How long one look may take; a longer one is given up, and the next sweep tries again.
const STEP: Duration = Duration::from_secs(10);
/// How many runs one process works on at a time.
const MOST_RUNS: usize = 16;

/// The scheduling loop of one process.
pub struct Scheduler {
    runner: Runner,
    ticker: JobScheduler,
    ticks: BTreeMap<String, Tick>,
    /// Rung by the ticker.
    ringing: Arc<Notify>,
    tasks: TaskTracker,
    active: Arc<Mutex<BTreeSet<i64>>>,
}

impl Scheduler {
    /// Register the declared jobs and make ready to run them.
    ///
    /// # Errors
    /// [`EngineError::Database`] or [`EngineError::Ticker`].
    pub async fn start(runner: Runner) -> Result<Self, EngineError> {
        for entry in runner.registry().iter() {
            planner::register(runner.pool(), &entry.declaration).await?;
        }
        let ticker = JobScheduler::new().await?;
        ticker.start().await?;
        let (ringing, tasks) = (Arc::default(), TaskTracker::new());
        Ok(Self { runner, ticker, ticks: BTreeMap::new(), ringing, tasks, active: Arc::default() })
    }

    /// Schedules until the runner is stopped, then waits until its attempts have ended.
    ///
    /// A step that fails (the database is unreachable) is logged and tried again at the next sweep.
    pub async fn run(mut self) {
        let stop = self.runner.stop().clone();
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_time = true;
        let turns = base::Turns::of("scheduler", SWEEP);
        while !stop.is_cancelled() {
            turns.mark();
            match tokio::time::timeout(STEP, self.step(is_time)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a scheduling step failed; trying again");
                }
                Err(_) => tracing::warn!(seconds = STEP.as_secs(), "a scheduling step took too long; trying again"),
            }
            turns.mark();
            // A run that was asked for or has ended changes nothing about what the clock asks for.
            is_time = tokio::select! {
                _ = sweep.tick() => true,
                () = self.ringing.notified() => true,
                () = self.runner.woken() => false,
                () = stop.cancelled() => false,
            };
        }
        drop(turns);
        if let Err(error) = self.ticker.shutdown().await {
            tracing::debug!(%error, "the ticker was already down");
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Plan every job if it is time to, ask to be woken at the next occurrences, and pick up what is due.
    async fn step(&mut self, is_time: bool) -> Result<(), EngineError> {
        let declarations = self.runner.registry().iter().map(|entry| entry.declaration.clone());
        let clocked = declarations.filter(|declaration| is_time && !matches!(declaration.cadence, Cadence::OnRequest));
        for declaration in clocked.collect::<Vec<_>>() {
            let planned = planner::plan(self.runner.pool(), &declaration).await?;
            if let Some((next, wait)) = planned.next {
                self.wake_at(&declaration.name, next, wait.to_std().unwrap_or_default()).await?;
            }
        }
        let room = MOST_RUNS.saturating_sub(self.tasks.len());
        if room > 0 {
            let limit = i64::try_from(room + self.tasks.len()).unwrap_or(i64::MAX);
            let due = history::due(self.runner.pool(), &self.runner.registry().names(), limit).await?;
            due.into_iter().take(room).for_each(|row| self.pick_up(row));
        }
        Ok(())
    }

    fn pick_up(&self, row: RunRow) {
        let active = Arc::clone(&self.active);
        if !active.lock().unwrap_or_else(PoisonError::into_inner).insert(row.id) {
            return;
        }
        let runner = self.runner.clone();
        self.tasks.spawn(async move {
            match runner.run(&row.job, row.scheduled_for).await {
                // Something ended, so something that waited for it may go on.
                Ok(now) if now.status.has_ended() => runner.wake(),
                Ok(_) => {}
                Err(error) => tracing::warn!(
                    job = row.job,
                    run = row.id,
                    error = &error as &dyn std::error::Error,
                    "a run could not be picked up; the next sweep tries again"
                ),
            }
            active.lock().unwrap_or_else(PoisonError::into_inner).remove(&row.id);
        });
    }

    /// Ask to be woken at a job's next occurrence, unless we already have.
    async fn wake_at(&mut self, job: &str, next: DateTime<Utc>, wait: Duration) -> Result<(), EngineError> {
        if let Some(tick) = self.ticks.get(job) {
            if tick.occurrence == next && tick.rings > Instant::now() {
                return Ok(());
            }
            self.ticker.remove(&tick.id).await?;
        }
        // The ticker counts whole seconds and cuts the rest off: a second more, or it would wake us too early.
        let wait = Duration::from_secs(wait.as_secs() + 1);
        let ringing = Arc::clone(&self.ringing);
        let one_shot = OneShot::new_one_shot_async(wait, move |_, _| {
            let ringing = Arc::clone(&ringing);
            Box::pin(async move { ringing.notify_one() })
        })?;
        let id = self.ticker.add(one_shot).await?;
        self.ticks.insert(job.to_owned(), Tick { id, occurrence: next, rings: Instant::now() + wait });
        Ok(())
    }
}

/// A wake-up that the ticker holds for us.
struct Tick {
    id: Uuid,
    occurrence: DateTime<Utc>,
    rings: Instant,
}
