//! Computing yields to whoever waits for an answer.

use std::path::Path;

use super::shared;

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
