//! A client that costs as little as possible, so that what is measured is the other side; and one that can be as
//! rude as a test wants: slow, silent, gone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// A kept-alive connection.
#[derive(Debug)]
pub struct Raw(BufReader<TcpStream>);

/// The beginning of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// `Content-Length`.
    pub length: usize,
}

/// A GET with these header lines, each ended by `\r\n`.
pub fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n").into_bytes()
}

impl Raw {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Connects with room for no more than about `bytes` that were sent and not read.
    pub async fn connect_with_room(address: SocketAddr, bytes: u32) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(bytes)?;
        Ok(Self(BufReader::with_capacity(1_024, socket.connect(address).await?)))
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, request: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(request).await
    }

    /// Reads the status line and the headers.
    pub async fn head(&mut self) -> std::io::Result<Head> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        let status = line.get(9..12).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("no status line: {line:?}")))?;
        let mut length = 0;
        while !line.trim().is_empty() {
            line.clear();
            self.0.read_line(&mut line).await?;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
        }
        Ok(Head { status, length })
    }

    /// Reads so many bytes of the body into `body`.
    pub async fn read(&mut self, body: &mut Vec<u8>, bytes: usize) -> std::io::Result<()> {
        body.resize(bytes, 0);
        self.0.read_exact(body).await.map(drop)
    }

    /// Sends a request and reads the whole answer into `body`, which is used again and again; how long it took.
    pub async fn call(&mut self, request: &[u8], body: &mut Vec<u8>) -> std::io::Result<(Head, Duration)> {
        let began = Instant::now();
        self.send(request).await?;
        let head = self.head().await?;
        self.read(body, head.length).await?;
        Ok((head, began.elapsed()))
    }
}
