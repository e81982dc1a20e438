//! Stands between the aggregator and the gateway, and breaks answers on purpose: at any byte, slowly, or for another.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// It passes.
    None,
    /// The connection closes without one.
    Dropped,
    /// Another status takes its place.
    Status(u16),
    /// It ends after so many bytes.
    CutAt(usize),
    /// Its place is taken by a page that is none.
    Nonsense,
    /// So many bytes come one by one, a millisecond apart.
    Drip(usize),
}

/// A running saboteur. It takes one request per connection.
#[derive(Debug)]
pub struct Saboteur {
    address: SocketAddr,
    next: Arc<Mutex<VecDeque<Sabotage>>>,
    server: JoinHandle<()>,
}

impl Saboteur {
    /// Listens on a free port and passes requests on to `upstream` (`host:port`).
    pub async fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let next = Arc::new(Mutex::new(VecDeque::new()));
        let (queue, upstream) = (Arc::clone(&next), upstream.to_owned());
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (queue, upstream) = (Arc::clone(&queue), upstream.clone());
                tokio::spawn(async move {
                    // Either side may go away at any time; that is what it is for.
                    serve(client, &upstream, &queue).await.ok();
                });
            }
        });
        Self { address, next, server }
    }

    /// What stands in for the gateway's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Break the answers to come, one after the other.
    pub fn break_next(&self, answers: impl IntoIterator<Item = Sabotage>) {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).extend(answers);
    }

    /// Let every answer pass from now on.
    pub fn rest(&self) {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Saboteur {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut client: TcpStream, upstream: &str, queue: &Mutex<VecDeque<Sabotage>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    // The feed is asked with GET: what ends the head ends the request.
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let sabotage = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or(Sabotage::None);
    match sabotage {
        Sabotage::Dropped => return Ok(()),
        Sabotage::Status(status) => return answer(&mut client, status, "{\"detail\":\"broken on purpose\"}").await,
        Sabotage::Nonsense => return answer(&mut client, 200, "<html>all is well</html>").await,
        Sabotage::None | Sabotage::CutAt(_) | Sabotage::Drip(_) => {}
    }
    let mut server = TcpStream::connect(upstream).await?;
    let rest = head.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    server.write_all(&head[..rest]).await?;
    // One request per connection, so that the end of the answer is the end of the stream.
    server.write_all(b"connection: close\r\n").await?;
    server.write_all(&head[rest..]).await?;
    let mut passed = 0;
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let read = server.read(&mut chunk).await?;
        let mut bytes = &chunk[..read];
        if bytes.is_empty() {
            return client.shutdown().await;
        }
        match sabotage {
            Sabotage::CutAt(end) if passed + read > end => {
                client.write_all(&bytes[..end - passed]).await?;
                return Ok(());
            }
            Sabotage::Drip(slow) => {
                while passed < slow && !bytes.is_empty() {
                    client.write_all(&bytes[..1]).await?;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    bytes = &bytes[1..];
                    passed += 1;
                }
                client.write_all(bytes).await?;
                passed += bytes.len();
            }
            _ => {
                client.write_all(bytes).await?;
                passed += read;
            }
        }
    }
}

async fn answer(client: &mut TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let text = format!("HTTP/1.1 {status} .\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await
}
