//! Writing Parquet files: recorded first, written under a temporary name, synced, renamed.
//!
//! Invariant: a file under the lake's folder is named by the catalogue, by a staged part, or by
//! `sync.pending_file`; so a crash leaves files that the sweep finds. Who writes does it through
//! [`pending::write`](super::pending::write), which keeps the invariant when the lock is lost in the middle.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use chrono::{Datelike, Days, Months, NaiveDate};
use polars::prelude::*;
use uuid::Uuid;

use crate::checksum::Digesting;
use crate::stats::{self, ColumnStats};
use crate::table::Table;
use crate::{BUSINESS_DAY, LakeError};

/// Bytes that wait in memory for a call that writes them.
const WRITTEN_AT_ONCE: usize = 256 * 1024;

/// A file on disk that no catalogue row names yet.
#[derive(Debug)]
pub struct NewFile {
    /// Path below the table's folder, as the catalogue will name it.
    pub(crate) path: String,
    /// Path below the lake's folder, as `sync.pending_file` names it.
    pub pending: String,
    pub(crate) rows: i64,
    pub(crate) bytes: i64,
    pub(crate) footer: i64,
    /// Of the whole file.
    pub(crate) sha256: String,
    /// Year and month, when the table is partitioned and the file stays within one month.
    pub(crate) month: Option<(i32, i32)>,
    pub(crate) columns: Vec<ColumnStats>,
}

/// A name given out for a file to come.
#[derive(Debug, Clone)]
pub struct Name {
    path: String,
    pending: String,
}

impl Name {
    /// A fresh name for a file of a table; the first day, if any, sorts and groups the names.
    pub fn of(table: &Table, day: Option<NaiveDate>) -> Self {
        let unique = Uuid::now_v7().simple();
        let path = match day {
            Some(day) => format!("{:04}/{:02}/{day}-{unique}.parquet", day.year(), day.month()),
            None => format!("{unique}.parquet"),
        };
        let pending = format!("{}/{path}", table.folder());
        Self { path, pending }
    }

    /// A fresh name for the delete file of a data file of that path below its table's folder.
    pub fn of_deletes(table: &Table, data: &str) -> Self {
        let folder = data.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let path = format!("{folder}{}-delete.parquet", Uuid::now_v7().simple());
        let pending = format!("{}/{path}", table.folder());
        Self { path, pending }
    }

    /// Below the table's folder.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The file itself.
    pub(crate) fn full(&self, table: &Table) -> PathBuf {
        table.dir().join(&self.path)
    }

    /// Below the lake's folder.
    pub(crate) fn pending(&self) -> &str {
        &self.pending
    }
}

/// The recorded form of a set of names.
pub fn pending<'a>(names: impl IntoIterator<Item = &'a Name>) -> Vec<String> {
    names.into_iter().map(|it| it.pending.clone()).collect()
}

/// Write a frame as a data file of a table. Blocks; the name must have been announced.
///
/// # Errors
/// When the frame lacks a column of the table, or the file cannot be written.
pub fn write(table: &Table, name: &Name, frame: &mut DataFrame) -> Result<NewFile, LakeError> {
    let columns = stats::of_frame(table, frame)?;
    let path = name.full(table);
    let (bytes, sha256) = write_digested(&path, frame, 256 * 1024)?;
    let footer = footer_size(&path).map_err(LakeError::at(&path))?;
    let month = table.partition_id.and_then(|_| common_month(frame));
    let rows = frame.height() as i64;
    let (path, pending) = (name.path.clone(), name.pending.clone());
    Ok(NewFile { path, pending, rows, bytes, footer, sha256, month, columns })
}

/// Rows in the order of their business days; of one day, in the order in which they were.
///
/// # Errors
/// When there is no such column.
pub fn by_day(rows: &DataFrame) -> PolarsResult<DataFrame> {
    rows.sort([BUSINESS_DAY], SortMultipleOptions::default().with_maintain_order(true))
}

/// Write a frame, as it comes and goes within a poll, at a path by way of a temporary name beside it. Blocks.
///
/// # Errors
/// When the file cannot be written.
pub fn write_parquet(path: &Path, frame: &mut DataFrame, group_rows: usize) -> Result<(), LakeError> {
    let encode = |file| encode(file, frame, ParquetCompression::Uncompressed, group_rows);
    write_with(path, encode).map(|_| ())
}

/// Write a frame that stays. Returns the size in bytes, and the SHA-256 of what was written. Blocks.
pub(crate) fn write_digested(
    path: &Path,
    frame: &mut DataFrame,
    group_rows: usize,
) -> Result<(i64, String), LakeError> {
    let mut sha256 = String::new();
    let bytes = write_with(path, |file| {
        let digesting = encode(Digesting::new(file), frame, ParquetCompression::Zstd(None), group_rows)?;
        let (file, digest) = digesting.finish();
        sha256 = digest;
        Ok(file)
    })?;
    Ok((bytes, sha256))
}

fn encode<W: Write>(
    to: W,
    frame: &mut DataFrame,
    compression: ParquetCompression,
    group_rows: usize,
) -> PolarsResult<W> {
    // polars writes every page of a column, and its header, by a call of its own.
    let mut writer = BufWriter::with_capacity(WRITTEN_AT_ONCE, to);
    let options = ParquetWriter::new(&mut writer)
        .with_compression(compression)
        .with_statistics(StatisticsOptions::default())
        .with_row_group_size(Some(group_rows))
        .set_parallel(true);
    options.finish(frame)?;
    writer.into_inner().map_err(|it| it.into_error().into())
}

fn write_with(path: &Path, encode: impl FnOnce(File) -> PolarsResult<File>) -> Result<i64, LakeError> {
    let folder = path.parent().unwrap_or(path);
    let unfinished = unfinished(path);
    let file = encode(create(folder, &unfinished)?)?;
    file.sync_all().map_err(LakeError::at(&unfinished))?;
    let bytes = file.metadata().map_err(LakeError::at(&unfinished))?.len();
    std::fs::rename(&unfinished, path).map_err(LakeError::at(path))?;
    // The rename itself must be on disk before the catalogue names the file.
    File::open(folder).and_then(|it| it.sync_all()).map_err(LakeError::at(folder))?;
    Ok(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// The sweep removes folders that have become empty, perhaps just before a file is put into one.
fn create(folder: &Path, path: &Path) -> Result<File, LakeError> {
    std::fs::create_dir_all(folder).map_err(LakeError::at(folder))?;
    match File::create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(folder).map_err(LakeError::at(folder))?;
            File::create(path).map_err(LakeError::at(path))
        }
        created => created.map_err(LakeError::at(path)),
    }
}

/// Remove files, whole or not, where they are there; the answer is how many were whole. Blocks.
pub(crate) fn remove(paths: &[PathBuf]) -> Result<u64, LakeError> {
    let mut removed = 0;
    for path in paths {
        removed += u64::from(remove_one(path)?);
        remove_one(&unfinished(path))?;
    }
    Ok(removed)
}

fn remove_one(path: &Path) -> Result<bool, LakeError> {
    match std::fs::remove_file(path) {
        Ok(()) => {
            // A folder that still holds something refuses, and that is meant.
            path.parent().map(std::fs::remove_dir).and_then(Result::ok);
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LakeError::at(path)(error)),
    }
}

/// The name a file has until it is whole.
fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("parquet.tmp")
}

/// Length of the Parquet metadata, from the eight bytes that end the file.
pub(crate) fn footer_size(path: &Path) -> std::io::Result<i64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-8))?;
    let mut tail = [0_u8; 8];
    file.read_exact(&mut tail)?;
    let [a, b, c, d, ..] = tail;
    Ok(i64::from(u32::from_le_bytes([a, b, c, d])))
}

/// The month of a day, from its first day to its last.
pub(crate) fn month(of: NaiveDate) -> RangeInclusive<NaiveDate> {
    let first = of.with_day(1).unwrap_or(of);
    first..=first + Months::new(1) - Days::new(1)
}

fn common_month(frame: &DataFrame) -> Option<(i32, i32)> {
    let days = frame.column(BUSINESS_DAY).ok()?.date().ok()?.physical();
    let month = |days: i32| {
        let day = NaiveDate::from_epoch_days(days)?;
        Some((day.year(), i32::try_from(day.month()).ok()?))
    };
    let (first, last) = (month(days.min()?)?, month(days.max()?)?);
    (first == last).then_some(first)
}
