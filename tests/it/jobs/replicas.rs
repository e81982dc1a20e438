//! Three replicas of the reporting service whose clocks disagree, killed and paused at moments of chance, while a
//! night after the other is made up for: each occurrence ends with one success and one revision of each report.
//!
//! `TRIBUTARY_SEED` repeats the choices of a campaign that failed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use sqlx::{AssertSqlSafe, PgPool};
use stack::process::{Process, Program};
use system_tests::{Stack, campaign, seed, wait_until};

use super::delivery::check_pack;
use super::desk::{desk, jobs_file};
use super::restatement::past_day;
use crate::company::Company;

const REPORTS: [&str; 4] = ["store_performance", "daily_sales", "order_funnel", "data_freshness"];
/// Seconds by which the replicas' wall clocks are off.
const SKEWS: [i64; 3] = [-20, 0, 20];
const PATIENCE: Duration = Duration::from_secs(300);

/// A replica and what it is started from.
struct Replica {
    name: String,
    program: Program,
    process: Process,
}

impl Replica {
    fn start(stack: &mut Stack, library: &Path, number: usize, skew: i64) -> Self {
        let name = format!("replica-{number}");
        let mut program = stack.system().parts().service("reporting");
        let run = program.pid_file.with_file_name(format!("{name}.pid"));
        let log = program.log.with_file_name(format!("{name}.log"));
        (program.name, program.pid_file, program.log) = (name.clone(), run, log);
        program.env.retain(|(name, _)| name != "REPORTING_LISTEN");
        for (name, value) in [
            ("REPORTING_LISTEN", "127.0.0.1:0".to_owned()),
            ("REPORTING_REPLICA", name.clone()),
            ("LD_PRELOAD", library.to_string_lossy().into_owned()),
            ("SKEW_SECONDS", skew.to_string()),
        ] {
            program.env.push((name.to_owned(), value));
        }
        let process = program.spawn().unwrap();
        Self { name, program, process }
    }

    /// Ends it as `kill -9` does, and starts it again.
    fn kill_and_restart(&mut self) {
        self.process.kill();
        self.process = self.program.spawn().unwrap();
    }

    /// The moment that the newest line of its log bears.
    fn says_it_is(&self) -> Option<DateTime<Utc>> {
        let log = std::fs::read_to_string(&self.program.log).ok()?;
        let line: serde_json::Value = serde_json::from_str(log.lines().last()?).ok()?;
        line["timestamp"].as_str()?.parse().ok()
    }
}

pub(super) fn skewing_library(folder: &Path) -> std::path::PathBuf {
    let library = folder.join("skew.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/jobs/skew.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).status().unwrap();
    assert!(built.success(), "cc could not build {}", source.display());
    library
}

async fn count(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
}

const OPEN: &str = "SELECT count(*) FROM jobs.run WHERE job = 'nightly' AND finished_at IS NULL";
/// Grows with every small step of the work: attempts begun, revisions published, files recorded.
const STEPS: &str =
    "SELECT (SELECT count(*) FROM jobs.attempt WHERE run_id IN (SELECT id FROM jobs.run WHERE job = 'nightly'))
                          + (SELECT count(*) FROM published.revision) + (SELECT count(*) FROM exports.file)";

#[tokio::test(flavor = "multi_thread")]
async fn each_occurrence_succeeds_once_whoever_dies_sleeps_or_misreads_the_time() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let nights = i64::try_from(campaign(5, 100)).unwrap();
    let file = jobs_file(&format!(
        r#"
        [export]
        reports = ["store_performance", "daily_sales"]
        formats = ["csv"]
        [[job]]
        name = "nightly"
        cron = "30 2 * * *"
        catch_up = "all"
        window = "400d"
        overlap = "queue"
        with = {{ reports = {REPORTS:?} }}
        [[job]]
        name = "poll-inventory"
        every = "5s"
        "#
    ));
    let mut stack = desk(&file).start().await;
    let company = Company::found(&stack, 900).await;
    for back in 2..6 {
        company.sell(&stack.api("pos"), past_day(back).1, 1, 2, 0).await;
    }
    stack.stop("reporting").await;
    let db = stack.pool("reporting_db").await;
    // As if nobody had been there for so many nights.
    sqlx::query(
        "UPDATE jobs.schedule SET planned_through = planned_through - make_interval(days => $1) WHERE job = 'nightly'",
    )
    .bind(i32::try_from(nights).unwrap())
    .execute(&db)
    .await
    .unwrap();
    let library = skewing_library(stack.folder());
    let mut replicas: Vec<Replica> =
        SKEWS.iter().enumerate().map(|(number, skew)| Replica::start(&mut stack, &library, number, *skew)).collect();
    wait_until("the fast replica to say a moment to come", PATIENCE, async || {
        replicas[2].says_it_is().filter(|at| *at > Utc::now())
    })
    .await;
    wait_until("the nights to be planned", PATIENCE, async || (count(&db, OPEN).await > 0).then_some(())).await;

    let (mut kills, mut pauses) = (0, 0);
    while count(&db, OPEN).await > 0 {
        // A moment of chance: so many steps of the work from now.
        let moment = count(&db, STEPS).await + random.random_range(1..9);
        let reached = async || (count(&db, STEPS).await >= moment || count(&db, OPEN).await == 0).then_some(());
        wait_until("the work to go on", PATIENCE, reached).await;
        let replica = &mut replicas[random.random_range(0..3)];
        if random.random_bool(0.5) {
            replica.kill_and_restart();
            kills += 1;
        } else {
            replica.process.signal(Signal::STOP);
            pauses += 1;
            // Asleep until another has taken over what it held; then it wakes late.
            let sql = "SELECT count(*) FROM jobs.run WHERE owner = $1 AND status = 'running'";
            wait_until("another to take over", PATIENCE, async || {
                let held: i64 = sqlx::query_scalar(sql).bind(&replica.name).fetch_one(&db).await.unwrap();
                (held == 0).then_some(())
            })
            .await;
            replica.process.signal(Signal::CONT);
        }
    }
    for replica in &mut replicas {
        assert!(replica.process.stop(Duration::from_secs(60)).await, "{} stops in good order", replica.name);
    }
    report(kills, pauses, nights, &db).await;
    check(&stack, &db, nights).await;
}

#[expect(clippy::print_stdout, reason = "the output of a soak is what its reader wants")]
async fn report(kills: u32, pauses: u32, nights: i64, db: &PgPool) {
    let lost = count(db, "SELECT count(*) FROM jobs.attempt WHERE ending = 'lost'").await;
    println!("{nights} nights, {kills} kills, {pauses} pauses, {lost} attempts lost and taken over");
}

async fn check(stack: &Stack, db: &PgPool, nights: i64) {
    let endings: Vec<(DateTime<Utc>, String, i64)> = sqlx::query_as(
        "SELECT r.scheduled_for, r.status, count(*) FILTER (WHERE a.ending = 'succeeded')
           FROM jobs.run r LEFT JOIN jobs.attempt a ON a.run_id = r.id
          WHERE r.job = 'nightly' GROUP BY r.id ORDER BY r.scheduled_for",
    )
    .fetch_all(db)
    .await
    .unwrap();
    assert_eq!(i64::try_from(endings.len()).unwrap(), nights, "none missing: {endings:?}");
    assert!(endings.iter().all(|(_, status, successes)| status == "succeeded" && *successes == 1), "{endings:?}");

    let revisions: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "SELECT report, count(*), count(DISTINCT business_day), count(*) FILTER (WHERE state = 'final')
           FROM published.revision GROUP BY report ORDER BY report",
    )
    .fetch_all(db)
    .await
    .unwrap();
    let mut expected: Vec<_> = REPORTS.iter().map(|report| ((*report).to_owned(), nights, nights, nights)).collect();
    expected.sort();
    assert_eq!(revisions, expected, "one revision of each report and night, none double");
    for report in REPORTS {
        let sql = format!(
            "SELECT count(*) FROM published.revision r
              WHERE report = $1 AND row_count <> (SELECT count(*) FROM published.{report}_v1 d WHERE d.revision_id = r.revision_id)"
        );
        let torn: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).bind(report).fetch_one(db).await.unwrap();
        assert_eq!(torn, 0, "{report}");
    }
    let days: Vec<chrono::NaiveDate> =
        sqlx::query_scalar("SELECT DISTINCT business_day FROM published.revision").fetch_all(db).await.unwrap();
    for day in days {
        let manifest = check_pack(&stack.state().exports.join(day.to_string()));
        assert_eq!(manifest["files"].as_array().unwrap().len(), 2, "{day}");
    }
    // The job of every five seconds: a row for each of them that anybody was there to plan, and for those between.
    let gaps: i64 = count(
        db,
        "SELECT count(*) FROM (SELECT scheduled_for - lag(scheduled_for) OVER (ORDER BY scheduled_for) AS step
                                 FROM jobs.run WHERE job = 'poll-inventory' AND origin = 'schedule') AS steps
          WHERE step <> interval '5 seconds'",
    )
    .await;
    assert_eq!(gaps, 0, "no occurrence is missing");
}
