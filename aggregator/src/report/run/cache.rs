//! Computed results, shared: one computation for all who ask the same of the same snapshot, ended when none of them
//! waits any more.
//!
//! Nothing here has to be invalidated: the key holds the statement, its parameters and the snapshot.
//! What ages (freshness) is not in it, and is written anew into every answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use moka::future::Cache;
use polars::prelude::DataFrame;
use tokio::sync::OnceCell;

use super::error::ReportError;
use super::shared::Shared;
use super::statements::Bound;
use crate::report::language::compile::Report;

/// Kibibytes of frames that are kept.
const CAPACITY: u64 = 256 * 1024;
/// How long a question that cost a worker is answered as it was, and not tried again.
const REFUSED: Duration = Duration::from_secs(60);

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

/// The key of a result.
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
        Self { digest: report.digest.clone(), statement: Arc::clone(&bound.statement), snapshot }
    }
}

type Outcome = Result<Arc<Computed>, ReportError>;

/// The results that are kept, and the computations under way.
#[derive(Debug, Clone)]
pub(crate) struct Results {
    kept: Cache<Key, Arc<Computed>>,
    refused: Cache<Key, ReportError>,
    under_way: Shared<Key, Arc<Computed>>,
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
        let refused = Cache::builder().max_capacity(1_000).time_to_live(REFUSED).build();
        Self { kept, refused, under_way: Shared::default() }
    }

    pub(crate) async fn get(&self, key: &Key) -> Option<Arc<Computed>> {
        self.kept.get(key).await
    }

    /// The result of that key: kept, under way, or computed now.
    pub(crate) async fn get_or(
        &self,
        key: Key,
        compute: impl Future<Output = Result<DataFrame, ReportError>> + Send + 'static,
    ) -> Outcome {
        let (results, of) = (self.clone(), key.clone());
        let load = async move {
            // Another may have ended between this caller's look and its turn.
            match results.known(&of).await {
                Some(known) => known,
                None => results.settle(of, compute.await).await,
            }
        };
        self.under_way.share(key, load).await
    }

    /// What the computation of that key came to, as far as it is kept.
    pub(crate) async fn known(&self, key: &Key) -> Option<Outcome> {
        match self.kept.get(key).await {
            Some(kept) => Some(Ok(kept)),
            None => self.refused.get(key).await.map(Err),
        }
    }

    /// Keeps the result of that key, or that it cost a worker.
    pub(crate) async fn settle(&self, key: Key, computed: Result<DataFrame, ReportError>) -> Outcome {
        match computed {
            Ok(frame) => {
                let computed = Arc::new(Computed::new(frame));
                self.kept.insert(key, Arc::clone(&computed)).await;
                Ok(computed)
            }
            Err(error) => {
                if matches!(error, ReportError::OutOfMemory { .. } | ReportError::Crashed { .. }) {
                    self.refused.insert(key, error.clone()).await;
                }
                Err(error)
            }
        }
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

    async fn two_wait(results: &Results) {
        while results.under_way.waiting(&key()) < 2 {
            tokio::task::yield_now().await;
        }
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
        let second = {
            let (results, compute) = (results.clone(), compute());
            tokio::spawn(async move { results.get_or(key(), compute).await })
        };
        two_wait(&results).await;
        first.abort();
        go.notify_one();
        second.await.unwrap().unwrap();
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert!(results.get(&key()).await.is_some());
    }

    #[tokio::test]
    async fn with_the_last_who_waits_a_computation_is_dropped() {
        let results = Results::new();
        let (started, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let ends = Notifies(Arc::clone(&ended));
        let begun = Arc::clone(&started);
        let compute = async move {
            let _ends = ends;
            begun.notify_one();
            std::future::pending().await
        };
        let first = {
            let results = results.clone();
            tokio::spawn(async move { results.get_or(key(), compute).await })
        };
        started.notified().await;
        let second = {
            let results = results.clone();
            tokio::spawn(async move { results.get_or(key(), async { Err(ReportError::Stopped) }).await })
        };
        two_wait(&results).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert!(!second.is_finished());
        second.abort();
        ended.notified().await;
        assert!(results.get_or(key(), async { Ok(DataFrame::empty()) }).await.is_ok(), "who asks then begins anew");
    }

    struct Notifies(Arc<Notify>);

    impl Drop for Notifies {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }

    #[tokio::test]
    async fn what_cost_a_worker_is_not_tried_again_at_once() {
        let results = Results::new();
        let crashed = || ReportError::Crashed { report: "r".into() };
        assert!(results.get_or(key(), async move { Err(crashed()) }).await.is_err());
        let again = results.get_or(key(), async { panic!("tried again") }).await;
        assert!(matches!(again, Err(ReportError::Crashed { .. })), "{again:?}");
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let results = Results::new();
        let failed = results.get_or(key(), async { Err(ReportError::Busy) }).await;
        assert!(matches!(failed, Err(ReportError::Busy)));
        assert!(results.get_or(key(), async { Ok(DataFrame::empty()) }).await.is_ok());
    }
}
