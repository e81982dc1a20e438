//! Real workers: processes of this very program, which runs the one test that is named as what makes it a worker.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use lake::{FileSet, calendar};
use polars::prelude::ParquetWriter;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::{Dataset, Shape};
use super::*;
use crate::report::language::header::{self, ColumnType};

/// All pairs of days with each day: some million million rows, of which none is kept.
const ENDLESS: &str = "SELECT COUNT(*) AS n FROM calendar AS a CROSS JOIN (SELECT b.year AS year, c.iso_week AS week \
                       FROM calendar AS b CROSS JOIN calendar AS c) AS d WHERE a.iso_week + d.year + d.week = 7";
const QUICK: &str = "SELECT COUNT(*) AS n FROM calendar";
const BOUNDS: Bounds = Bounds::IN_BACKGROUND;
/// When a test is given up: what is to end would otherwise be waited for as long as [`ENDLESS`] lasts.
const GIVEN_UP: Duration = Duration::from_secs(120);

/// The worker: its arguments are, for the program of the tests, names of tests to run.
#[test]
fn compute_reports() {
    if as_worker(std::env::args_os()).is_some() {
        let _ended = work(|_, _| Ok(Value::Null));
    }
}

/// Workers, and the calendar as a file.
struct Machine {
    local: Local,
    lake: TempDir,
}

impl Machine {
    fn new(times: Times) -> Self {
        let lake = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(lake.path().join("calendar.parquet")).unwrap();
        ParquetWriter::new(file).finish(&mut calendar::frame().unwrap()).unwrap();
        Self { local: Local::with(Workers { program: own_program().unwrap(), memory: 1 << 30 }, times), lake }
    }

    /// The number of rows.
    async fn compute(&self, statement: &str, asker: &str, bounds: Bounds) -> Result<usize, ReportError> {
        let job = Job { work: work_of(self.lake.path(), statement), file: None };
        self.local.clone().run(job, Asker::consumer(Some(asker)), bounds).await.map(|answer| answer.rows)
    }

    /// A worker that waits for the next job.
    async fn warm(&self) -> u32 {
        assert_eq!(self.compute(QUICK, "warm", BOUNDS).await.unwrap(), 1);
        *self.local.pool.waiting().last().unwrap()
    }
}

fn work_of(lake: &Path, statement: &str) -> Arc<Work> {
    let path = lake.join("calendar.parquet");
    let bytes = path.metadata().unwrap().len();
    let files: FileSet = serde_json::from_value(json!({
        "columns": calendar::columns(), "has_days": false, "rows": 29_950, "farthest": {},
        "parts": [{ "days": [], "files": [{ "path": path, "bytes": bytes, "deletes": null }] }],
    }))
    .unwrap();
    let key = vec![calendar::KEY.to_owned()];
    let shape = Shape {
        report: "r".to_owned(),
        engine: header::Engine::Streaming,
        columns: vec![("n".to_owned(), ColumnType::Int64)],
        key: Vec::new(),
        most_rows: 9,
    };
    let datasets = BTreeMap::from([(calendar::NAME.to_owned(), Dataset { key, files })]);
    Arc::new(Work { shape, statement: statement.into(), datasets, kept: BTreeMap::new() })
}

/// Waits for the end of a child.
async fn ended(process: u32) {
    let child = WaitId::Pid(Pid::from_raw(process.cast_signed()).unwrap());
    // Whoever started it takes note of its end too, perhaps first: then there is no such child any more.
    let end = || waitid(child, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).map_or((), drop);
    tokio::time::timeout(GIVEN_UP, tokio::task::spawn_blocking(end)).await.expect("the process to end").unwrap();
}

#[tokio::test]
async fn a_deadline_ends_the_computation() {
    let machine = Machine::new(TIMES);
    let worker = machine.warm().await;
    let outcome = machine.compute(ENDLESS, "one", Bounds { time: Duration::from_millis(300), ..BOUNDS }).await;
    assert!(matches!(outcome, Err(ReportError::TimedOut { .. })), "{outcome:?}");
    ended(worker).await;
}

#[tokio::test]
async fn with_who_asked_a_computation_ends() {
    let machine = Machine::new(TIMES);
    let worker = machine.warm().await;
    let computing = machine.compute(ENDLESS, "one", BOUNDS);
    assert!(tokio::time::timeout(Duration::from_millis(300), computing).await.is_err(), "it lasts");
    ended(worker).await;
}

#[tokio::test]
async fn of_workers_that_have_waited_for_long_one_stays() {
    let machine = Machine::new(Times { idle: Duration::from_millis(50), look: Duration::from_millis(10), ..TIMES });
    let pool = &machine.local.pool;
    let (first, second) = (pool.take().await.unwrap(), pool.take().await.unwrap());
    let [one, other] = [&first, &second].map(|borrowed| borrowed.worker.id().unwrap());
    first.give_back();
    second.give_back();
    ended(one).await;
    pool.thin();
    assert_eq!(pool.waiting(), [other]);
}

#[tokio::test]
async fn a_second_long_job_makes_room_and_short_ones_are_answered() {
    let machine = Machine::new(TIMES);
    machine.warm().await;
    // The first is known to last, so that it has the turn of long jobs before the second asks for it.
    let known = format!("{ENDLESS} AND 1 = 1");
    let one = Asker::consumer(Some("one"));
    machine.local.turns.learn(&work_of(machine.lake.path(), &known), &one, Class::Long).await;
    let mut first = std::pin::pin!(machine.compute(&known, "one", BOUNDS));
    assert!(poll!(&mut first).is_pending());
    assert!(machine.local.turns.grown_long(&Asker::Run).is_none());
    let others = async {
        let impatient = Bounds { patience: Duration::from_millis(300), ..BOUNDS };
        let second = machine.compute(ENDLESS, "other", impatient).await;
        (second, machine.compute(QUICK, "third", BOUNDS).await)
    };
    let (second, third) = tokio::select! {
        first = &mut first => panic!("{first:?}"),
        others = tokio::time::timeout(GIVEN_UP, others) => others.unwrap(),
    };
    assert!(matches!(second, Err(ReportError::Busy)), "{second:?}");
    assert!(matches!(third, Ok(1)), "{third:?}");
}
