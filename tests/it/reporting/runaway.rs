//! Reports that run away: they are ended, each with a clear answer, and take nothing with them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};

use system_tests::{Api, Folder, Stack, eventually, wait_until};

use super::{api, direct, metric};

/// Bytes that a process which computes may take.
const MEMORY: &str = "300000000";
/// How long a worker may take to begin, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn report(select: &str) -> String {
    format!(
        r#"/*---
title = "T"
description = "D"
section = "Own"
grain = "snapshot"
key = ["n"]
[params]
salt = {{ type = "int", default = 0 }}
[columns]
n = {{ type = "int64", title = "N" }}
---*/
{select}
"#
    )
}

/// Days three times each with each other: some hundred thousand million pairs.
const ENDLESS: &str = "SELECT COUNT(*) AS n FROM calendar a CROSS JOIN calendar b CROSS JOIN calendar c \
                       WHERE a.year + b.iso_week + c.iso_week = $salt ORDER BY n";
/// All pairs of days, numbered in an order: they have to be held.
const GREEDY: &str = "SELECT x.n FROM (SELECT ROW_NUMBER() OVER (ORDER BY a.iso_week * b.iso_week, a.business_day, \
                      b.business_day) AS n FROM calendar a CROSS JOIN calendar b WHERE a.year > $salt) x ORDER BY n LIMIT 3";
const QUICK: &str = "SELECT DISTINCT iso_week + $salt AS n FROM calendar ORDER BY n";

async fn stack() -> (Stack, Folder) {
    let own = Folder::new();
    std::fs::create_dir_all(own.path().join("reports")).unwrap();
    for (name, select) in [("endless", ENDLESS), ("greedy", GREEDY), ("quick", QUICK)] {
        std::fs::write(own.path().join(format!("reports/{name}.sql")), report(select)).unwrap();
    }
    let builder = Stack::builder().only(&["reporting"]).env("reporting", "REPORTING_COMPUTE_MEMORY", MEMORY);
    let builder = builder.env("reporting", "REPORTING_CATALOGUE_DIR", &own.path().to_string_lossy());
    (builder.start().await, own)
}

/// The parent of a process and the ticks of processor time that it has taken.
fn process(pid: u32) -> Option<(u32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let is_dead = fields[0] == "Z";
    (!is_dead)
        .then(|| Some((fields[1].parse().ok()?, fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?)))?
}

/// The processes that compute for a service.
pub(super) fn workers(service: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|it| it.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|pid| process(*pid).is_some_and(|(parent, _)| parent == service)).collect()
}

/// The worker that computes: one that takes a second of processor time.
async fn busy(service: u32) -> u32 {
    let mut seen = BTreeMap::new();
    let mut is_busy = |pid: &u32| {
        let now = process(*pid).map_or(0, |(_, ticks)| ticks);
        now > *seen.entry(*pid).or_insert(now) + 100
    };
    wait_until("a worker at work", PATIENCE, async || workers(service).into_iter().find(&mut is_busy)).await
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).ok();
}

async fn quick(api: &Api, salt: u64) -> u16 {
    let reply = api.get(&direct(&format!("quick?salt={salt}"))).await;
    if reply.status == 200 {
        let rows = reply.json();
        assert_eq!((&rows["row_count"], &rows["rows"][0]["n"]), (&53.into(), &(salt + 1).into()), "whole and right");
    }
    reply.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_runs_away_is_ended_and_takes_nothing_with_it() {
    let (stack, _own) = stack().await;
    let (api, service) = (api(&stack), stack.state().services["reporting"].pid);

    // Others are answered meanwhile, and with its asker it ends.
    let asker = {
        let api = api.clone();
        tokio::spawn(async move { api.get(&direct("endless")).await.status })
    };
    let worker = busy(service).await;
    assert_eq!(quick(&api, 1).await, 200);
    asker.abort();
    let left = Instant::now();
    eventually("the processor to be free", async || process(worker).is_none()).await;
    assert!(left.elapsed() < Duration::from_secs(2), "{:?}", left.elapsed());
    eventually("it to be counted", async || {
        metric(&api, "tributary_computations_ended_total{reason=\"left\"}").await >= 1.0
    })
    .await;

    // One that wants more memory than there is for it is told what to do, and its worker is gone.
    let refused = api.get(&direct("greedy")).await;
    let problem = refused.json();
    assert_eq!(
        (refused.status, problem["type"].as_str().unwrap().ends_with("report-too-large")),
        (422, true),
        "{problem}"
    );
    assert!(problem["detail"].as_str().unwrap().contains("300 MB of memory: narrow the dates"), "{problem}");
    assert_eq!(quick(&api, 2).await, 200);

    // Whoever kills workers makes answers late or none, and never wrong ones.
    let mut answered = 0;
    for salt in 10..40 {
        let asked = {
            let api = api.clone();
            tokio::spawn(async move { quick(&api, salt).await })
        };
        workers(service).into_iter().for_each(kill);
        let status = asked.await.unwrap();
        assert!(matches!(status, 200 | 503), "{status}");
        answered += u32::from(status == 200);
    }
    assert!(answered > 0);

    // A statement that no worker survives is given up.
    let asker = {
        let api = api.clone();
        tokio::spawn(async move { api.get(&direct("endless?salt=7")).await })
    };
    for _ in 0..3 {
        kill(busy(service).await);
    }
    let given_up = asker.await.unwrap();
    assert_eq!(given_up.status, 503, "{}", given_up.text());
    assert!(given_up.text().contains("came to its end"), "{}", given_up.text());

    // No orphan: with the service its workers end, in the middle of a computation too.
    let asker = {
        let api = api.clone();
        tokio::spawn(async move { api.call(Method::GET, &direct("endless?salt=8")).try_send().await.is_ok() })
    };
    let worker = busy(service).await;
    kill(service);
    eventually("the orphan to end", async || process(worker).is_none()).await;
    asker.abort();
}
