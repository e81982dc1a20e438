//! A webhook's receiver: keeps what it takes, and refuses when told to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A message that was taken.
#[derive(Debug, Clone)]
pub struct Message {
    headers: HeaderMap,
    /// Its body, byte for byte.
    pub body: Vec<u8>,
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    taken: Mutex<Vec<Message>>,
    to_refuse: AtomicUsize,
    refused: AtomicUsize,
}

impl Message {
    /// A header's value.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a message of JSON")
    }
}

impl Receiver {
    /// Serve on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("a bound address"));
        let shared = Arc::new(Shared::default());
        let app = Router::new().route("/hook", axum::routing::post(take)).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.expect("the receiver serves") });
        Self { url, shared, server }
    }

    /// Where messages go.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answer the next so many messages with 503.
    pub fn refuse_next(&self, messages: usize) {
        self.shared.to_refuse.store(messages, Ordering::SeqCst);
    }

    /// How many were refused.
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// What was taken, in order.
    pub fn taken(&self) -> Vec<Message> {
        self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let refuse = shared.to_refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if refuse.is_ok() {
        shared.refused.fetch_add(1, Ordering::SeqCst);
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    shared.taken.lock().unwrap_or_else(PoisonError::into_inner).push(Message { headers, body: body.to_vec() });
    StatusCode::NO_CONTENT
}
