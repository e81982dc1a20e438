//! Content codings of downloads: which one a client takes, and writing in it.

use std::{
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll},
};

use async_compression::{
    Level,
    tokio::{
        bufread,
        write::{BrotliEncoder, GzipEncoder, ZstdEncoder},
    },
};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_util::io::{ReaderStream, StreamReader};

/// The level beyond which brotli takes many times longer for a little less.
const BROTLI: Level = Level::Precise(4);

/// A content coding; on equal wishes of the client the earlier is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Zstandard: the cheapest to make.
    Zstd,
    /// Brotli.
    Brotli,
    /// Gzip.
    Gzip,
}

impl Coding {
    const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// The token of `Content-Encoding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The coding that a request prefers to none at all (RFC 9110, 12.5.3).
    #[must_use]
    pub fn preferred(request: &HeaderMap) -> Option<Self> {
        let values = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let wishes: Vec<(&str, f32)> = values.flat_map(|value| value.split(',')).map(wish).collect();
        let quality = |name: &str| wishes.iter().find(|(token, _)| token.eq_ignore_ascii_case(name)).map(|(_, q)| *q);
        let of = |coding: Self| quality(coding.name()).or_else(|| quality("*")).unwrap_or(0.0);
        // `max_by` takes the last of equals.
        let best = Self::ALL.into_iter().rev().max_by(|one, other| of(*one).total_cmp(&of(*other)))?;
        (of(best) > 0.0 && of(best) >= quality("identity").unwrap_or(0.0)).then_some(best)
    }

    /// A writer that passes on what it is given in this coding. [`Coded::finish`] ends it.
    pub fn writer<'a>(self, out: &'a mut (dyn Write + Send)) -> Coded<'a> {
        let out = Direct(out);
        Coded(match self {
            Self::Zstd => Box::pin(ZstdEncoder::new(out)),
            Self::Brotli => Box::pin(BrotliEncoder::with_quality(out, BROTLI)),
            Self::Gzip => Box::pin(GzipEncoder::new(out)),
        })
    }
}

/// A stream in a coding, encoded as it is read.
pub fn coded(
    coding: Coding,
    plain: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let plain = StreamReader::new(Box::pin(plain));
    let coded: Pin<Box<dyn AsyncRead + Send>> = match coding {
        Coding::Zstd => Box::pin(bufread::ZstdEncoder::new(plain)),
        Coding::Brotli => Box::pin(bufread::BrotliEncoder::with_quality(plain, BROTLI)),
        Coding::Gzip => Box::pin(bufread::GzipEncoder::new(plain)),
    };
    ReaderStream::with_capacity(coded, 16 * 1024)
}

/// A token with its q value; one that makes no sense is not wanted.
fn wish(text: &str) -> (&str, f32) {
    let (token, parameter) = text.split_once(';').map_or((text, None), |(token, rest)| (token, Some(rest)));
    let quality = match parameter.and_then(|it| it.trim().strip_prefix("q=")) {
        Some(q) => q.trim().parse().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0),
        None => 1.0,
    };
    (token.trim(), quality)
}

/// A blocking writer in a coding.
pub struct Coded<'a>(Pin<Box<dyn AsyncWrite + Send + 'a>>);

impl Coded<'_> {
    /// Write what is still held back, and the end.
    ///
    /// # Errors
    /// The writer below refuses.
    pub fn finish(mut self) -> io::Result<()> {
        at_once(self.0.shutdown())
    }
}

impl Write for Coded<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        at_once(self.0.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        // Flushing a coding costs bytes; its end is what matters here.
        Ok(())
    }
}

/// What the encoders write to never makes them wait.
fn at_once<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    work.now_or_never().unwrap_or_else(|| Err(io::Error::other("an encoder waits for nothing")))
}

/// A blocking writer under an encoder that was made for others.
struct Direct<'a>(&'a mut (dyn Write + Send));

impl AsyncWrite for Direct<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write(buffer))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred(value: &'static str) -> Option<Coding> {
        Coding::preferred(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]))
    }

    #[test]
    fn the_clients_wish_decides() {
        for (value, coding) in [
            ("gzip", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", Some(Coding::Brotli)),
            ("*", Some(Coding::Zstd)),
            ("gzip;q=0.5, identity;q=0.9", None),
            ("identity", None),
            ("gzip;q=0", None),
            ("GZIP", Some(Coding::Gzip)),
            ("gzip;q=high", None),
            ("deflate", None),
            ("", None),
        ] {
            assert_eq!(preferred(value), coding, "{value}");
        }
        assert_eq!(Coding::preferred(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_written_comes_out_smaller_and_with_its_mark() {
        for (coding, mark) in
            [(Coding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd][..]), (Coding::Gzip, &[0x1f, 0x8b]), (Coding::Brotli, &[])]
        {
            let mut out = Vec::new();
            let mut coded = coding.writer(&mut out);
            coded.write_all(&b"store,net_revenue\r\n".repeat(5_000)).unwrap();
            coded.finish().unwrap();
            assert!(out.starts_with(mark) && !out.is_empty() && out.len() < 2_000, "{coding:?}: {}", out.len());
        }
    }
}
