//! Upstreams that answer with given bytes and remember what they saw, and a gateway before them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The token that the test's gateway shows to a service.
pub(super) fn token(service: &str) -> String {
    format!("token-for-{service}")
}

/// A request as an upstream saw it; header names in lower case.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What an upstream does with a request.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Sends the bytes and keeps the connection.
    Send(Vec<u8>),
    /// Sends the bytes after so long: a service that has work to do.
    Late(Duration, Vec<u8>),
    /// Sends the bytes and closes.
    Cut(Vec<u8>),
    /// Sends so many bytes of a body, piece by piece.
    Large(usize),
    /// Sends the bytes and then nothing more, until the other side gives up.
    Stall(Vec<u8>),
}

impl Act {
    pub(super) fn ok(body: &str) -> Self {
        let length = body.len();
        let kind = "Content-Type: application/json\r\n";
        Self::Send(format!("HTTP/1.1 200 OK\r\n{kind}Content-Length: {length}\r\n\r\n{body}").into_bytes())
    }

    pub(super) fn status(line: &str) -> Self {
        Self::Send(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes())
    }
}

type Behaviour = Arc<dyn Fn(&Seen) -> Act + Send + Sync>;

/// An HTTP/1.1 server under the test's control. It stops when it is dropped.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    pub(super) async fn start(behaviour: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), behaviour)
    }

    pub(super) fn on(listener: TcpListener, behaviour: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let behaviour: Behaviour = Arc::new(behaviour);
        let notes = seen.clone();
        let task = tokio::spawn(async move {
            // Dropped with this task, so that the connections end with the upstream.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(converse(stream, behaviour.clone(), notes.clone()));
            }
        });
        Self { address, seen, task }
    }

    /// One that says `{}` to everything.
    pub(super) async fn plain() -> Self {
        Self::start(|_| Act::ok("{}")).await
    }

    /// What came, without the gateway's own health checks.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let all = self.seen.lock().unwrap();
        all.iter().filter(|seen| !is_check(seen)).cloned().collect()
    }

    pub(super) fn last(&self) -> Seen {
        self.seen().pop().expect("a request reached the upstream")
    }
}

fn is_check(seen: &Seen) -> bool {
    seen.target.starts_with("/health/live/")
}

async fn converse(stream: TcpStream, behaviour: Behaviour, notes: Arc<Mutex<Vec<Seen>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(seen) = read_request(&mut stream).await {
        notes.lock().unwrap().push(seen.clone());
        let act = if is_check(&seen) { Act::ok("{}") } else { behaviour(&seen) };
        match act {
            Act::Send(bytes) if seen.method == "HEAD" => {
                let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
                stream.get_mut().write_all(&bytes[..head]).await.unwrap_or_default();
            }
            Act::Send(bytes) => stream.get_mut().write_all(&bytes).await.unwrap_or_default(),
            Act::Late(work, bytes) => {
                tokio::time::timeout(work, std::future::pending::<()>()).await.unwrap_or_default();
                stream.get_mut().write_all(&bytes).await.unwrap_or_default();
            }
            Act::Large(size) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
                stream.get_mut().write_all(head.as_bytes()).await.unwrap_or_default();
                let piece = vec![b'x'; 65_536];
                for start in (0..size).step_by(piece.len()) {
                    let length = piece.len().min(size - start);
                    stream.get_mut().write_all(&piece[..length]).await.unwrap_or_default();
                }
            }
            Act::Cut(bytes) => {
                stream.get_mut().write_all(&bytes).await.unwrap_or_default();
                return;
            }
            Act::Stall(bytes) => {
                stream.get_mut().write_all(&bytes).await.unwrap_or_default();
                // Ends when the gateway closes its side.
                let _closed = stream.read_u8().await;
                return;
            }
        }
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line).await.ok().filter(|read| *read > 0)?;
        let line = String::from_utf8_lossy(&line);
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length") {
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body).await.ok()?;
    } else if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size).await.ok().filter(|read| *read > 0)?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).await.ok()?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    Some(Seen { method, target, headers, body })
}

/// A gateway in this process, with `kong.yml` as it stands except for what a test changes.
pub(super) struct Gate {
    pub(super) address: SocketAddr,
    admin: SocketAddr,
    client: Client,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), gateway::Error>>,
    _file: tempfile::NamedTempFile,
}

impl Gate {
    /// Every domain at one upstream.
    pub(super) async fn before(upstream: &Upstream) -> Self {
        Self::changed(upstream.address, str::to_owned).await
    }

    /// The same, with the rendered file changed by the test.
    pub(super) async fn changed(upstream: SocketAddr, change: impl FnOnce(&str) -> String) -> Self {
        let text = change(&rendered(upstream));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let private = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, admin) = (listener.local_addr().unwrap(), private.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let path = file.path().to_owned();
        let task = tokio::spawn(async move {
            gateway::serve(&path, listener, Some(private), Duration::from_secs(30), async {
                let _sent_or_dropped = stopped.await;
            })
            .await
        });
        let client = Client::builder().no_proxy().build().unwrap();
        Self { address, admin, client, stop: Some(stop), task, _file: file }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request without a key.
    pub(super) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A request by a consumer.
    pub(super) fn by(&self, consumer: &str, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).header("apikey", key(consumer))
    }

    pub(super) async fn get(&self, consumer: &str, path: &str) -> reqwest::Response {
        self.by(consumer, Method::GET, path).send().await.unwrap()
    }

    /// A page of the admin listener.
    pub(super) async fn admin(&self, path: &str) -> String {
        let response = self.client.get(format!("http://{}{path}", self.admin)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    /// Asks it to stop, and returns what to wait for.
    pub(super) fn stop(mut self) -> JoinHandle<Result<(), gateway::Error>> {
        drop(self.stop.take());
        self.task
    }
}

pub(super) fn key(consumer: &str) -> String {
    format!("key-of-{consumer}")
}

/// `kong.yml` with every target at one address.
pub(super) fn rendered(upstream: SocketAddr) -> String {
    let value = |name: &str| match name.strip_prefix("TRIBUTARY_KEY_") {
        Some(consumer) => key(&consumer.to_lowercase().replace('_', "-")),
        None => match name.strip_prefix("TRIBUTARY_GATEWAY_TOKEN_") {
            Some(service) => token(&service.to_lowercase()),
            None => upstream.to_string(),
        },
    };
    let values = stack::render::placeholders(gateway::TEMPLATE).into_iter().map(|name| (name.clone(), value(&name)));
    stack::render::render(gateway::TEMPLATE, &values.collect()).unwrap()
}
