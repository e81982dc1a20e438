//! Work that several wait for: done once for all of them, and ended when none of them waits any more.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::error::ReportError;

type Outcome<T> = Result<T, ReportError>;

/// The work under way, by what tells it apart.
#[derive(Debug)]
pub struct Shared<K, T>(Arc<Mutex<HashMap<K, Weak<UnderWay<T>>>>>);

/// Held by those who wait for it.
#[derive(Debug)]
struct UnderWay<T> {
    outcome: watch::Receiver<Option<Outcome<T>>>,
    task: JoinHandle<()>,
}

impl<T> Drop for UnderWay<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<K, T> Default for Shared<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, T> Clone for Shared<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash, T: Clone + Send + Sync + 'static> Shared<K, T> {
    /// What the work of that key comes to: that which is under way, else this.
    ///
    /// It runs on its own task, so that a caller who leaves stops nobody who waits for the same; with the last of them it
    /// is dropped.
    ///
    /// # Errors
    /// As the work, and [`ReportError::Stopped`] when it panics.
    pub async fn share(&self, key: K, work: impl Future<Output = Outcome<T>> + Send + 'static) -> Outcome<T> {
        let under_way = self.join(key, work);
        let mut outcome = under_way.outcome.clone();
        let outcome = outcome.wait_for(Option::is_some).await.map_err(|_| ReportError::Stopped)?;
        outcome.clone().unwrap_or(Err(ReportError::Stopped))
    }

    fn join(&self, key: K, work: impl Future<Output = Outcome<T>> + Send + 'static) -> Arc<UnderWay<T>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = all.get(&key).and_then(Weak::upgrade) {
            return under_way;
        }
        all.retain(|_, under_way| under_way.strong_count() > 0);
        let (sender, outcome) = watch::channel(None);
        let task = tokio::spawn(async move { sender.send_replace(Some(work.await)).map_or((), drop) });
        let under_way = Arc::new(UnderWay { outcome, task });
        all.insert(key, Arc::downgrade(&under_way));
        under_way
    }

    /// How many wait for the work of a key.
    #[cfg(test)]
    pub(crate) fn waiting(&self, key: &K) -> usize {
        self.0.lock().unwrap().get(key).map_or(0, Weak::strong_count)
    }
}
