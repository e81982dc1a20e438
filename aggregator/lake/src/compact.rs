//! Compaction: the files of a month without recent changes become one, sorted by day, without the deleted rows.
//!
//! Files cost time; the rows that are seen stay the same. A poll that changes the month meanwhile wins: the commit
//! finds that a file it ends is no longer live, and leaves the month for another day.

use std::sync::Arc;

use base::AdvisoryLock;
use chrono::{Datelike, NaiveDate, TimeDelta};
use serde::Serialize;
use sqlx::FromRow;

use crate::commit::{self, ChangeKind, Ended, TableChange};
use crate::file::{self, NewFile};
use crate::snapshot::{self, DataFile};
use crate::table::Table;
use crate::{Lake, LakeError, checksum, pending, scan};

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
    /// Months left alone because a file of them is damaged.
    pub damaged: u64,
}

#[derive(Debug, FromRow)]
struct Month {
    table_name: String,
    month: NaiveDate,
}

impl Lake {
    /// Make one file of each month that is over and whose newest file is older than `quiet`.
    ///
    /// # Errors
    /// [`LakeError::Busy`] while another compaction runs, here or in another replica; when the database or a file fails.
    pub async fn compact(&self, quiet: TimeDelta) -> Result<Compacted, LakeError> {
        let lock = AdvisoryLock::take(&self.db, "compaction").await?.ok_or(LakeError::Busy("compaction"))?;
        let done = self.compact_under(&lock, quiet).await;
        lock.release().await;
        done
    }

    async fn compact_under(&self, lock: &Arc<AdvisoryLock>, quiet: TimeDelta) -> Result<Compacted, LakeError> {
        let mut done = Compacted::default();
        for month in self.quiet_months(quiet).await? {
            let Ok(table) = self.table(&month.table_name) else { continue };
            let files = self.files_of(table, &month).await?;
            if !self.examine(&checksum::paths(table, &files)).await?.is_empty() {
                done.damaged += 1;
                continue;
            }
            let written = self.write_month(lock, table, &month, &files).await?;
            match self.swap(table, &month, &files, written).await {
                Ok(()) => {
                    done.months += 1;
                    done.files += files.len() as u64;
                    done.rows += files.iter().map(|it| it.record_count - it.delete_count).sum::<i64>().unsigned_abs();
                }
                // The new file stays pending, for the sweep.
                Err(LakeError::Overtaken) => done.overtaken += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// The months that are over and of more than one file, none of them younger than `quiet`.
    async fn quiet_months(&self, quiet: TimeDelta) -> Result<Vec<Month>, sqlx::Error> {
        let sql = "SELECT t.table_name, make_date(y.partition_value::int, m.partition_value::int, 1) AS month
                   FROM lake.ducklake_data_file f
                   JOIN lake.ducklake_table t USING (table_id)
                   LEFT JOIN lake.ducklake_delete_file d ON d.data_file_id = f.data_file_id AND d.end_snapshot IS NULL
                   JOIN lake.ducklake_snapshot s ON s.snapshot_id = greatest(f.begin_snapshot, d.begin_snapshot)
                   JOIN lake.ducklake_file_partition_value y ON y.data_file_id = f.data_file_id AND y.partition_key_index = 0
                   JOIN lake.ducklake_file_partition_value m ON m.data_file_id = f.data_file_id AND m.partition_key_index = 1
                   WHERE f.end_snapshot IS NULL AND t.end_snapshot IS NULL AND t.schema_id = 0
                   GROUP BY 1, 2
                   HAVING count(*) + count(d.delete_file_id) > 1 AND max(s.snapshot_time) < clock_timestamp() - make_interval(secs => $1)
                   ORDER BY 1, 2";
        let months: Vec<Month> = sqlx::query_as(sql).bind(quiet.as_seconds_f64()).fetch_all(&self.db).await?;
        let today = self.days.today();
        let is_over = |day: NaiveDate| (day.year(), day.month()) < (today.year(), today.month());
        Ok(months.into_iter().filter(|it| is_over(it.month)).collect())
    }

    /// The files of a month as they are now, each with its delete file.
    async fn files_of(&self, table: &Table, month: &Month) -> Result<Vec<DataFile>, LakeError> {
        let days = file::month(month.month);
        let newest = snapshot::current(&self.db).await?;
        let files = snapshot::files(&self.db, newest, table.table_id, Some(days.clone())).await?;
        let within = |day: Option<NaiveDate>| day.is_some_and(|it| days.contains(&it));
        Ok(files.into_iter().filter(|it| within(it.first_day) && within(it.last_day)).collect())
    }

    /// Nothing is written of a month in which every row is deleted.
    async fn write_month(
        &self,
        lock: &Arc<AdvisoryLock>,
        table: &Arc<Table>,
        month: &Month,
        files: &[DataFile],
    ) -> Result<Option<NewFile>, LakeError> {
        let name = file::Name::of(table, Some(month.month));
        let paths = file::pending([&name]);
        let (table, files) = (Arc::clone(table), files.to_vec());
        let work = move || {
            let rows = scan::of_files(&table, &files)?.collect()?;
            if rows.height() == 0 {
                return Ok(None);
            }
            file::write(&table, &name, &mut file::by_day(&rows)?).map(Some)
        };
        pending::write(self, lock, paths, work).await
    }

    async fn swap(
        &self,
        table: &Arc<Table>,
        month: &Month,
        files: &[DataFile],
        written: Option<NewFile>,
    ) -> Result<(), LakeError> {
        let mut tx = base::begin(&self.db).await?;
        let head = commit::lock(&mut tx).await?;
        let change = TableChange {
            add: written.into_iter().collect(),
            end: files.iter().map(Ended::of).collect(),
            kind: ChangeKind::Compaction,
            ..TableChange::of(table)
        };
        let message = format!("compaction of {} {}", month.table_name, month.month.format("%Y-%m"));
        commit::apply(&mut tx, &head, &[&change], "", &message).await?;
        Ok(tx.commit().await?)
    }
}
