//! Work that holds a core runs here: off the async threads, and never more at once than there are cores.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// Added to the nice value of threads that compute.
const NICE: i32 = 10;

/// Lowers the priority of the calling thread: on a machine that also sells, a till that waits for an answer comes before
/// a report. Where nothing else wants the processor, nothing changes.
pub fn yield_to_others() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "a thread computes at the priority of all others");
    }
}

/// The bound on concurrent computations.
#[derive(Debug, Clone)]
pub struct Compute {
    permits: Arc<Semaphore>,
}

impl Compute {
    /// One permit per core.
    #[must_use]
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self { permits: Arc::new(Semaphore::new(cores)) }
    }

    /// Run `work` on a blocking thread. A caller that leaves does not stop work that has begun.
    ///
    /// # Errors
    /// The error of `work`, or a panic within it.
    pub async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JoinError> + Send + 'static,
        F: FnOnce() -> Result<T, E> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        tokio::task::spawn_blocking(move || {
            let _held = permit;
            work()
        })
        .await?
    }
}

impl Default for Compute {
    fn default() -> Self {
        Self::new()
    }
}
