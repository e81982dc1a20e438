//! Reports that run away: they are ended, each with a clear answer, and take nothing with them.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use system_tests::stack::Builder;
use system_tests::{Api, Folder, Reply, Stack, eventually};
use tokio::task::JoinHandle;

use super::workers::{busy, is_alive, kill, resident, workers};
use super::{api, direct, metric};

/// Bytes that a process which computes may take.
const MEMORY: &str = "300000000";
/// How long a report waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it computes among the short ones.
const SHORT: Duration = Duration::from_secs(2);
/// How much later an answer may come on a busy machine.
const LATE: Duration = Duration::from_secs(5);

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

/// Each day with all pairs of days: some million million rows, of which none is held.
const ENDLESS: &str = "SELECT COUNT(*) AS n FROM calendar AS a CROSS JOIN (SELECT b.year AS year, c.iso_week AS week \
                       FROM calendar AS b CROSS JOIN calendar AS c) AS d \
                       WHERE a.iso_week + d.year + d.week = $salt ORDER BY n";
/// All pairs of days, numbered in an order: they have to be held, in more than 50 GB.
const GREEDY: &str = "SELECT x.n FROM (SELECT ROW_NUMBER() OVER (ORDER BY a.iso_week * b.iso_week, a.business_day, \
                      b.business_day) AS n FROM calendar a CROSS JOIN calendar b WHERE a.year > $salt) x ORDER BY n LIMIT 3";
const QUICK: &str = "SELECT DISTINCT iso_week + $salt AS n FROM calendar ORDER BY n";

async fn stack(builder: Builder) -> (Stack, Folder) {
    let own = Folder::new();
    std::fs::create_dir_all(own.path().join("reports")).unwrap();
    for (name, select) in [("endless", ENDLESS), ("greedy", GREEDY), ("quick", QUICK)] {
        std::fs::write(own.path().join(format!("reports/{name}.sql")), report(select)).unwrap();
    }
    let builder = builder.env("reporting", "REPORTING_COMPUTE_MEMORY", MEMORY);
    let builder = builder.env("reporting", "REPORTING_CATALOGUE_DIR", &own.path().to_string_lossy());
    (builder.start().await, own)
}

async fn ask(api: &Api, consumer: &str, report: String) -> Reply {
    api.call(Method::GET, &direct(&report)).header("x-consumer-username", consumer).send().await
}

/// The status of a quick report that nobody asked before, which is whole and right if it comes.
async fn quick(api: &Api, salt: u64) -> u16 {
    let reply = ask(api, "other", format!("quick?salt={salt}")).await;
    if reply.status == 200 {
        let rows = reply.json();
        assert_eq!((&rows["row_count"], &rows["rows"][0]["n"]), (&53.into(), &(salt + 1).into()), "whole and right");
    }
    reply.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_runs_away_is_ended_and_takes_nothing_with_it() {
    let (stack, _own) = stack(Stack::builder().only(&["reporting"])).await;
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
    eventually("the processor to be free", async || !is_alive(worker)).await;
    assert!(left.elapsed() < Duration::from_secs(1), "{:?}", left.elapsed());
    eventually("it to be counted", async || {
        metric(&api, "tributary_computations_ended_total{reason=\"left\"}").await >= 1.0
    })
    .await;

    // One that wants more memory than there is for it is told what to do, as JSON and as a file, and its worker is gone.
    for query in ["greedy", "greedy?format=csv", "greedy?salt=1&format=parquet"] {
        let refused = api.get(&direct(query)).await.expect(422);
        assert!(refused.problem().unwrap().ends_with("report-too-large"), "{}", refused.text());
        assert!(refused.text().contains("300 MB of memory: narrow the dates"), "{}", refused.text());
    }
    assert_eq!(metric(&api, "tributary_computations_ended_total{reason=\"memory\"}").await, 2.0, "the same once");
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
        tokio::spawn(async move { api.get(&direct("endless?salt=7&format=csv")).await })
    };
    for _ in 0..3 {
        kill(busy(service).await);
    }
    let given_up = asker.await.unwrap().expect(503);
    assert!(given_up.text().contains("came to its end"), "{}", given_up.text());

    // No orphan: with the service its workers end, in the middle of a computation too.
    let asker = {
        let api = api.clone();
        tokio::spawn(async move { api.call(Method::GET, &direct("endless?salt=8")).try_send().await.is_ok() })
    };
    let worker = busy(service).await;
    kill(service);
    eventually("the orphan to end", async || !is_alive(worker)).await;
    asker.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_that_run_away_are_answered_in_time_and_hold_up_nobody_else() {
    let (stack, _own) = stack(Stack::builder()).await;
    let (api, service) = (api(&stack), stack.state().services["reporting"].pid);
    assert_eq!(quick(&api, 1).await, 200);
    let before = resident(service, "RssAnon:");

    let asked = Instant::now();
    let runaways = (0..20).map(|salt| {
        let api = api.clone();
        tokio::spawn(async move {
            let reply = ask(&api, "one", format!("endless?salt={salt}")).await;
            (reply, asked.elapsed())
        })
    });
    let mut runaways: Vec<_> = runaways.collect();
    busy(service).await;

    // Polls run, and short reports of others are answered: none waits behind those.
    let operator = stack.api("operator");
    let run = operator.post_json("/reporting/api/v1/sources/retail/poll", &json!({}), 202).await;
    for salt in 100..120 {
        assert_eq!(quick(&api, salt).await, 200);
    }
    let path = format!("/reporting/api/v1/jobs/runs/{}", run["id"]);
    eventually("the poll to succeed", async || operator.get_json(&path).await["status"] == "succeeded").await;
    assert!(!runaways.iter().all(JoinHandle::is_finished), "while they computed");

    // One has the turn for long ones; the others are told to come again when their time to wait for it is over.
    let limit = PATIENCE + SHORT + LATE;
    let refused = async {
        while runaways.len() > 1 {
            let (ended, _, rest) = futures_util::future::select_all(runaways).await;
            let (reply, took) = ended.unwrap();
            let reply = reply.expect(503);
            assert!(reply.header("retry-after").is_some() && took < limit, "{took:?}: {}", reply.text());
            runaways = rest;
        }
        runaways
    };
    let last = tokio::time::timeout(limit, refused).await.expect("answers in time");
    last.iter().for_each(JoinHandle::abort);
    join_all(last).await;
    eventually("nobody to compute", async || {
        metric(&api, "tributary_computations_ended_total{reason=\"left\"}").await >= 1.0
    })
    .await;
    assert_eq!(quick(&api, 200).await, 200);
    let grown = resident(service, "RssAnon:").saturating_sub(before);
    assert!(grown < 30 * 1024, "the service holds {grown} KiB more");
}
