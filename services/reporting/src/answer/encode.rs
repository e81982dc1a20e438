//! A document as a file: its bytes in a format and, where one is wanted, in a content coding; and its name.

use std::{
    io::{self, Write},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ::exports::{Column, Format, Provenance};
use ::jobs::document::Document;
use aggregator::report::Computed;
use async_compression::{
    Level,
    tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder},
};
use futures_util::FutureExt as _;
use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::{Spool, SpoolError, error::FileFault, rows::Note};

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

/// A file of rows that are not there yet: for the process that computes them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// The folder of the spool.
    pub spool: Spool,
    /// The file's name in it, and that of its draft, which the service removes if the process comes to its end.
    pub key: String,
    pub draft: PathBuf,
    /// The format's name.
    pub format: String,
    /// What is reported about the rows; their number and their age are known once they are computed.
    pub provenance: Provenance,
    pub columns: Vec<Column>,
}

/// Writes computed rows into the spool, in the process that computed them.
///
/// # Errors
/// A [`FileFault`].
pub fn write_file(order: &Value, rows: DataFrame) -> Result<Value, Value> {
    let written = serde_json::from_value(order.clone())
        .map_err(|error| FileFault::Fault(error.to_string()))
        .and_then(|order: Order| order.fill(rows));
    written.map_err(|fault| serde_json::to_value(fault).unwrap_or_default())
}

impl Order {
    fn fill(self, rows: DataFrame) -> Result<Value, FileFault> {
        let Self { spool, key, draft, format, mut provenance, columns } = self;
        let format = Format::from_name(&format).ok_or_else(|| FileFault::Fault(format!("no format `{format}`")))?;
        let computed = Arc::new(Computed::new(rows));
        provenance.row_count = Some(computed.frame.height() as u64);
        provenance.generated_at = computed.computed_at;
        let document = Document { provenance, columns, computed };
        let (_, note) = Note::of(&document).map_err(SpoolError::from)?;
        spool.build_at(&draft, &key, &note, |out| write(format, None, &document, out))?;
        Ok(Value::Null)
    }
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
