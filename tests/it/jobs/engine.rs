//! Occurrences, leases and fencing tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DurationRound as _, SubsecRound as _, TimeDelta, Utc};
use jobs::engine::{
    Cadence, CatchUp, Declaration, Job, JobError, Overlap, Registry, Run, RunStatus, Runner, RunnerSettings, Scheduler,
    history, planner, sessions_of,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use system_tests::{eventually, wait_until};
use tokio::sync::Notify;

use super::{Counter, LEASE, at, database, declaration, replica, replica_of};

#[tokio::test(flavor = "multi_thread")]
async fn many_replicas_run_an_occurrence_once() {
    let pool = database().await;
    let counter = Arc::new(Counter::default());
    let declaration = declaration("once");
    // Nobody falls silent here, however busy the machine: only who comes first is in question.
    let lease = Duration::from_secs(60);
    let replicas: Vec<_> = (0..3).map(|_| replica_of(&pool, &declaration, &counter, lease)).collect();
    let occurrences: Vec<_> = (0..20).map(|day| at("2026-03-01T02:30:00Z") + TimeDelta::days(day)).collect();
    let tries = replicas.iter().flat_map(|it| occurrences.iter().map(move |at| it.run_to_end("once", *at)));
    let ended = futures_util::future::join_all(tries).await;
    assert!(ended.into_iter().all(|row| row.unwrap().status == RunStatus::Succeeded));
    assert_eq!(counter.begun.load(Ordering::SeqCst), occurrences.len());
    let rows = history::page(&pool, "once", None, 100).await.unwrap();
    assert_eq!(rows.len(), occurrences.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_slept_through_its_lease_can_write_nothing() {
    let pool = database().await;
    let hold = Arc::new(Notify::new());
    let slow = Arc::new(Counter { hold: Some(Arc::clone(&hold)), ..Counter::default() });
    let quick = Arc::new(Counter::default());
    let declaration = declaration("paused");
    let (first, second) = (replica(&pool, &declaration, &slow), replica(&pool, &declaration, &quick));
    let occurrence = at("2026-03-01T02:30:00Z");
    let running = tokio::spawn(async move { first.run("paused", occurrence).await });
    eventually("the first replica to begin", async || slow.begun.load(Ordering::SeqCst) == 1).await;
    // As if its process had been stopped: its lease runs out although it still believes in it. Again until the other
    // was quicker than its next heartbeat.
    let stopped = "UPDATE jobs.run SET lease_until = clock_timestamp() - interval '1 s' WHERE job = 'paused'";
    let taken = wait_until("the second replica to take over", LEASE * 100, async || {
        sqlx::query(stopped).execute(&pool).await.unwrap();
        let row = second.run("paused", occurrence).await.unwrap();
        (row.status == RunStatus::Succeeded).then_some(row)
    })
    .await;
    hold.notify_waiters();
    hold.notify_one();
    // What it got to see may be of the time when the other still ran.
    let late = running.await.unwrap().unwrap();
    let row = history::get(&pool, late.id).await.unwrap();
    assert_eq!((row.status, row.outcome), (RunStatus::Succeeded, taken.outcome));
    assert_eq!((slow.written.load(Ordering::SeqCst), quick.written.load(Ordering::SeqCst)), (0, 1));
    let endings: Vec<Option<String>> =
        sqlx::query_scalar("SELECT ending FROM jobs.attempt WHERE run_id = $1 ORDER BY fence")
            .bind(late.id)
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(endings, [Some("lost".to_owned()), Some("succeeded".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_tried_again_and_then_given_up() {
    let pool = database().await;
    let declaration = declaration("failing");
    for (failures, status, attempt) in [(2, RunStatus::Succeeded, 3), (3, RunStatus::Failed, 3)] {
        let runner = replica(&pool, &declaration, &Arc::new(Counter::default()));
        let occurrence = at("2026-03-01T00:00:00Z") + TimeDelta::hours(failures);
        runner.request("failing", occurrence, &json!({ "fail": failures })).await.unwrap();
        let row = runner.run_to_end("failing", occurrence).await.unwrap();
        assert_eq!((row.status, row.attempt), (status, attempt));
        assert_eq!(row.error.is_some(), status == RunStatus::Failed);
        let lines = history::log_lines(&pool, row.id).await.unwrap();
        assert_eq!(
            lines.iter().map(|it| it.line.as_str()).collect::<Vec<_>>(),
            ["attempt 1", "attempt 2", "attempt 3"]
        );
    }
    let refused = replica(&pool, &declaration, &Arc::new(Counter::default()))
        .request("failing", at("2026-03-02T00:00:00Z"), &json!({ "fial": 1 }))
        .await;
    assert!(refused.unwrap_err().to_string().contains("fial"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_stops_and_writes_nothing() {
    let pool = database().await;
    let hold = Arc::new(Notify::new());
    let counter = Arc::new(Counter { hold: Some(hold), ..Counter::default() });
    let runner = replica(&pool, &declaration("cancelled"), &counter);
    let occurrence = at("2026-03-01T02:30:00Z");
    let row = runner.request("cancelled", occurrence, &json!({})).await.unwrap();
    let running = tokio::spawn(async move { runner.run("cancelled", occurrence).await });
    eventually("the run to begin", async || counter.begun.load(Ordering::SeqCst) == 1).await;
    history::cancel(&pool, row.id).await.unwrap();
    assert_eq!(running.await.unwrap().unwrap().status, RunStatus::Cancelled);
    assert_eq!(counter.written.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_occurrence_that_is_due_while_another_runs_follows_the_policy() {
    let pool = database().await;
    for (name, overlap, expected) in [
        ("overlap-skip", Overlap::Skip, RunStatus::Skipped),
        ("overlap-queue", Overlap::Queue, RunStatus::Queued),
        ("overlap-allow", Overlap::Allow, RunStatus::Succeeded),
    ] {
        let declaration = Declaration { overlap, ..declaration(name) };
        let hold = Arc::new(Notify::new());
        let slow = Arc::new(Counter { hold: Some(Arc::clone(&hold)), ..Counter::default() });
        let (first, second) =
            (replica(&pool, &declaration, &slow), replica(&pool, &declaration, &Arc::new(Counter::default())));
        let insert = "INSERT INTO jobs.run (job, scheduled_for, origin) VALUES ($1, $2, 'schedule')";
        // On time: what was missed long ago would be caught up, and never skipped.
        let (earlier, later) = (Utc::now() - TimeDelta::seconds(20), Utc::now() - TimeDelta::seconds(10));
        let (earlier, later) = (earlier.trunc_subsecs(0), later.trunc_subsecs(0));
        for occurrence in [earlier, later] {
            sqlx::query(insert).bind(name).bind(occurrence).execute(&pool).await.unwrap();
        }
        let running = tokio::spawn(async move { first.run(name, earlier).await });
        eventually("the first to begin", async || slow.begun.load(Ordering::SeqCst) == 1).await;
        let row = second.run(name, later).await.unwrap();
        assert_eq!(row.status, expected, "{name}: {:?}", row.note);
        hold.notify_one();
        assert_eq!(running.await.unwrap().unwrap().status, RunStatus::Succeeded);
    }
}

/// Finds something at each third look.
#[derive(Default)]
struct Looking(AtomicUsize);

impl Job for Looking {
    const NAME: &'static str = "looking";
    type Arguments = Value;
    type Outcome = usize;

    async fn run(&self, _: Value, run: &Run) -> Result<usize, JobError> {
        run.log("looked").await;
        Ok(usize::from(self.0.fetch_add(1, Ordering::SeqCst) % 3 == 2))
    }

    fn is_quiet(outcome: &usize) -> bool {
        *outcome == 0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_scheduled_runs_that_had_nothing_to_do_the_newest_alone_is_kept() {
    let pool = database().await;
    let mut registry = Registry::default();
    registry.add(declaration("looking"), Looking::default()).unwrap();
    let settings = RunnerSettings { lease: LEASE, replica: "test".to_owned() };
    let runner = Runner::new(pool.clone(), pool.clone(), registry, settings);
    let occurrence = |minute: i64| at("2026-03-01T02:30:00Z") + TimeDelta::minutes(minute);
    // What somebody asked for stays, whatever it found.
    runner.request("looking", occurrence(0), &json!({})).await.unwrap();
    let planned = "INSERT INTO jobs.run (job, scheduled_for, origin)
                   SELECT 'looking', $1::timestamptz + make_interval(mins => n), 'schedule' FROM generate_series(1, 7) n";
    sqlx::query(planned).bind(occurrence(0)).execute(&pool).await.unwrap();
    for minute in 0..8 {
        assert_eq!(runner.run_to_end("looking", occurrence(minute)).await.unwrap().status, RunStatus::Succeeded);
    }
    let rows = history::page(&pool, "looking", None, 100).await.unwrap();
    let kept: Vec<_> = rows.iter().map(|row| (row.scheduled_for, row.outcome.clone())).collect();
    let expected = [(7, 0), (5, 1), (2, 1), (0, 0)];
    assert_eq!(kept, expected.map(|(minute, found)| (occurrence(minute), Some(json!(found)))));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_missed_occurrence_has_a_row_and_an_edited_cron_does_not_fire_at_once() {
    let pool = database().await;
    let cron = |line: &str| Cadence::cron(line, "America/Toronto".parse().unwrap()).unwrap();
    let mut declaration = Declaration::new("planned", cron("30 2 * * *"));
    declaration.catch_up = CatchUp::Latest;
    planner::register(&pool, &declaration).await.unwrap();
    let down = "UPDATE jobs.schedule SET planned_through = '2026-03-06T12:00:00Z' WHERE job = 'planned'";
    sqlx::query(down).execute(&pool).await.unwrap();
    // Two replicas wake at once after the clocks went forward.
    let now = Some(at("2026-03-08T07:01:00Z"));
    let (one, two) =
        tokio::join!(planner::plan_at(&pool, &declaration, now), planner::plan_at(&pool, &declaration, now));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!((one.queued + two.queued, one.skipped + two.skipped), (1, 1));
    let rows = history::page(&pool, "planned", None, 10).await.unwrap();
    let seen: Vec<_> = rows.iter().map(|row| (row.scheduled_for.to_rfc3339(), row.status)).collect();
    assert_eq!(
        seen,
        [
            ("2026-03-08T07:00:00+00:00".to_owned(), RunStatus::Queued),
            ("2026-03-07T07:30:00+00:00".to_owned(), RunStatus::Skipped),
        ]
    );
    declaration.cadence = cron("* * * * *");
    planner::register(&pool, &declaration).await.unwrap();
    let planned = planner::plan(&pool, &declaration).await.unwrap();
    // At most the minute that may have begun since the registration.
    assert!(planned.queued <= 1 && planned.skipped == 0, "{planned:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn down_for_two_days_each_policy_catches_up_as_it_says() {
    let pool = database().await;
    // Fires at the full minute six hours ago and thirty hours ago, both well before the process came back.
    let later = (Utc::now() - TimeDelta::hours(6)).duration_trunc(TimeDelta::minutes(1)).unwrap();
    let earlier = later - TimeDelta::days(1);
    let line = later.format("%-M %-H * * *").to_string();
    for (catch_up, name, expected) in [
        (CatchUp::None, "down-none", [RunStatus::Skipped, RunStatus::Skipped]),
        (CatchUp::Latest, "down-latest", [RunStatus::Skipped, RunStatus::Succeeded]),
        (CatchUp::All, "down-all", [RunStatus::Succeeded, RunStatus::Succeeded]),
    ] {
        let cadence = Cadence::cron(&line, base::Tz::UTC).unwrap();
        let window = Duration::from_secs(7 * 86_400);
        let declaration = Declaration { catch_up, window, ..Declaration::new(name, cadence) };
        let counter = Arc::new(Counter::default());
        let runner = replica_of(&pool, &declaration, &counter, Duration::from_secs(60));
        planner::register(&pool, &declaration).await.unwrap();
        let down = "UPDATE jobs.schedule SET planned_through = $2 WHERE job = $1";
        sqlx::query(down).bind(name).bind(earlier - TimeDelta::hours(18)).execute(&pool).await.unwrap();
        // The process comes back, two days after it went: registering again moves nothing.
        let stop = runner.stop().clone();
        let scheduling = tokio::spawn(Scheduler::start(runner).await.unwrap().run());
        let rows = wait_until("both occurrences to end", Duration::from_secs(60), async || {
            let rows = history::page(&pool, name, None, 10).await.unwrap();
            (rows.len() == 2 && rows.iter().all(|row| row.status.has_ended())).then_some(rows)
        })
        .await;
        stop.cancel();
        scheduling.await.unwrap();
        let seen: Vec<_> = rows.iter().rev().map(|row| (row.scheduled_for, row.status)).collect();
        assert_eq!(seen, [(earlier, expected[0]), (later, expected[1])], "{name}");
        let ran = expected.iter().filter(|status| **status == RunStatus::Succeeded).count();
        assert_eq!(counter.written.load(Ordering::SeqCst), ran, "{name}");
        let reasons = rows.iter().filter(|row| row.status == RunStatus::Skipped).map(|row| row.note.as_deref());
        assert!(reasons.flatten().all(|why| why.starts_with("missed while no scheduler was running")), "{rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_asked_wrongly_is_no_incident_and_what_the_clock_asks_wrongly_is_one() {
    let pool = database().await;
    let declaration = declaration("refusing");
    let runner = replica_of(&pool, &declaration, &Arc::new(Counter::default()), Duration::from_secs(60));
    // Arguments that the job does not know are refused by the run itself, should they get as far.
    let insert =
        "INSERT INTO jobs.run (job, scheduled_for, origin, arguments) VALUES ('refusing', $1, $2, '{\"fial\": 1}')";
    let incidents = "SELECT count(*) FROM jobs.incident WHERE kind = 'run_failed' AND subject = 'refusing'";
    for (day, origin, expected) in [("2026-03-01", "request", 0_i64), ("2026-03-02", "schedule", 1)] {
        let occurrence = at(&format!("{day}T02:30:00Z"));
        sqlx::query(insert).bind(occurrence).bind(origin).execute(&pool).await.unwrap();
        let row = runner.run("refusing", occurrence).await.unwrap();
        assert_eq!((row.status, row.attempt), (RunStatus::Failed, 1), "{origin}");
        assert!(row.error.unwrap().contains("fial"));
        let opened: i64 = sqlx::query_scalar(incidents).fetch_one(&pool).await.unwrap();
        assert_eq!(opened, expected, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_much_to_make_up_for_keeps_no_other_from_its_turn() {
    let pool = database().await;
    let insert = "INSERT INTO jobs.run (job, scheduled_for, origin)
                  SELECT $1, timestamptz '2026-03-01' + make_interval(days => n), 'schedule' FROM generate_series(1, $2) n";
    for (job, runs) in [("crowded", 100), ("lonely", 1)] {
        sqlx::query(insert).bind(job).bind(runs).execute(&pool).await.unwrap();
    }
    let due = history::due(&pool, &["crowded".to_owned(), "lonely".to_owned()], 16).await.unwrap();
    let jobs: Vec<&str> = due.iter().map(|run| run.job.as_str()).collect();
    assert_eq!(jobs[..2], ["crowded", "lonely"], "the first of each: {jobs:?}");
    assert!(due.windows(2).all(|pair| pair[0].job != pair[1].job || pair[0].scheduled_for < pair[1].scheduled_for));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_leaves_no_hole_in_the_plan() {
    let pool = database().await;
    let cadence = Cadence::cron("0 * * * *", base::Tz::UTC).unwrap();
    let declaration = Declaration { catch_up: CatchUp::Latest, ..Declaration::new("ahead", cadence) };
    planner::register(&pool, &declaration).await.unwrap();
    let begin = "UPDATE jobs.schedule SET planned_through = '2026-03-06T11:30:00Z' WHERE job = 'ahead'";
    sqlx::query(begin).execute(&pool).await.unwrap();
    let plan = async |now: &str| planner::plan_at(&pool, &declaration, Some(at(now))).await.unwrap();
    let seen = async || {
        let rows = history::page(&pool, "ahead", None, 100).await.unwrap();
        rows.iter().rev().map(|row| (row.scheduled_for, row.status)).collect::<Vec<_>>()
    };
    assert_eq!(plan("2026-03-06T12:00:30Z").await.queued, 1);
    let noon = (at("2026-03-06T12:00:00Z"), RunStatus::Queued);
    assert_eq!(seen().await, [noon]);
    // A day ahead for a moment: a day of occurrences is planned, most of them as missed.
    assert!(plan("2026-03-07T12:00:30Z").await.skipped > 20);
    plan("2026-03-06T12:30:00Z").await;
    assert_eq!(seen().await, [noon], "what did not come is taken back");
    assert_eq!(plan("2026-03-06T13:00:30Z").await.queued, 1);
    assert_eq!(seen().await, [noon, (at("2026-03-06T13:00:00Z"), RunStatus::Queued)]);
    // Ten minutes back, over an occurrence that has begun: it has happened.
    let begun = "UPDATE jobs.run SET started_at = clock_timestamp() WHERE job = 'ahead' AND scheduled_for = $1";
    sqlx::query(begun).bind(at("2026-03-06T13:00:00Z")).execute(&pool).await.unwrap();
    plan("2026-03-06T12:55:00Z").await;
    assert_eq!(plan("2026-03-06T13:01:00Z").await.queued, 1, "it is due again");
    assert_eq!(seen().await.len(), 2, "and there already");
}

/// As if its process had been killed right after it began.
async fn lose_process(pool: &PgPool, job: &str) {
    let claimed = "UPDATE jobs.run SET status = 'running', started_at = clock_timestamp(), attempt = 1, owner = 'gone',
                          fence = fence + 1, lease_until = clock_timestamp() - interval '1 s'
                    WHERE job = $1 AND status <> 'failed'";
    sqlx::query(claimed).bind(job).execute(pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_its_process_is_given_up_and_one_that_comes_further_is_not() {
    let pool = database().await;
    let runner = replica(&pool, &declaration("deadly"), &Arc::new(Counter::default()));
    let occurrence = at("2026-03-01T02:30:00Z");
    let row = runner.request("deadly", occurrence, &json!({})).await.unwrap();
    let takeovers = "UPDATE jobs.run SET takeovers = $1 WHERE job = 'deadly'";
    sqlx::query(takeovers).bind(2).execute(&pool).await.unwrap();
    lose_process(&pool, "deadly").await;
    let failed = runner.run("deadly", occurrence).await.unwrap();
    assert_eq!((failed.id, failed.status), (row.id, RunStatus::Failed));
    assert!(failed.error.unwrap().contains("fell silent 3 times"));

    let other = at("2026-03-02T02:30:00Z");
    runner.request("deadly", other, &json!({})).await.unwrap();
    lose_process(&pool, "deadly").await;
    assert_eq!(runner.run("deadly", other).await.unwrap().status, RunStatus::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_cancelled_while_its_process_was_gone_is_not_taken_over() {
    let pool = database().await;
    let counter = Arc::new(Counter::default());
    let runner = replica(&pool, &declaration("unwanted"), &counter);
    let occurrence = at("2026-03-01T02:30:00Z");
    let row = runner.request("unwanted", occurrence, &json!({})).await.unwrap();
    lose_process(&pool, "unwanted").await;
    history::cancel(&pool, row.id).await.unwrap();
    assert_eq!(runner.run("unwanted", occurrence).await.unwrap().status, RunStatus::Cancelled);
    assert_eq!(counter.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_a_run_over_ends_the_sessions_of_the_lost_replica_and_with_them_its_locks() {
    let pool = database().await;
    let taken_over = async |job: &str| {
        let runner = replica(&pool, &declaration(job), &Arc::new(Counter::default()));
        let occurrence = at("2026-03-01T02:30:00Z");
        runner.request(job, occurrence, &json!({})).await.unwrap();
        lose_process(&pool, job).await;
        runner.run(job, occurrence).await.unwrap();
    };
    let mut gone = pool.acquire().await.unwrap().detach();
    sqlx::query("SELECT set_config('application_name', $1, false)")
        .bind(sessions_of("gone"))
        .execute(&mut gone)
        .await
        .unwrap();
    sqlx::query("SELECT pg_advisory_lock(4711)").execute(&mut gone).await.unwrap();

    // Another run of it is alive, so the replica is.
    let alive = "INSERT INTO jobs.run (job, scheduled_for, origin, status, owner, fence, lease_until)
                 VALUES ('alive', now(), 'schedule', 'running', 'gone', 1, clock_timestamp() + interval '1 h')";
    sqlx::query(alive).execute(&pool).await.unwrap();
    taken_over("orphan").await;
    sqlx::query("SELECT 1").execute(&mut gone).await.expect("it lives");

    sqlx::query("DELETE FROM jobs.run WHERE job = 'alive'").execute(&pool).await.unwrap();
    taken_over("orphaned").await;
    eventually("its lock to be free", async || {
        sqlx::query_scalar("SELECT pg_try_advisory_lock(4711)").fetch_one(&pool).await.unwrap()
    })
    .await;
    assert!(sqlx::query("SELECT 1").execute(&mut gone).await.is_err());
}
