//! The listener of a server that closes without a reset of connections that are already made.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// How long a connection that is being made when the server closes may take for it: more than a round trip.
const HANDSHAKE: Duration = Duration::from_millis(200);

/// How long the last connections are given to send their request: a connection that has sent nothing yet is dropped
/// when the server ends.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// Takes connections until `closing` is cancelled, then those that the kernel is making or has made, and then cancels
/// `shut`. The kernel resets what it holds for a socket that is closed, and peers may have sent their request: so it
/// takes no new handshake before the socket is closed.
pub(super) struct DrainingListener {
    open: Option<TcpListener>,
    address: SocketAddr,
    last: VecDeque<(std::net::TcpStream, SocketAddr)>,
    closing: CancellationToken,
    shut: CancellationToken,
}

impl DrainingListener {
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
    async fn close(&mut self) {
        let Some(listener) = &self.open else { return };
        if let Err(error) = drop_handshakes(listener) {
            tracing::warn!(%error, "connections that are made just when the socket is closed will be reset");
        }
        tokio::time::sleep(HANDSHAKE).await;
        // The kernel is asked directly: the runtime hears of a new connection only when it next looks.
        let Some(Ok(socket)) = self.open.take().map(TcpListener::into_std) else { return };
        self.last.extend(std::iter::from_fn(|| socket.accept().ok()));
    }
}

impl Listener for DrainingListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        if let Some((stream, peer)) = self.next().await {
            return (at_once(stream), peer);
        }
        self.close().await;
        while let Some((stream, peer)) = self.last.pop_front() {
            if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                return (at_once(stream), peer);
            }
        }
        tokio::time::sleep(FIRST_REQUEST).await;
        self.shut.cancel();
        pending().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Makes the kernel drop requests for a new connection. The peer repeats its request after a second, and is then
/// refused, or accepted by the server's successor.
#[cfg(target_os = "linux")]
fn drop_handshakes(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};
    /// Berkeley packet filter over a TCP segment: one whose flags are SYN without ACK is dropped.
    const NO_SYN: [SockFilter; 5] = [
        // A = the byte of flags.
        SockFilter::new(0x30, 0, 0, 13),
        // A &= SYN | ACK.
        SockFilter::new(0x54, 0, 0, 0x12),
        // If A = SYN, go on, else skip one.
        SockFilter::new(0x15, 0, 1, 0x02),
        // Keep none of it.
        SockFilter::new(0x06, 0, 0, 0),
        // Keep all of it.
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&NO_SYN)
}

/// Other systems have no such filter.
#[cfg(not(target_os = "linux"))]
fn drop_handshakes(_: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Bytes of an answer that the kernel takes ahead of its client. It would take megabytes, and those of a slow client leave
/// in jerks a minute apart, between which the client seems to take nothing.
#[cfg(target_os = "linux")]
const AHEAD: u32 = 256 * 1024;

/// Answers are sent when they are written, not when they fill a packet, and written as their client takes them.
fn at_once(stream: TcpStream) -> TcpStream {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(AHEAD) {
        tracing::debug!(%error, "TCP_NOTSENT_LOWAT was refused");
    }
    stream
}

#[cfg(test)]
mod tests;
