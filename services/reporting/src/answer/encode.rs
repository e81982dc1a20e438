//! A document as a file: its bytes in a format and, where one is wanted, in a content coding; and its name.

use std::{
    io::{self, Write},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ::exports::{Column, Format, Provenance, Written, json};
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

use super::{SpoolError, error::FileFault, rows::Note, spool};

/// The level beyond which brotli takes many times longer for a little less.
pub const BROTLI: Level = Level::Precise(4);

/// What a file of the spool holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// A document in a format and, where one is wanted, in a coding.
    Document { format: Format, coding: Option<Coding> },
    /// The rows of a JSON document, around which each answer puts an envelope of its own.
    JsonRows,
}

impl Content {
    /// The name of its file in the spool; equal for equal bytes.
    #[must_use]
    pub fn key(self, identity: &str) -> String {
        let (what, coding) = match self {
            Self::Document { format, coding } => (format.name(), coding),
            Self::JsonRows => ("json rows", None),
        };
        base::sha256_hex(format!("{what} {} {identity}", coding.map_or("plain", Coding::name)))
    }

    /// Counts what another process wrote, by its own account.
    pub fn count(self, outcome: Value) {
        let written = serde_json::from_value::<Option<(Written, Duration)>>(outcome).ok().flatten();
        if let (Self::Document { format, .. }, Some((written, took))) = (self, written) {
            ::exports::metric::written(format, took, written);
        }
    }

    /// Encodes a document; a whole one is counted.
    ///
    /// # Errors
    /// What the encoder or the writer meets.
    pub fn write(self, document: &Document, mut out: &mut (dyn Write + Send)) -> ::exports::Result<Option<Written>> {
        let Document { provenance, columns, .. } = document;
        let (format, coding) = match self {
            Self::Document { format, coding } => (format, coding),
            Self::JsonRows => return json::encode_rows(columns, document.frame().clone(), &mut out).map(|_| None),
        };
        let rows = [Ok(document.frame().clone())];
        let Some(coding) = coding else { return ::exports::write(format, provenance, columns, rows, out).map(Some) };
        let mut coded = coding.writer(out);
        let written = ::exports::write(format, provenance, columns, rows, &mut coded)?;
        coded.finish().map_err(::exports::Error::Write)?;
        Ok(Some(written))
    }
}

/// A file of rows that are not there yet: for the process that computes them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// Where it is written; the service gives it its name, or removes what is left of it.
    pub draft: PathBuf,
    pub content: Content,
    /// What is reported about the rows; their number and their age are known once they are computed.
    pub provenance: Provenance,
    pub columns: Vec<Column>,
}

/// Writes computed rows to a file, in the process that computed them; what it tells is for [`Content::count`].
///
/// # Errors
/// A [`FileFault`].
pub fn write_file(order: &Value, rows: DataFrame) -> Result<Value, Value> {
    let written = serde_json::from_value(order.clone())
        .map_err(|error| FileFault::Fault(error.to_string()))
        .and_then(|order: Order| order.fill(rows));
    written.map_err(FileFault::into_value)
}

impl Order {
    fn fill(self, rows: DataFrame) -> Result<Value, FileFault> {
        let Self { draft, content, mut provenance, columns } = self;
        let began = Instant::now();
        let computed = Arc::new(Computed::new(rows));
        provenance.row_count = Some(computed.frame.height() as u64);
        provenance.generated_at = computed.computed_at;
        let document = Document { provenance, columns, computed };
        let (_, note) = Note::of(&document).map_err(SpoolError::from)?;
        let written = spool::fill(&draft, &note, |out| content.write(&document, out))?;
        let outcome = written.map(|written| (written, began.elapsed()));
        serde_json::to_value(outcome).map_err(|error| FileFault::Fault(error.to_string()))
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
    use ::exports::{CsvProfile, Kind};
    use chrono::Utc;
    use polars::prelude::df;
    use serde_json::json;

    use super::*;
    use crate::answer::Spool;

    fn order(content: Content, draft: &std::path::Path) -> Value {
        let provenance: Provenance = serde_json::from_value(json!({
            "report": "r", "title": "R", "parameters": {}, "snapshot": 7, "currency": "EUR",
            "generated_at": Utc::now(), "sources": [],
        }))
        .unwrap();
        let columns = vec![Column { name: "n".into(), kind: Kind::Int64, title: "N".into() }];
        serde_json::to_value(Order { draft: draft.to_owned(), content, provenance, columns }).unwrap()
    }

    #[test]
    fn what_another_process_writes_is_what_the_service_would() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1_000_000).unwrap();
        let rows = df!("n" => (0..500_i64).collect::<Vec<_>>()).unwrap();
        let csv = |coding| Content::Document { format: Format::Csv(CsvProfile::Raw), coding };
        let mut keys = Vec::new();
        for content in [csv(None), csv(Some(Coding::Zstd)), Content::JsonRows] {
            let (key, draft) = (content.key("the same"), spool.draft("k"));
            let order = order(content, &draft.0);
            let outcome = write_file(&order, rows.clone()).unwrap();
            let counted: Option<(Written, Duration)> = serde_json::from_value(outcome).unwrap();
            let is_document = content != Content::JsonRows;
            assert_eq!(counted.map(|(written, _)| written.rows), is_document.then_some(500));
            let (file, note) = spool.keep(&key, &draft).unwrap();
            let Note { provenance, columns } = serde_json::from_slice(&note).unwrap();
            assert_eq!(provenance.row_count, Some(500));
            let document = Document { provenance, columns, computed: Arc::new(Computed::new(rows.clone())) };
            let mut expected = Vec::new();
            content.write(&document, &mut expected).unwrap();
            let kept = std::fs::read(folder.path().join(&key)).unwrap();
            assert!(file.length == expected.len() as u64 && kept.starts_with(&expected), "{content:?}");
            keys.push(key);
        }
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 3, "each is a file of its own");
        let nowhere = order(csv(None), &folder.path().join("gone/draft"));
        let fault: FileFault = serde_json::from_value(write_file(&nowhere, rows).unwrap_err()).unwrap();
        assert!(matches!(fault, FileFault::Folder(_)), "{fault:?}");
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
