//! A dataset as a lazy frame over the files of one snapshot.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use polars::lazy::dsl::deletion::DeletionFilesList;
use polars::prelude::*;

use super::deletes;
use super::snapshot::{self, DataFile};
use super::table::Table;
use crate::Aggregator;
use crate::error::Error;
use crate::source::BUSINESS_DAY;

/// The rows of a dataset in a snapshot, with the table's columns in their declared order.
///
/// A small dataset without business days comes decoded from memory. `days` prunes files by the catalogue's statistics and filters the rows; it means nothing for a
/// dataset without business days. A dataset without files has no rows, and its schema all the same.
/// Fails on an unknown dataset, and on a snapshot that was never made or has expired.
pub async fn scan(
    aggregator: &Aggregator,
    snapshot: i64,
    dataset: &str,
    days: Option<RangeInclusive<NaiveDate>>,
) -> Result<LazyFrame, Error> {
    Ok(measured(aggregator, snapshot, dataset, days.as_slice()).await?.frame)
}

/// A dataset with what the catalogue's statistics tell of its size.
pub(crate) struct Measured {
    pub(crate) frame: LazyFrame,
    /// Rows of the files that are read, before they are filtered.
    pub(crate) rows: i64,
    /// The farthest value from zero of each column of whole numbers.
    pub(crate) farthest: BTreeMap<String, f64>,
}

/// As [`scan`], measured, and of several ranges of days that are apart; of none of them means of all days.
pub(crate) async fn measured(
    aggregator: &Aggregator,
    snapshot: i64,
    dataset: &str,
    days: &[RangeInclusive<NaiveDate>],
) -> Result<Measured, Error> {
    let table = aggregator.lake().table(dataset)?;
    snapshot::require(aggregator.db(), snapshot).await?;
    let ranges = if table.has_days() { days } else { &[] };
    let of = |days| snapshot::files(aggregator.db(), snapshot, dataset, days);
    let mut parts = Vec::with_capacity(ranges.len().max(1));
    for range in ranges {
        parts.push((Some(range), of(Some(range.clone())).await?));
    }
    if ranges.is_empty() {
        parts.push((None, of(None).await?));
    }
    let files = || parts.iter().flat_map(|(_, files)| files);
    let ids: Vec<i64> = files().map(|file| file.data_file_id).collect();
    let farthest = snapshot::farthest(aggregator.db(), &ids).await?;
    let rows = files().map(|file| file.record_count).sum();
    let folder = aggregator.lake().table_dir(dataset);
    let mut frames = Vec::with_capacity(parts.len());
    for (range, files) in parts {
        let frame = match aggregator.lake().references.rows(&aggregator.compute, table, &files, &folder).await? {
            Some(rows) => rows,
            None => of_files(table, &folder, &files)?,
        };
        frames.push(match range {
            Some(range) => {
                frame.filter(col(BUSINESS_DAY).is_between(lit(*range.start()), lit(*range.end()), ClosedInterval::Both))
            }
            None => frame,
        });
    }
    let frame = match <[LazyFrame; 1]>::try_from(frames) {
        Ok([only]) => only,
        Err(frames) => concat(frames, UnionArgs::default())?,
    };
    Ok(Measured { frame, rows, farthest })
}

/// The rows of some files of a table, without those marked as gone. A column that was added after a file was written is
/// NULL there; one that is no longer declared is passed over.
pub(crate) fn of_files(table: &Table, table_dir: &Path, files: &[DataFile]) -> Result<LazyFrame, Error> {
    let (paths, deletes) = (deletes::paths(table_dir, files), deletes::of_files(table_dir, files));
    of_paths(Arc::new(table.schema()), &paths, deletes, MissingColumnsPolicy::Insert)
}

/// Every row of some files of a table, also those marked as gone, with its place among all rows of them in `place`.
pub(crate) fn placed(table: &Table, table_dir: &Path, files: &[DataFile], place: &str) -> Result<LazyFrame, Error> {
    let index = RowIndex { name: place.into(), offset: 0 };
    let args = UnifiedScanArgs { row_index: Some(index), ..arguments(MissingColumnsPolicy::Insert) };
    scan_with(Arc::new(table.schema()), &deletes::paths(table_dir, files), args)
}

/// The rows of Parquet files in the columns of a schema.
pub(crate) fn of_paths(
    schema: SchemaRef,
    paths: &[PathBuf],
    deletion_files: Option<DeletionFilesList>,
    missing: MissingColumnsPolicy,
) -> Result<LazyFrame, Error> {
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

fn scan_with(schema: SchemaRef, paths: &[PathBuf], args: UnifiedScanArgs) -> Result<LazyFrame, Error> {
    let options = ParquetOptions {
        schema: Some(schema),
        parallel: ParallelStrategy::Auto,
        low_memory: false,
        use_statistics: true,
    };
    let paths = paths.iter().map(|it| PlRefPath::try_from_path(it)).collect::<PolarsResult<Vec<_>>>()?;
    Ok(DslBuilder::scan_parquet(ScanSources::Paths(paths.into()), options, args)?.build().into())
}
