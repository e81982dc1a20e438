//! Computing yields: on a machine that also sells, a till that waits for an answer comes before a report.
//!
//! Polars has threads of its own, which live as long as the process and inherit the priority of whoever needs them
//! first. So that is made to be a thread of low priority. Where nothing else wants the processor, nothing changes.

use std::sync::Once;
use std::thread;

use polars::prelude::{Engine, IntoLazy as _, col, df};

/// Added to the nice value of threads that compute.
const NICE: i32 = 10;
/// Bytes of stack: without optimisation a plan takes more than an ordinary thread has.
const STACK: usize = 32 << 20;

/// Lowers the priority of the calling thread.
pub(crate) fn yield_to_others() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "a thread computes at the priority of all others");
    }
}

/// Starts the threads of both of polars' engines, at low priority; once per process, before anything is computed.
pub(crate) fn start_polars() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let starting = thread::Builder::new().name("polars".to_owned()).stack_size(STACK).spawn(|| {
            yield_to_others();
            for engine in [Engine::InMemory, Engine::Streaming] {
                let rows = df!("n" => [1_i64, 2, 2]);
                let rows = rows.map(|rows| rows.lazy().group_by([col("n")]).agg([col("n").sum().alias("sum")]));
                if let Err(error) = rows.and_then(|rows| rows.collect_with_engine(engine)) {
                    tracing::warn!(%error, "polars does not start: {error}");
                }
            }
        });
        // Without a thread for it, polars starts at the priority of its first caller.
        drop(starting.map(thread::JoinHandle::join));
    });
}
