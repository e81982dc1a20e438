//! The listener of a server that closes without turning away anybody who has already come in.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// How long the last connections are given to send their request: a connection that has said nothing yet is dropped
/// when the server is shut.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Takes connections until `closing` is cancelled, then those that the kernel has already made, and then cancels
/// `shut`. Closing the socket at once would reset connections whose peers may have sent their request.
pub(super) struct Entrance {
    open: Option<TcpListener>,
    address: SocketAddr,
    last: VecDeque<(std::net::TcpStream, SocketAddr)>,
    closing: CancellationToken,
    shut: CancellationToken,
}

impl Entrance {
    pub(super) fn new(listener: TcpListener, closing: CancellationToken, shut: CancellationToken) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { open: Some(listener), address, last: VecDeque::new(), closing, shut })
    }

    /// The next connection while the socket is open; none once it is to be closed.
    async fn next(&mut self) -> Option<(TcpStream, SocketAddr)> {
        let listener = self.open.as_mut()?;
        tokio::select! {
            biased;
            () = self.closing.cancelled() => None,
            accepted = Listener::accept(listener) => Some(accepted),
        }
    }

    /// Closes the socket and keeps the connections that it holds.
    fn close(&mut self) {
        // The kernel is asked directly: the runtime hears of a new connection only when it next looks.
        let Some(Ok(socket)) = self.open.take().map(TcpListener::into_std) else { return };
        self.last.extend(std::iter::from_fn(|| socket.accept().ok()));
    }
}

impl Listener for Entrance {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        if let Some((stream, peer)) = self.next().await {
            return (at_once(stream), peer);
        }
        self.close();
        while let Some((stream, peer)) = self.last.pop_front() {
            if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                return (at_once(stream), peer);
            }
        }
        tokio::time::sleep(LAST_WORDS).await;
        self.shut.cancel();
        pending().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Answers are sent when they are written, not when they fill a packet.
fn at_once(stream: TcpStream) -> TcpStream {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    stream
}
