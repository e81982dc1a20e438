//! A dataset as a lazy frame over the files of one snapshot.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use chrono::NaiveDate;
use polars::prelude::*;

use super::snapshot;
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
    let table = aggregator.lake().table(dataset)?;
    snapshot::require(aggregator.db(), snapshot).await?;
    let files = snapshot::files(aggregator.db(), snapshot, dataset, days.clone()).await?;
    let folder = aggregator.lake().table_dir(dataset);
    let paths: Vec<PathBuf> = files.iter().map(|file| folder.join(&file.path)).collect();
    if let Some(rows) = aggregator.lake().references.rows(&aggregator.compute, table, &files, &paths).await? {
        return Ok(rows);
    }
    let frame = of_files(table, &paths)?;
    Ok(match days {
        Some(range) if table.has_days() => {
            frame.filter(col(BUSINESS_DAY).is_between(lit(*range.start()), lit(*range.end()), ClosedInterval::Both))
        }
        Some(_) | None => frame,
    })
}

/// The rows of some files of a table. A column that was added after a file was written is NULL there; one that is no
/// longer declared is passed over.
pub(crate) fn of_files(table: &Table, paths: &[PathBuf]) -> Result<LazyFrame, Error> {
    of_paths(Arc::new(table.schema()), paths, MissingColumnsPolicy::Insert)
}

/// The rows of Parquet files in the columns of a schema.
pub(crate) fn of_paths(
    schema: SchemaRef,
    paths: &[PathBuf],
    missing: MissingColumnsPolicy,
) -> Result<LazyFrame, Error> {
    if paths.is_empty() {
        return Ok(DataFrame::empty_with_schema(&schema).lazy());
    }
    let options = ParquetOptions {
        schema: Some(schema),
        parallel: ParallelStrategy::Auto,
        low_memory: false,
        use_statistics: true,
    };
    let args = UnifiedScanArgs {
        hive_options: HiveOptions { enabled: Some(false), ..HiveOptions::default() },
        glob: false,
        missing_columns_policy: missing,
        extra_columns_policy: ExtraColumnsPolicy::Ignore,
        ..UnifiedScanArgs::default()
    };
    let paths = paths.iter().map(|it| PlRefPath::try_from_path(it)).collect::<PolarsResult<Vec<_>>>()?;
    Ok(DslBuilder::scan_parquet(ScanSources::Paths(paths.into()), options, args)?.build().into())
}
