//! Connections to upstreams, kept alive between requests.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};

use crate::body::UpstreamBody;

/// nginx's defaults in Kong: how many idle connections are kept for a target, and how long.
const MAX_IDLE: usize = 512;
const IDLE_FOR: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<String, Vec<Idle>>>,
}

struct Idle {
    sender: SendRequest<UpstreamBody>,
    since: Instant,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the name does not resolve")]
    Resolve(#[source] io::Error),
    #[error("no connection")]
    Connect(#[source] io::Error),
    #[error("no connection in time")]
    Timeout,
    #[error("no HTTP connection")]
    Handshake(#[source] hyper::Error),
}

impl Pool {
    /// An idle connection, the one used last first: it is the least likely to have been closed.
    pub(crate) fn take(&self, authority: &str) -> Option<SendRequest<UpstreamBody>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let list = idle.get_mut(authority)?;
        while let Some(found) = list.pop() {
            if found.sender.is_ready() && found.since.elapsed() < IDLE_FOR {
                return Some(found.sender);
            }
        }
        None
    }

    /// A new connection.
    pub(crate) async fn connect(
        &self,
        authority: &str,
        limit: Duration,
    ) -> Result<SendRequest<UpstreamBody>, ConnectError> {
        let opening = async {
            let addresses: Vec<_> = lookup_host(authority).await.map_err(ConnectError::Resolve)?.collect();
            let stream = TcpStream::connect(addresses.as_slice()).await.map_err(ConnectError::Connect)?;
            // Requests are written whole; waiting to fill a segment would only delay them.
            stream.set_nodelay(true).map_err(ConnectError::Connect)?;
            Ok(stream)
        };
        let stream = tokio::time::timeout(limit, opening).await.map_err(|_| ConnectError::Timeout)??;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(ConnectError::Handshake)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        Ok(sender)
    }

    /// Takes a connection back once its response has been read to the end; a broken one is dropped.
    pub(crate) fn give_back(self: &Arc<Self>, authority: &str, mut sender: SendRequest<UpstreamBody>) {
        let pool = self.clone();
        let authority = authority.to_owned();
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
                let list = idle.entry(authority).or_default();
                list.retain(|found| !found.sender.is_closed());
                if list.len() < MAX_IDLE {
                    list.push(Idle { sender, since: Instant::now() });
                }
            }
        });
    }
}
