//! A source written with nothing but the feed's protocol: a small HTTP server over rows in memory.
//!
//! It stands for a team's own service, keeps the promises that the protocol asks for (order by change
//! and key, a horizon that transactions hold back, epochs, tombstones), and can break each of its
//! answers on purpose.

mod http;
mod model;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use http::Fault;
pub use model::{Columns, Model};

/// A running source.
#[derive(Debug)]
pub struct FeedSource {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    model: Mutex<Model>,
    faults: Mutex<VecDeque<Fault>>,
    requests: Mutex<Vec<String>>,
    /// Counts the requests that have come.
    asked: watch::Sender<u64>,
}

impl FeedSource {
    /// Serve a model on a free port, under `/fourth/api/v1`.
    pub async fn start(model: Model) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let shared = Arc::new(Shared {
            model: Mutex::new(model),
            faults: Mutex::new(VecDeque::new()),
            requests: Mutex::new(Vec::new()),
            asked: watch::Sender::new(0),
        });
        let server = tokio::spawn(http::serve(listener, Arc::clone(&shared)));
        Self { url, shared, server }
    }

    /// What stands in for the gateway's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The rows, to change them.
    pub fn model(&self) -> MutexGuard<'_, Model> {
        lock(&self.shared.model)
    }

    /// Break the answers to come, one after the other.
    pub fn break_next(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.shared.faults).extend(faults);
    }

    /// Answer well again.
    pub fn mend(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Paths and queries asked for since the last call.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared.requests))
    }
}

impl Drop for FeedSource {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
