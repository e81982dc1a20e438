//! Waiting on a condition, with a deadline: the only way a test lets time pass.

use std::time::{Duration, Instant};

/// How long [`eventually`] waits: far beyond what a busy machine needs, so that it only ends a broken test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer is `Some`, and returns it.
///
/// # Panics
/// When the deadline passes; the message names what was waited for.
pub async fn wait_until<T>(what: &str, deadline: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "waited {} s in vain for {what}", deadline.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// [`wait_until`] with the usual patience and a plain condition.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    wait_until(what, PATIENCE, async || condition().await.then_some(())).await;
}
