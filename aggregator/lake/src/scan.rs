//! A dataset as a lazy frame over the files of one snapshot.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use polars::lazy::dsl::deletion::DeletionFilesList;
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use crate::reference::References;
use crate::snapshot::{self, DataFile};
use crate::table::{self, Table};
use crate::{BUSINESS_DAY, Column, Lake, LakeError, deletes};

/// A dataset in a snapshot as its files: all that any process needs to read it, if it sees the lake's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileSet {
    columns: Vec<Column>,
    pub(crate) has_days: bool,
    /// Apart from each other: no row is in two of them.
    parts: Vec<Part>,
    /// Rows of the files, before they are filtered.
    pub rows: i64,
    /// The farthest value from zero of each column of whole numbers.
    pub farthest: BTreeMap<String, f64>,
}

/// The files that may hold rows of some days; of all, where there are none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Part {
    days: Vec<RangeInclusive<NaiveDate>>,
    files: Vec<File>,
}

impl Part {
    /// Which of its files' rows are of its days.
    fn of_its_days(&self) -> Option<Expr> {
        let within = |range: &RangeInclusive<NaiveDate>| {
            col(BUSINESS_DAY).is_between(lit(*range.start()), lit(*range.end()), ClosedInterval::Both)
        };
        self.days.iter().map(within).reduce(Expr::or)
    }
}

/// A Parquet file with its delete vector, both by their full paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) bytes: i64,
    pub(crate) deletes: Option<PathBuf>,
}

impl File {
    fn new(table: &Table, of: &DataFile) -> Self {
        Self {
            path: table.dir().join(&of.path),
            bytes: of.file_size_bytes,
            deletes: of.delete_path.as_ref().map(|path| table.dir().join(path)),
        }
    }
}

impl FileSet {
    /// What a frame of it looks like.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::new(table::schema(&self.columns))
    }

    /// Its files and their delete vectors, by their full paths.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let files = self.parts.iter().flat_map(|part| &part.files);
        files.flat_map(|file| std::iter::once(&file.path).chain(&file.deletes)).map(PathBuf::as_path)
    }

    /// Its rows, with the table's columns in their declared order; blocks, when a reference set has to be decoded.
    ///
    /// A small dataset without business days comes decoded from memory. A dataset without files has no rows, and its
    /// schema all the same.
    ///
    /// # Errors
    /// When a reference set cannot be decoded.
    pub fn frame(&self, references: &References) -> Result<LazyFrame, LakeError> {
        let schema = self.schema();
        let mut frames = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let frame = references.rows(self, &schema, &part.files)?;
            frames.push(match part.of_its_days() {
                Some(of_its_days) => frame.filter(of_its_days),
                None => frame,
            });
        }
        match <[LazyFrame; 1]>::try_from(frames) {
            Ok([only]) => Ok(only),
            Err(frames) => Ok(concat(frames, UnionArgs::default())?),
        }
    }
}

impl Lake {
    /// The rows of a dataset in a snapshot, as [`FileSet::frame`] gives them.
    ///
    /// `days` prunes files by the catalogue's statistics and filters the rows; it means nothing for a dataset without
    /// business days.
    ///
    /// # Errors
    /// On an unknown dataset, and on a snapshot that was never made or has expired.
    pub async fn scan(
        &self,
        snapshot: i64,
        dataset: &str,
        days: Option<RangeInclusive<NaiveDate>>,
    ) -> Result<LazyFrame, LakeError> {
        let files = self.files(snapshot, dataset, days.as_slice()).await?;
        // Nothing is kept for the next: who reads often keeps reference sets of its own.
        self.compute.run(move || files.frame(&References::default())).await
    }

    /// The files of a dataset in a snapshot, for several ranges of days that are apart; none of them means all days.
    ///
    /// # Errors
    /// As [`Lake::scan`].
    pub async fn files(
        &self,
        snapshot: i64,
        dataset: &str,
        days: &[RangeInclusive<NaiveDate>],
    ) -> Result<FileSet, LakeError> {
        let table = self.table(dataset)?;
        snapshot::require(&self.db, snapshot).await?;
        self.file_set(snapshot, table, if table.has_days() { days } else { &[] }).await
    }

    pub(crate) async fn file_set(
        &self,
        snapshot: i64,
        table: &Table,
        days: &[RangeInclusive<NaiveDate>],
    ) -> Result<FileSet, LakeError> {
        let span = days.first().zip(days.last()).map(|(first, last)| *first.start()..=*last.end());
        let files = snapshot::files(&self.db, snapshot, table.table_id, span).await?;
        let of_parts = parts(files, days);
        let files = || of_parts.iter().flat_map(|(_, files)| files);
        let ids: Vec<i64> = files().map(|file| file.data_file_id).collect();
        let rows = files().map(|file| file.record_count).sum();
        let farthest = snapshot::farthest(&self.db, &ids).await?;
        let part = |(days, files): (_, Vec<DataFile>)| Part {
            days,
            files: files.iter().map(|file| File::new(table, file)).collect(),
        };
        Ok(FileSet {
            columns: table.columns().cloned().collect(),
            has_days: table.has_days(),
            parts: of_parts.into_iter().map(part).collect(),
            rows,
            farthest,
        })
    }
}

/// Days, with the files that may hold them.
type OfDays = (Vec<RangeInclusive<NaiveDate>>, Vec<DataFile>);

/// The files by the ranges of days that they may hold rows of. Ranges that share a file are one part, so that each file
/// is read once; there is at least one part.
fn parts(files: Vec<DataFile>, days: &[RangeInclusive<NaiveDate>]) -> Vec<OfDays> {
    if days.is_empty() {
        return vec![(Vec::new(), files)];
    }
    let overlap = |file: &DataFile, range: &RangeInclusive<NaiveDate>| {
        file.last_day.is_none_or(|last| last >= *range.start())
            && file.first_day.is_none_or(|first| first <= *range.end())
    };
    let mut parts: Vec<OfDays> = Vec::new();
    for range in days {
        let mut days = vec![range.clone()];
        let mut own: Vec<DataFile> = files.iter().filter(|file| overlap(file, range)).cloned().collect();
        while let Some(at) = parts.iter().position(|(_, held)| held.iter().any(|file| own.contains(file))) {
            let (mut all_days, mut held) = parts.remove(at);
            held.extend(own.drain(..).filter(|file| !held.contains(file)).collect::<Vec<_>>());
            all_days.append(&mut days);
            (days, own) = (all_days, held);
        }
        parts.push((days, own));
    }
    parts
}

/// The rows of some files of a table, without the deleted ones. A column that was added after a file was written is
/// NULL there; one that is no longer declared is passed over.
pub fn of_files(table: &Table, files: &[DataFile]) -> Result<LazyFrame, LakeError> {
    let files: Vec<File> = files.iter().map(|file| File::new(table, file)).collect();
    live_rows(Arc::new(table.schema()), &files)
}

pub(crate) fn live_rows(schema: SchemaRef, files: &[File]) -> Result<LazyFrame, LakeError> {
    let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    of_paths(schema, &paths, deletes::of_files(files), MissingColumnsPolicy::Insert)
}

/// Every row of some files of a table, also the deleted ones, with its place among all rows of them in `place`.
pub fn placed(table: &Table, files: &[DataFile], place: &str) -> Result<LazyFrame, LakeError> {
    let index = RowIndex { name: place.into(), offset: 0 };
    let args = UnifiedScanArgs { row_index: Some(index), ..arguments(MissingColumnsPolicy::Insert) };
    let paths: Vec<PathBuf> = files.iter().map(|file| table.dir().join(&file.path)).collect();
    scan_with(Arc::new(table.schema()), &paths, args)
}

/// The rows of Parquet files in the columns of a schema.
pub fn of_paths(
    schema: SchemaRef,
    paths: &[PathBuf],
    deletion_files: Option<DeletionFilesList>,
    missing: MissingColumnsPolicy,
) -> Result<LazyFrame, LakeError> {
    if paths.is_empty() {
        return Ok(DataFrame::empty_with_schema(&schema).lazy());
    }
    scan_with(schema, paths, UnifiedScanArgs { deletion_files, ..arguments(missing) })
}

fn arguments(missing: MissingColumnsPolicy) -> UnifiedScanArgs {
    UnifiedScanArgs {
        hive_options: HiveOptions { enabled: Some(false), ..HiveOptions::default() },
        glob: false,
        missing_columns_policy: missing,
        extra_columns_policy: ExtraColumnsPolicy::Ignore,
        ..UnifiedScanArgs::default()
    }
}

fn scan_with(schema: SchemaRef, paths: &[PathBuf], args: UnifiedScanArgs) -> Result<LazyFrame, LakeError> {
    let options = ParquetOptions {
        schema: Some(schema),
        parallel: ParallelStrategy::Auto,
        low_memory: false,
        use_statistics: true,
    };
    let paths = paths.iter().map(|it| PlRefPath::try_from_path(it)).collect::<PolarsResult<Vec<_>>>()?;
    Ok(DslBuilder::scan_parquet(ScanSources::Paths(paths.into()), options, args)?.build().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(of: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, of).unwrap_or_default()
    }

    fn file(id: i64, first: u32, last: u32) -> DataFile {
        DataFile {
            data_file_id: id,
            path: id.to_string(),
            record_count: 1,
            file_size_bytes: 1,
            first_day: Some(day(first)),
            last_day: Some(day(last)),
            delete_file_id: None,
            delete_path: None,
            delete_count: 0,
        }
    }

    #[test]
    fn ranges_that_share_a_file_are_one_part_so_that_it_is_read_once() {
        let files = vec![file(1, 1, 9), file(2, 12, 12), file(3, 15, 20)];
        let days = [day(2)..=day(3), day(5)..=day(5), day(8)..=day(12), day(17)..=day(18), day(25)..=day(25)];
        let found: Vec<(usize, Vec<i64>)> = parts(files.clone(), &days)
            .iter()
            .map(|(days, files)| (days.len(), files.iter().map(|file| file.data_file_id).collect()))
            .collect();
        assert_eq!(found, [(3, vec![1, 2]), (1, vec![3]), (1, vec![])]);
        assert_eq!(parts(files, &[]).len(), 1);
    }
}
