//! Computing on threads of their own, which have a deep stack and a low priority.

use polars::prelude::{Engine, IntoLazy as _, PolarsResult, col, df};
use tokio::sync::oneshot;

/// Bytes of address space, of which only what is used costs memory.
const STACK: usize = 256 << 20;

/// Runs work on a thread with a deep stack: the engine recurses over a plan, and views make plans
/// deeper than the two megabytes of an ordinary thread allow in a build without optimisation.
///
/// The thread yields to those that answer. The answer comes through the receiver; it is closed without one if the work
/// panics.
pub(crate) fn deep<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (answer, receiver) = oneshot::channel();
    // A thread that cannot be had drops the sender, which the receiver sees as a stop.
    drop(thread().spawn(move || {
        base::yield_to_others();
        // The caller may have left; then nobody takes the answer.
        drop(answer.send(work()));
    }));
    receiver
}

/// A thread with a deep stack.
pub(crate) fn thread() -> std::thread::Builder {
    std::thread::Builder::new().name("report".to_owned()).stack_size(STACK)
}

/// Starts the threads of both of polars' engines; they inherit the priority of the caller.
pub(crate) fn warm_up() -> PolarsResult<()> {
    for engine in [Engine::InMemory, Engine::Streaming] {
        let rows = df!("n" => [1_i64, 2, 2])?;
        rows.lazy().group_by([col("n")]).agg([col("n").sum().alias("sum")]).collect_with_engine(engine)?;
    }
    Ok(())
}

/// Starts the threads of both of polars' engines, at low priority: call it before anything is computed.
///
/// They live as long as the process and inherit the priority of whoever needs them first.
pub(crate) async fn start_polars() {
    if !matches!(deep(warm_up).await, Ok(Ok(()))) {
        tracing::warn!("polars did not start; its threads will have the priority of whoever computes first");
    }
}
