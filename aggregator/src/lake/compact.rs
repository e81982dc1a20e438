//! Compaction: the files of a month that has gone quiet become one, sorted by day.
//!
//! Files cost time; rows stay the same. A poll that changes the month meanwhile wins: the commit
//! finds that a file it ends is no longer live, and leaves the month for another day.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use sqlx::FromRow;

use super::commit::{self, CommitError, TableChange};
use super::file::{self, NewFile};
use super::table::Table;
use super::{Lake, scan};
use crate::Aggregator;
use crate::error::Error;
use crate::fence::Fence;

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Months that became one file.
    pub months: u64,
    /// Files that were live before in those months.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Months left alone because a poll changed them meanwhile.
    pub overtaken: u64,
}

#[derive(Debug, FromRow)]
struct Month {
    table_name: String,
    month: NaiveDate,
    ids: Vec<i64>,
    paths: Vec<String>,
    rows: i64,
}

/// Make one file of each month that is over and whose newest file is older than `quiet`.
///
/// One at a time across replicas; finds [`Error::Busy`] while another runs.
pub async fn compact(aggregator: &Aggregator, quiet: TimeDelta) -> Result<Compacted, Error> {
    let Some(fence) = Fence::take(aggregator.db(), "compaction").await? else {
        return Err(Error::Busy("compaction".to_owned()));
    };
    let done = compact_alone(aggregator, &fence, quiet).await;
    fence.release().await;
    done
}

async fn compact_alone(aggregator: &Aggregator, fence: &Fence, quiet: TimeDelta) -> Result<Compacted, Error> {
    let sql = "SELECT t.table_name, make_date(y.partition_value::int, m.partition_value::int, 1) AS month,
                      array_agg(f.data_file_id ORDER BY f.data_file_id) AS ids,
                      array_agg(f.path ORDER BY f.data_file_id) AS paths, sum(f.record_count)::bigint AS rows
               FROM lake.ducklake_data_file f
               JOIN lake.ducklake_table t USING (table_id)
               JOIN lake.ducklake_snapshot s ON s.snapshot_id = f.begin_snapshot
               JOIN lake.ducklake_file_partition_value y ON y.data_file_id = f.data_file_id AND y.partition_key_index = 0
               JOIN lake.ducklake_file_partition_value m ON m.data_file_id = f.data_file_id AND m.partition_key_index = 1
               WHERE f.end_snapshot IS NULL AND t.end_snapshot IS NULL
               GROUP BY 1, 2
               HAVING count(*) > 1 AND max(s.snapshot_time) < $1
               ORDER BY 1, 2";
    let months: Vec<Month> = sqlx::query_as(sql).bind(Utc::now() - quiet).fetch_all(aggregator.db()).await?;
    let today = Utc::now().with_timezone(&aggregator.settings().time_zone).date_naive();
    let mut done = Compacted::default();
    for month in months {
        if (month.month.year(), month.month.month()) >= (today.year(), today.month()) {
            continue;
        }
        let Ok(table) = aggregator.lake().table(&month.table_name) else { continue };
        let written = write(aggregator, fence, table, &month).await?;
        match swap(aggregator, table, &month, written).await {
            Ok(()) => {
                done.months += 1;
                done.files += month.ids.len() as u64;
                done.rows += month.rows.unsigned_abs();
            }
            // The new file stays pending, for the sweep.
            Err(CommitError::Overtaken) => done.overtaken += 1,
            Err(CommitError::Failed(error)) => return Err(error),
        }
    }
    Ok(done)
}

async fn write(aggregator: &Aggregator, fence: &Fence, table: &Arc<Table>, month: &Month) -> Result<NewFile, Error> {
    let name = file::Name::of(table, Some(month.month));
    file::announce(aggregator.db(), &file::pending([&name]), fence.key()).await?;
    let paths = full_paths(aggregator.lake(), month);
    let (dir, table) = (aggregator.lake().dir().to_owned(), Arc::clone(table));
    let work = move || {
        let rows = scan::of_files(&table, &paths)?.collect()?;
        file::write(&dir, &table, &name, &mut file::by_day(&rows)?)
    };
    aggregator.compute.run(work).await
}

fn full_paths(lake: &Lake, month: &Month) -> Vec<PathBuf> {
    let folder = lake.table_dir(&month.table_name);
    month.paths.iter().map(|it| folder.join(it)).collect()
}

async fn swap(aggregator: &Aggregator, table: &Arc<Table>, month: &Month, written: NewFile) -> Result<(), CommitError> {
    let mut tx = aggregator.db().begin().await?;
    let head = commit::lock(&mut tx).await?;
    let change = TableChange { table: Arc::clone(table), add: vec![written], end: month.ids.clone(), compaction: true };
    let message = format!("compaction of {} {}", month.table_name, month.month.format("%Y-%m"));
    commit::apply(&mut tx, &head, &[&change], &message).await?;
    Ok(tx.commit().await?)
}
