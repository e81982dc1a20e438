//! The head of each request as it was sent. hyper mends some of what Kong refuses (it drops a `Content-Length` beside
//! `chunked`, and a fragment), so heads are looked at on their way to it.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use hyper::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::reply::Exit;

/// nginx's four buffers of 8 kB: a line fits into one, a head into all.
const LINE: usize = 8 * 1024;
const ALL: usize = 4 * LINE;

/// What was seen of one head.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// The request's target as it was sent.
    pub(crate) target: String,
    first_line: usize,
    longest_line: usize,
    bytes: usize,
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
}

impl Head {
    /// What nginx refuses before any plugin sees it.
    pub(crate) fn check(&self, method: &Method) -> Result<(), Exit> {
        let bad = || Err(Exit::new(StatusCode::BAD_REQUEST, "Bad request"));
        let known = method.as_str().bytes().all(|b| b.is_ascii_uppercase() || matches!(b, b'_' | b'-'));
        if !known || method == Method::CONNECT || self.target == "*" {
            return bad();
        }
        if self.first_line > LINE {
            return Err(Exit::new(StatusCode::URI_TOO_LONG, "URI too long"));
        }
        let path = self.target.split('?').next().unwrap_or_default();
        if !crate::path::is_sound(path) {
            return bad();
        }
        if self.longest_line > LINE || self.bytes > ALL {
            return Err(Exit::new(StatusCode::BAD_REQUEST, "Request header or cookie too large"));
        }
        if self.hosts > 1 || (self.chunked && self.length.is_some()) {
            return bad();
        }
        if method == Method::TRACE {
            return Err(Exit::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"));
        }
        Ok(())
    }

    fn add(&mut self, line: &[u8]) {
        self.bytes += line.len();
        if self.first_line == 0 {
            self.first_line = line.len();
            let target = line.split(|b| *b == b' ').nth(1).unwrap_or_default();
            self.target = String::from_utf8_lossy(target).into_owned();
            return;
        }
        self.longest_line = self.longest_line.max(line.len());
        let text = String::from_utf8_lossy(line);
        let Some((name, value)) = text.split_once(':') else { return };
        match name.to_ascii_lowercase().as_str() {
            "host" => self.hosts += 1,
            // What is no number is refused by hyper.
            "content-length" => self.length = Some(value.trim().parse().unwrap_or_default()),
            "transfer-encoding" => self.chunked = true,
            _ => {}
        }
    }
}

/// Heads that were read and not yet asked for, in their order.
#[derive(Clone, Default)]
pub(crate) struct Heads(Arc<Mutex<VecDeque<Head>>>);

impl Heads {
    /// The head of the request that hyper has just read.
    pub(crate) fn next(&self) -> Head {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or_default()
    }
}

/// What the next bytes of a connection are.
enum Expected {
    Head,
    /// So many bytes of a body, and whether it is one chunk of it.
    Body {
        left: u64,
        chunk: bool,
    },
    Size,
    Trailers,
    /// Unknown: hyper refuses what is being sent, or the body was the connection's last.
    Nothing,
}

/// A client's connection whose heads are noted as they pass.
pub(crate) struct Noted<S> {
    stream: S,
    heads: Heads,
    expected: Expected,
    head: Head,
    line: Vec<u8>,
}

impl<S> Noted<S> {
    pub(crate) fn new(stream: S, heads: Heads) -> Self {
        Self { stream, heads, expected: Expected::Head, head: Head::default(), line: Vec::new() }
    }

    fn note(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.expected {
                Expected::Nothing => return,
                Expected::Body { left, chunk } => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= taken as u64;
                    bytes = bytes.get(taken..).unwrap_or_default();
                    if *left == 0 {
                        self.expected = if *chunk { Expected::Size } else { Expected::Head };
                    }
                }
                Expected::Head | Expected::Size | Expected::Trailers => {
                    let end = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| at + 1);
                    let (piece, rest) = bytes.split_at(end);
                    self.line.extend_from_slice(piece);
                    bytes = rest;
                    if self.line.ends_with(b"\n") {
                        let line = std::mem::take(&mut self.line);
                        self.expected = self.after(&line);
                    } else if self.line.len() > 2 * ALL {
                        self.expected = Expected::Nothing;
                    }
                }
            }
        }
    }

    /// Takes one line, and tells what follows it.
    fn after(&mut self, line: &[u8]) -> Expected {
        let empty = line.trim_ascii().is_empty();
        match self.expected {
            Expected::Head if !empty => self.head.add(line),
            // An empty line before a request is skipped.
            Expected::Head if self.head.first_line > 0 => {
                let head = std::mem::take(&mut self.head);
                let next = match head.length {
                    _ if head.chunked => Expected::Size,
                    Some(left) if left > 0 => Expected::Body { left, chunk: false },
                    _ => Expected::Head,
                };
                self.heads.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(head);
                return next;
            }
            Expected::Size => {
                let text = String::from_utf8_lossy(line);
                let size = u64::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16);
                return match size {
                    Ok(0) => Expected::Trailers,
                    // With the line's end that follows it.
                    Ok(size) => Expected::Body { left: size.saturating_add(2), chunk: true },
                    Err(_) => Expected::Nothing,
                };
            }
            Expected::Trailers => return if empty { Expected::Head } else { Expected::Trailers },
            Expected::Head | Expected::Body { .. } | Expected::Nothing => {}
        }
        Expected::Head
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        this.note(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_found_between_bodies_however_they_arrive() {
        let sent = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 16\r\n\r\nGET /not HTTP/1\n\
                    \nPOST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nGET /\r\n0\r\nT: 1\r\n\r\nGET /d HTTP/1.1\n\n";
        for piece in [1, 2, 7, sent.len()] {
            let heads = Heads::default();
            let mut noted = Noted::new((), heads.clone());
            sent.as_bytes().chunks(piece).for_each(|bytes| noted.note(bytes));
            let targets: Vec<String> = std::iter::repeat_with(|| heads.next().target).take(5).collect();
            assert_eq!(targets, ["/a", "/b", "/c", "/d", ""], "in pieces of {piece}");
        }
    }
}
