//! Stands between programs and a server that they hold connections to, such as PostgreSQL, and breaks the connections.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of the bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// They pass.
    None,
    /// They are acknowledged and thrown away: the connection has been forgotten, and nobody says so.
    Mute,
    /// They are not read any more.
    Frozen,
    /// Each piece comes so much later.
    Delayed(Duration),
    /// The first half of the next piece passes, then the connection closes.
    Halved,
    /// The connection closes at once.
    Cut,
}

/// Which bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    There,
    /// From the server to the client.
    Back,
    /// Either.
    Both,
}

/// The faults of one connection: there, and back.
type Faults = [Fault; 2];

/// A running network.
#[derive(Debug)]
pub struct Network {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<watch::Sender<Faults>>>>,
    server: JoinHandle<()>,
}

impl Network {
    /// Listens on a free port and carries connections to `upstream` (`host:port`).
    pub async fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (list, upstream) = (Arc::clone(&connections), upstream.to_owned());
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (faults, seen) = watch::channel([Fault::None; 2]);
                list.lock().unwrap_or_else(PoisonError::into_inner).push(faults);
                let upstream = upstream.clone();
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(upstream).await else { return };
                    carry(client, server, seen).await;
                });
            }
        });
        Self { address, connections, server }
    }

    /// Where programs connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks the connections that there are; those to come work. Returns how many were alive.
    pub fn strike(&self, fault: Fault, way: Way) -> usize {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|it| !it.is_closed());
        for connection in &*connections {
            connection.send_modify(|[there, back]| {
                if way != Way::Back {
                    *there = fault;
                }
                if way != Way::There {
                    *back = fault;
                }
            });
        }
        connections.len()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, faults: watch::Receiver<Faults>) {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    // Either side may go away at any time; then both do.
    tokio::select! {
        _ = pump(from_client, to_server, 0, faults.clone()) => {}
        _ = pump(from_server, to_client, 1, faults) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: usize,
    mut faults: watch::Receiver<Faults>,
) -> std::io::Result<()> {
    let mut chunk = vec![0; 16 * 1024];
    // The list of connections, which holds the other end, may go before they do.
    let changed = async |faults: &mut watch::Receiver<Faults>| match faults.changed().await {
        Ok(()) => {}
        Err(_) => std::future::pending().await,
    };
    loop {
        let fault = faults.borrow_and_update()[way];
        match fault {
            Fault::Cut => return Ok(()),
            Fault::Frozen => {
                changed(&mut faults).await;
                continue;
            }
            Fault::None | Fault::Mute | Fault::Delayed(_) | Fault::Halved => {}
        }
        let read = tokio::select! {
            read = from.read(&mut chunk) => read?,
            () = changed(&mut faults) => continue,
        };
        if read == 0 {
            return Ok(());
        }
        match fault {
            Fault::Mute => {}
            Fault::Halved => return to.write_all(&chunk[..read / 2]).await,
            Fault::Delayed(by) => {
                tokio::time::sleep(by).await;
                to.write_all(&chunk[..read]).await?;
            }
            Fault::None | Fault::Frozen | Fault::Cut => to.write_all(&chunk[..read]).await?,
        }
    }
}
