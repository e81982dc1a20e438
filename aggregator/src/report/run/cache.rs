//! Computed results, shared: one computation for all who ask the same of the same snapshot.
//!
//! Nothing here has to be invalidated: the key holds the statement, its parameters and the snapshot.
//! What ages (freshness) is not in it, and is written anew into every answer.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use moka::future::Cache;
use polars::prelude::DataFrame;
use tokio::sync::OnceCell;

use super::engine::Bound;
use super::error::ReportError;
use crate::report::language::compile::Report;

/// Kibibytes of frames that are kept.
const CAPACITY: u64 = 256 * 1024;

/// The rows of a report, as shared by every answer that needs them.
#[derive(Debug)]
pub struct Computed {
    pub frame: DataFrame,
    pub computed_at: DateTime<Utc>,
    /// The rows as JSON, once somebody has encoded them: the encoders are not this crate's.
    pub encoded: OnceCell<Bytes>,
}

impl Computed {
    /// Rows that were computed, or read, now.
    #[must_use]
    pub fn new(frame: DataFrame) -> Self {
        Self { frame, computed_at: Utc::now(), encoded: OnceCell::new() }
    }
}

/// What tells results apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Of the statement with its views, parameters unbound.
    pub(crate) digest: String,
    /// The bound statement: the parameters, resolved.
    pub(crate) statement: Arc<str>,
    pub(crate) snapshot: i64,
}

impl Key {
    pub(crate) fn new(report: &Report, bound: &Bound, snapshot: i64) -> Self {
        Self { digest: report.digest.clone(), statement: Arc::clone(&bound.statement.text), snapshot }
    }
}

/// The results that are kept, and the computations under way.
#[derive(Debug, Clone)]
pub(crate) struct Results {
    kept: Cache<Key, Arc<Computed>>,
}

impl Results {
    pub(crate) fn new() -> Self {
        let kept = Cache::builder()
            .max_capacity(CAPACITY)
            // Encoded rows take about as much again as the frame.
            .weigher(|_, computed: &Arc<Computed>| {
                u32::try_from(computed.frame.estimated_size() / 512 + 1).unwrap_or(u32::MAX)
            })
            .build();
        Self { kept }
    }

    pub(crate) async fn get(&self, key: &Key) -> Option<Arc<Computed>> {
        self.kept.get(key).await
    }

    /// The result of that key: kept, under way, or computed now.
    ///
    /// The computation runs on its own task, so that a caller who leaves stops nobody who waits for
    /// the same.
    pub(crate) async fn get_or(
        &self,
        key: Key,
        compute: impl Future<Output = Result<DataFrame, ReportError>> + Send + 'static,
    ) -> Result<Arc<Computed>, ReportError> {
        let kept = self.kept.clone();
        let load = async move { compute.await.map(|frame| Arc::new(Computed::new(frame))) };
        let task = tokio::spawn(async move { kept.try_get_with(key, load).await });
        let outcome = task.await.map_err(|_| ReportError::Stopped)?;
        outcome.map_err(|error: Arc<ReportError>| error.as_ref().clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use polars::prelude::DataFrame;
    use tokio::sync::Notify;

    use super::{Key, Results};
    use crate::report::ReportError;

    fn key() -> Key {
        Key { digest: "d".into(), statement: "s".into(), snapshot: 1 }
    }

    #[tokio::test]
    async fn the_same_is_computed_once_even_when_the_first_caller_leaves() {
        let results = Results::new();
        let (runs, started, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let compute = || {
            let (runs, started, go) = (Arc::clone(&runs), Arc::clone(&started), Arc::clone(&go));
            async move {
                runs.fetch_add(1, Ordering::SeqCst);
                started.notify_one();
                go.notified().await;
                Ok(DataFrame::empty())
            }
        };
        let first = {
            let (results, compute) = (results.clone(), compute());
            tokio::spawn(async move { results.get_or(key(), compute).await })
        };
        started.notified().await;
        first.abort();
        let second = {
            let (results, compute) = (results.clone(), compute());
            tokio::spawn(async move { results.get_or(key(), compute).await })
        };
        go.notify_one();
        second.await.unwrap().unwrap();
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert!(results.get(&key()).await.is_some());
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let results = Results::new();
        let failed = results.get_or(key(), async { Err(ReportError::Busy) }).await;
        assert!(matches!(failed, Err(ReportError::Busy)));
        assert!(results.get_or(key(), async { Ok(DataFrame::empty()) }).await.is_ok());
    }
}
