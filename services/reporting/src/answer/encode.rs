//! A document as a file: its bytes in a format and, where one is wanted, in a content coding; and its name.

use std::{
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll},
};

use ::exports::{Format, Provenance};
use ::jobs::document::Document;
use async_compression::{
    Level,
    tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder},
};
use futures_util::FutureExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// The level beyond which brotli takes many times longer for a little less.
pub const BROTLI: Level = Level::Precise(4);

/// Encode a document in a format and, where one is wanted, in a coding.
///
/// # Errors
/// What the encoder or the writer meets.
pub fn write(
    format: Format,
    coding: Option<Coding>,
    document: &Document,
    out: &mut (dyn Write + Send),
) -> ::exports::Result<()> {
    let Document { provenance, columns, .. } = document;
    let rows = [Ok(document.frame().clone())];
    let Some(coding) = coding else { return ::exports::write(format, provenance, columns, rows, out).map(drop) };
    let mut coded = coding.writer(out);
    ::exports::write(format, provenance, columns, rows, &mut coded)?;
    coded.finish().map_err(::exports::Error::Write)
}

/// Report, days and revision: what a person wants to read in a folder of downloads.
#[must_use]
pub fn file_name(provenance: &Provenance, format: Format) -> String {
    let parameter = |name: &str| provenance.parameters.get(name).and_then(serde_json::Value::as_str);
    let mut name = provenance.report.clone();
    for part in ["from", "to"].into_iter().filter_map(parameter) {
        if !name.ends_with(part) {
            name.push('-');
            name.push_str(part);
        }
    }
    match provenance.revision {
        Some(revision) => name.push_str(&format!("-r{revision}")),
        None => name.push_str(&format!("-s{}", provenance.snapshot)),
    }
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    format!("{safe}.{}", format.extension())
}

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
    /// Every coding, the preferred first.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// The token of `Content-Encoding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
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
