//! Computing yields: on a machine that also sells, a till that waits for an answer comes before a report.
//!
//! Polars has threads of its own, which live as long as the process and inherit the priority of whoever needs them
//! first. So that is made to be a thread of low priority. Where nothing else wants the processor, nothing changes.

use polars::prelude::{Engine, IntoLazy as _, PolarsResult, col, df};

use crate::report::deep;

/// Added to the nice value of threads that compute.
const NICE: i32 = 10;

/// Lowers the priority of the calling thread.
pub(crate) fn yield_to_others() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "a thread computes at the priority of all others");
    }
}

/// Starts the threads of both of polars' engines, at low priority: call it before anything is computed.
pub(crate) async fn start_polars() {
    let started = deep(|| {
        for engine in [Engine::InMemory, Engine::Streaming] {
            let rows = df!("n" => [1_i64, 2, 2])?;
            rows.lazy().group_by([col("n")]).agg([col("n").sum().alias("sum")]).collect_with_engine(engine)?;
        }
        PolarsResult::Ok(())
    });
    if !matches!(started.await, Ok(Ok(()))) {
        tracing::warn!("polars did not start; its threads will have the priority of whoever computes first");
    }
}
