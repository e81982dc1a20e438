//! The spool when it cannot be written, is full, or is small: an error that says so, never half a file.

use std::fs;

use system_tests::eventually;

use super::workers::workers;
use super::{api, direct, listed, reporting};

#[tokio::test]
async fn a_spool_that_is_gone_or_no_folder_gives_503_and_recovers() {
    let stack = reporting(&[]).await;
    let api = api(&stack);
    let spool = stack.folder().join("spool");
    api.get(&direct("many?format=csv")).await.expect(200);
    // Permissions would not stop a test that runs as root; a file in the folder's place stops everybody.
    fs::remove_dir_all(&spool).unwrap();
    for broken in ["gone", "a file"] {
        if broken == "a file" {
            fs::write(&spool, "").unwrap();
        }
        for query in ["many?format=csv", "many?format=parquet", "many?blocks=21"] {
            let reply = api.get(&direct(query)).await.expect(503);
            assert!(reply.header("retry-after").is_some());
            assert!(reply.text().contains("the spool folder is full or cannot be written"), "{}", reply.text());
        }
        // What needs no file is answered as ever.
        api.get(&direct("many?blocks=2")).await.expect(200);
    }
    fs::remove_file(&spool).unwrap();
    fs::create_dir(&spool).unwrap();
    api.get(&direct("many?format=csv")).await.expect(200);
    assert!(stack.log("reporting").contains("the spool folder cannot be written"), "an operator finds it in the log");
}

#[tokio::test]
async fn a_disk_that_fills_up_in_the_middle_of_a_file_leaves_nothing() {
    let stack = reporting(&[]).await;
    let api = api(&stack);
    let spool = stack.folder().join("spool");
    let service = stack.state().services["reporting"].pid;
    // No file of the service, or of a process that computes for it, may grow beyond this: writes fail in the middle, as
    // on a full disk.
    let limit = |bytes| {
        for process in std::iter::once(service).chain(workers(service)) {
            let pid = rustix::process::Pid::from_raw(i32::try_from(process).unwrap());
            let limit = rustix::process::Rlimit { current: bytes, maximum: None };
            rustix::process::prlimit(pid, rustix::process::Resource::Fsize, limit).unwrap();
        }
    };
    limit(Some(300_000));
    for query in ["many?blocks=30&format=csv", "many?blocks=30&format=ndjson", "many?blocks=30"] {
        let reply = api.get(&direct(query)).await.expect(503);
        assert!(reply.text().contains("the spool folder is full"), "{}", reply.text());
        assert_eq!(listed(&spool), Vec::<String>::new(), "{query}");
    }
    // What still fits is built.
    api.get(&direct("many?blocks=1&format=csv")).await.expect(200);
    limit(None);
    api.get(&direct("many?blocks=30&format=csv")).await.expect(200);
}

#[tokio::test]
async fn a_small_spool_lets_the_least_recently_used_go_first() {
    let stack = reporting(&[("REPORTING_SPOOL_BYTES", "1000000")]).await;
    let api = api(&stack);
    let spool = stack.folder().join("spool");
    let size = || listed(&spool).iter().map(|name| spool.join(name).metadata().map_or(0, |it| it.len())).sum::<u64>();
    let path = |word: u32| direct(&format!("many?blocks=4&format=csv&word={word}"));
    for word in 0..12 {
        api.get(&path(word)).await.expect(200);
        assert!(size() <= 1_000_000, "{} bytes", size());
    }
    assert!(listed(&spool).len() >= 2);
    // One that has gone is built again.
    api.get(&path(0)).await.expect(200);
    // One that alone is larger than the spool is still sent whole.
    let large = api.get(&direct("many?blocks=40&format=csv")).await.expect(200);
    assert_eq!(large.body.iter().filter(|byte| **byte == b'\n').count(), 40_001);
    eventually("the spool to be within its bound", async || size() <= 1_000_000).await;
}
