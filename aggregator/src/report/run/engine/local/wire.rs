//! What service and worker say to each other: frames of a length and so many bytes. A head is JSON; a frame of rows is a
//! whole Arrow IPC file.

use std::fs::Metadata;
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use polars::prelude::{DataFrame, IpcReader, IpcWriter, PolarsResult, SerReader as _, SerWriter as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::failure::Failure;
use super::super::{Order, Work};

/// Rows of a frame that is sent.
const ROWS: usize = 64 * 1024;

/// What a worker is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) work: Arc<Work>,
    /// The file that is made of the rows, if they are not to be given back.
    pub(super) file: Option<Order>,
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// It takes jobs, and is of this build.
    Ready { build: String },
    /// A frame of rows follows.
    Rows,
    /// That was all: so many rows.
    Done { rows: usize },
    /// So many rows are in the file, and this is to say of it; even if it is null.
    Filed { rows: usize, outcome: Value },
    /// There is no result.
    Failed(Failure),
    /// The work panicked; the worker is not asked again.
    Panicked(String),
}

/// What tells one build of a program from another: nothing of it is read, for it is large.
pub(super) fn build(program: &Path) -> io::Result<String> {
    let about: Metadata = std::fs::metadata(program)?;
    let (version, length, node) = (env!("CARGO_PKG_VERSION"), about.len(), about.ino());
    let changed = (about.mtime(), about.mtime_nsec());
    Ok(base::sha256_hex(format!("{version} {length} {node} {changed:?}")))
}

/// Writes a head.
pub(super) fn head(head: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, head)?;
    sealed(frame)
}

/// Puts a frame's length before its bytes.
fn sealed(mut frame: Vec<u8>) -> io::Result<Vec<u8>> {
    let length = u32::try_from(frame.len() - 4).map_err(|_| io::Error::other("a frame beyond what can be sent"))?;
    for (byte, of_length) in frame.iter_mut().zip(length.to_be_bytes()) {
        *byte = of_length;
    }
    Ok(frame)
}

/// Reads a frame; blocks.
pub(super) fn read(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// What a head says.
pub(super) fn parsed<T: DeserializeOwned>(head: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(head)?)
}

/// Sends rows, at least one frame of them: its columns are sent also where there are no rows.
pub(super) fn send_rows(rows: &DataFrame, to: &mut impl Write) -> io::Result<()> {
    for first in (0..rows.height().max(1)).step_by(ROWS) {
        to.write_all(&head(&Reply::Rows)?)?;
        let mut frame = vec![0; 4];
        let mut part = rows.slice(i64::try_from(first).unwrap_or(i64::MAX), ROWS);
        IpcWriter::new(&mut frame).finish(&mut part).map_err(io::Error::other)?;
        to.write_all(&sealed(frame)?)?;
    }
    Ok(())
}

/// The rows of a frame.
pub(super) fn rows(frame: Vec<u8>) -> PolarsResult<DataFrame> {
    IpcReader::new(Cursor::new(frame)).finish()
}

#[cfg(test)]
mod tests {
    use polars::prelude::{DataFrame, IntoLazy as _, col, df, lit};

    use super::{Reply, head, parsed, read, rows, send_rows};

    /// What another reads of rows that are sent.
    fn received(sent: &DataFrame) -> DataFrame {
        let mut bytes = Vec::new();
        send_rows(sent, &mut bytes).unwrap();
        let (mut from, mut all) = (bytes.as_slice(), None::<DataFrame>);
        while !from.is_empty() {
            assert!(matches!(parsed(&read(&mut from).unwrap()).unwrap(), Reply::Rows));
            let part = rows(read(&mut from).unwrap()).unwrap();
            all = Some(all.map_or_else(|| part.clone(), |all| all.vstack(&part).unwrap()));
        }
        all.unwrap()
    }

    #[test]
    fn rows_come_as_they_were_sent() {
        let few = df!("n" => [Some(1_i64), None], "s" => [Some("é"), None], "x" => [0.5, -0.0], "b" => [true, false]);
        let few = few.unwrap().lazy().with_column(lit("2026-03-08").alias("t")).collect().unwrap();
        let many = df!("n" => (0..200_000_i64).collect::<Vec<_>>()).unwrap();
        let many = many.lazy().with_column((col("n") * lit(2)).alias("twice")).collect().unwrap();
        for sent in [few.clear(), few, many] {
            let received = received(&sent);
            assert_eq!(received.schema(), sent.schema());
            assert!(received.equals_missing(&sent), "{received}");
        }
    }

    #[test]
    fn a_frame_that_breaks_off_is_none() {
        let whole = head(&Reply::Ready { build: "b".to_owned() }).unwrap();
        assert!(parsed::<Reply>(&read(&mut whole.as_slice()).unwrap()).is_ok());
        for cut in 0..whole.len() {
            assert!(read(&mut &whole[..cut]).is_err(), "{cut}");
        }
    }
}
