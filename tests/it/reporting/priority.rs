//! Computing yields to whoever waits for an answer.

use std::path::Path;

use system_tests::eventually;

use super::workers::workers;
use super::{api, direct, shared};

/// Name and nice value of a thread: fields 2 and 19 of proc(5)'s `stat`; none if it has just ended.
fn thread(folder: &Path) -> Option<(String, i32)> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    Some((name, after.split_whitespace().nth(16)?.parse().ok()?))
}

#[tokio::test]
async fn the_threads_of_polars_run_below_those_that_answer() {
    let pid = shared().await.state().services["reporting"].pid;
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let threads: Vec<(String, i32)> = threads.filter_map(|it| thread(&it.unwrap().path())).collect();
    // Of the in-memory engine and of the streaming one.
    for pool in ["polars-", "async-executor"] {
        let of_pool: Vec<_> = threads.iter().filter(|(name, _)| name.starts_with(pool)).collect();
        assert!(!of_pool.is_empty() && of_pool.iter().all(|(_, nice)| *nice == 10), "{threads:?}");
    }
    assert!(threads.contains(&("reporting".to_owned(), 0)), "{threads:?}");
    assert!(threads.contains(&("tokio-rt-worker".to_owned(), 0)), "{threads:?}");
}

#[tokio::test]
async fn what_computes_goes_first_when_memory_runs_out_and_knows_no_secret() {
    let stack = shared().await;
    let service = stack.state().services["reporting"].pid;
    api(stack).get(&direct("many?blocks=1&word=priority")).await.expect(200);
    // One that is just starting has not taken its place yet.
    eventually("workers in their place", async || {
        let workers = workers(service);
        !workers.is_empty() && workers.iter().all(|pid| is_in_its_place(Path::new(&format!("/proc/{pid}"))))
    })
    .await;
}

fn is_in_its_place(process: &Path) -> bool {
    let text = |file: &str| std::fs::read_to_string(process.join(file)).unwrap_or_default();
    let threads = std::fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    let mut threads = threads.filter_map(|it| thread(&it.path()));
    let is_core_free =
        text("limits").lines().any(|it| it.split_whitespace().take(6).eq(["Max", "core", "file", "size", "0", "0"]));
    threads.all(|(_, nice)| nice >= 10)
        && text("oom_score_adj").trim() == "1000"
        && is_core_free
        && text("environ").is_empty()
}
