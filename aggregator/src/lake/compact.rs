//! Compaction: the files of a month that has gone quiet become one, sorted by day, without the rows marked as gone.
//!
//! Files cost time; the rows that are seen stay the same. A poll that changes the month meanwhile wins: the commit
//! finds that a file it ends is no longer live, and leaves the month for another day.

use std::sync::Arc;

use base::AdvisoryLock;
use chrono::{Datelike, Days, Months, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use sqlx::FromRow;

use super::commit::{self, CommitError, Ended, TableChange};
use super::file::{self, NewFile};
use super::pending;
use super::scan;
use super::snapshot::{self, DataFile};
use super::table::Table;
use crate::Aggregator;
use crate::error::Error;

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Months that became one file.
    pub months: u64,
    /// Data files that were live before in those months.
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
}

/// Make one file of each month that is over and whose newest file is older than `quiet`.
///
/// One at a time across replicas; finds [`Error::Busy`] while another runs.
pub async fn compact(aggregator: &Aggregator, quiet: TimeDelta) -> Result<Compacted, Error> {
    let Some(fence) = AdvisoryLock::take(aggregator.db(), "compaction").await? else {
        return Err(Error::Busy("compaction".to_owned()));
    };
    let done = compact_alone(aggregator, &fence, quiet).await;
    fence.release().await;
    done
}

async fn compact_alone(
    aggregator: &Aggregator,
    fence: &Arc<AdvisoryLock>,
    quiet: TimeDelta,
) -> Result<Compacted, Error> {
    let sql = "SELECT t.table_name, make_date(y.partition_value::int, m.partition_value::int, 1) AS month
               FROM lake.ducklake_data_file f
               JOIN lake.ducklake_table t USING (table_id)
               LEFT JOIN lake.ducklake_delete_file d ON d.data_file_id = f.data_file_id AND d.end_snapshot IS NULL
               JOIN lake.ducklake_snapshot s ON s.snapshot_id = greatest(f.begin_snapshot, d.begin_snapshot)
               JOIN lake.ducklake_file_partition_value y ON y.data_file_id = f.data_file_id AND y.partition_key_index = 0
               JOIN lake.ducklake_file_partition_value m ON m.data_file_id = f.data_file_id AND m.partition_key_index = 1
               WHERE f.end_snapshot IS NULL AND t.end_snapshot IS NULL
               GROUP BY 1, 2
               HAVING count(*) + count(d.delete_file_id) > 1 AND max(s.snapshot_time) < $1
               ORDER BY 1, 2";
    let months: Vec<Month> = sqlx::query_as(sql).bind(Utc::now() - quiet).fetch_all(aggregator.db()).await?;
    let today = Utc::now().with_timezone(&aggregator.settings().time_zone).date_naive();
    let mut done = Compacted::default();
    for month in months {
        if (month.month.year(), month.month.month()) >= (today.year(), today.month()) {
            continue;
        }
        let Ok(table) = aggregator.lake().table(&month.table_name) else { continue };
        let files = files(aggregator, &month).await?;
        let written = write(aggregator, fence, table, &month, &files).await?;
        match swap(aggregator, table, &month, &files, written).await {
            Ok(()) => {
                done.months += 1;
                done.files += files.len() as u64;
                done.rows += files.iter().map(|it| it.record_count - it.delete_count).sum::<i64>().unsigned_abs();
            }
            // The new file stays pending, for the sweep.
            Err(CommitError::Overtaken) => done.overtaken += 1,
            Err(CommitError::Failed(error)) => return Err(error),
        }
    }
    Ok(done)
}

/// The files of a month as they are now, each with what marks its rows as gone.
async fn files(aggregator: &Aggregator, month: &Month) -> Result<Vec<DataFile>, Error> {
    let last = month.month + Months::new(1) - Days::new(1);
    let days = month.month..=last;
    let newest = snapshot::current(aggregator.db()).await?;
    let files = snapshot::files(aggregator.db(), newest, &month.table_name, Some(days.clone())).await?;
    let within = |day: Option<NaiveDate>| day.is_some_and(|it| days.contains(&it));
    Ok(files.into_iter().filter(|it| within(it.first_day) && within(it.last_day)).collect())
}

/// Nothing is written of a month in which every row is marked as gone.
async fn write(
    aggregator: &Aggregator,
    fence: &Arc<AdvisoryLock>,
    table: &Arc<Table>,
    month: &Month,
    files: &[DataFile],
) -> Result<Option<NewFile>, Error> {
    let name = file::Name::of(table, Some(month.month));
    let paths = file::pending([&name]);
    let (dir, folder) = (aggregator.lake().dir().to_owned(), aggregator.lake().table_dir(&month.table_name));
    let (table, files) = (Arc::clone(table), files.to_vec());
    let work = move || {
        let rows = scan::of_files(&table, &folder, &files)?.collect()?;
        if rows.height() == 0 {
            return Ok(None);
        }
        file::write(&dir, &table, &name, &mut file::by_day(&rows)?).map(Some)
    };
    pending::write(fence, &aggregator.compute, aggregator.lake().dir(), paths, work).await
}

async fn swap(
    aggregator: &Aggregator,
    table: &Arc<Table>,
    month: &Month,
    files: &[DataFile],
    written: Option<NewFile>,
) -> Result<(), CommitError> {
    let mut tx = base::begin(aggregator.db()).await?;
    let head = commit::lock(&mut tx).await?;
    let change = TableChange {
        add: written.into_iter().collect(),
        end: files.iter().map(Ended::of).collect(),
        compaction: true,
        ..TableChange::of(table)
    };
    let message = format!("compaction of {} {}", month.table_name, month.month.format("%Y-%m"));
    commit::apply(&mut tx, &head, &[&change], &message).await?;
    Ok(tx.commit().await?)
}
