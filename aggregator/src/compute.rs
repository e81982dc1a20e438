//! Work that holds a core runs here: off the async threads, and never more at once than there are cores.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::error::Error;

/// The bound on concurrent computations.
#[derive(Debug, Clone)]
pub(crate) struct Compute {
    permits: Arc<Semaphore>,
}

impl Compute {
    /// One permit per core.
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self { permits: Arc::new(Semaphore::new(cores)) }
    }

    /// Run `work` on a blocking thread. A caller that leaves does not stop work that has begun.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Error> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        tokio::task::spawn_blocking(move || {
            let _held = permit;
            work()
        })
        .await?
    }
}
