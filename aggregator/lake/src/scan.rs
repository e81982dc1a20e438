//! A dataset as a lazy frame over the files of one snapshot.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use chrono::NaiveDate;
use polars::lazy::dsl::deletion::DeletionFilesList;
use polars::prelude::*;

use crate::snapshot::{self, DataFile};
use crate::table::Table;
use crate::{BUSINESS_DAY, Lake, LakeError, deletes};

/// A dataset with what the catalogue's statistics tell of its size.
pub struct Measured {
    /// Its rows.
    pub frame: LazyFrame,
    /// Rows of the files that are read, before they are filtered.
    pub rows: i64,
    /// The farthest value from zero of each column of whole numbers.
    pub farthest: BTreeMap<String, f64>,
}

impl Lake {
    /// The rows of a dataset in a snapshot, with the table's columns in their declared order.
    ///
    /// A small dataset without business days comes decoded from memory. `days` prunes files by the catalogue's
    /// statistics and filters the rows; it means nothing for a dataset without business days. A dataset without files
    /// has no rows, and its schema all the same.
    ///
    /// # Errors
    /// On an unknown dataset, and on a snapshot that was never made or has expired.
    pub async fn scan(
        &self,
        snapshot: i64,
        dataset: &str,
        days: Option<RangeInclusive<NaiveDate>>,
    ) -> Result<LazyFrame, LakeError> {
        Ok(self.measured(snapshot, dataset, days.as_slice()).await?.frame)
    }

    /// As [`Lake::scan`], measured, and of several ranges of days that are apart; of none of them means of all days.
    ///
    /// # Errors
    /// As [`Lake::scan`].
    pub async fn measured(
        &self,
        snapshot: i64,
        dataset: &str,
        days: &[RangeInclusive<NaiveDate>],
    ) -> Result<Measured, LakeError> {
        let table = self.table(dataset)?;
        snapshot::require(&self.db, snapshot).await?;
        let ranges = if table.has_days() { days } else { &[] };
        let of = |days| snapshot::files(&self.db, snapshot, dataset, days);
        let mut parts = Vec::with_capacity(ranges.len().max(1));
        for range in ranges {
            parts.push((Some(range), of(Some(range.clone())).await?));
        }
        if ranges.is_empty() {
            parts.push((None, of(None).await?));
        }
        let files = || parts.iter().flat_map(|(_, files)| files);
        let ids: Vec<i64> = files().map(|file| file.data_file_id).collect();
        let farthest = snapshot::farthest(&self.db, &ids).await?;
        let rows = files().map(|file| file.record_count).sum();
        let mut frames = Vec::with_capacity(parts.len());
        for (range, files) in parts {
            let frame = match self.references.rows(&self.compute, table, &files).await? {
                Some(rows) => rows,
                None => of_files(table, &files)?,
            };
            frames.push(match range {
                Some(range) => frame.filter(col(BUSINESS_DAY).is_between(
                    lit(*range.start()),
                    lit(*range.end()),
                    ClosedInterval::Both,
                )),
                None => frame,
            });
        }
        let frame = match <[LazyFrame; 1]>::try_from(frames) {
            Ok([only]) => only,
            Err(frames) => concat(frames, UnionArgs::default())?,
        };
        Ok(Measured { frame, rows, farthest })
    }
}

/// The rows of some files of a table, without the deleted ones. A column that was added after a file was written is
/// NULL there; one that is no longer declared is passed over.
pub fn of_files(table: &Table, files: &[DataFile]) -> Result<LazyFrame, LakeError> {
    let (paths, deletes) = (deletes::paths(table, files), deletes::of_files(table, files));
    of_paths(Arc::new(table.schema()), &paths, deletes, MissingColumnsPolicy::Insert)
}

/// Every row of some files of a table, also the deleted ones, with its place among all rows of them in `place`.
pub fn placed(table: &Table, files: &[DataFile], place: &str) -> Result<LazyFrame, LakeError> {
    let index = RowIndex { name: place.into(), offset: 0 };
    let args = UnifiedScanArgs { row_index: Some(index), ..arguments(MissingColumnsPolicy::Insert) };
    scan_with(Arc::new(table.schema()), &deletes::paths(table, files), args)
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
