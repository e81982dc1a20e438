//! Keeping the rows of days. A month of a view is one file, written anew when a day of it is kept again, so that a stranger
//! who reads the table sees each day whole and once.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use base::AdvisoryLock;
use chrono::{NaiveDate, TimeDelta};
use polars::prelude::*;

use super::{KeptView, SCHEMA};
use crate::commit::{self, Ended, TableChange};
use crate::file::{self, Name};
use crate::snapshot::{self, DataFile};
use crate::table::{self, Place};
use crate::{BUSINESS_DAY, Lake, LakeError, Table, pending, scan};

/// How long the rows of a view are there that no catalogue has any more: a version that is replaced may still want them.
const UNWANTED: TimeDelta = TimeDelta::days(1);

impl Lake {
    /// The lock under which rows are kept.
    ///
    /// # Errors
    /// [`LakeError::Busy`] while they are being kept, here or in another replica.
    pub async fn keeping(&self) -> Result<Arc<AdvisoryLock>, LakeError> {
        AdvisoryLock::take(self.db(), "keeping").await?.ok_or(LakeError::Busy("keeping of rows"))
    }

    /// The table of a view's kept rows, made where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn table_to_keep(&self, view: &KeptView) -> Result<Arc<Table>, LakeError> {
        let mut tx = base::begin(self.db()).await?;
        let mut head = commit::lock(&mut tx).await?;
        if let Some(table) = self.kept_table(head.snapshot_id, view).await? {
            sqlx::query!("UPDATE sync.kept_view SET wanted_at = clock_timestamp() WHERE table_id = $1", table.table_id)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            return Ok(Arc::new(table));
        }
        let sql = "SELECT schema_id FROM lake.ducklake_schema WHERE schema_name = $1 AND end_snapshot IS NULL";
        let schema: Option<i64> = sqlx::query_scalar(sql).bind(SCHEMA).fetch_optional(&mut *tx).await?;
        let schema_id = match schema {
            Some(schema_id) => schema_id,
            None => {
                let made = table::create_schema(&mut tx, &head, SCHEMA).await?;
                head = commit::lock(&mut tx).await?;
                made
            }
        };
        let place = Place { schema_id, schema: SCHEMA, path: view.path() };
        let ids = table::create(&mut tx, &head, &view.definition(), &place).await?;
        sqlx::query!(
            "INSERT INTO sync.kept_view (table_id, digest, view, inputs) VALUES ($1, $2, $3, $4)",
            ids.table_id,
            &view.digest,
            &view.name,
            &view.inputs
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Arc::new(self.as_table(view, ids)))
    }

    /// Keep the rows that a view has for days of one month, computed of a snapshot: all of its rows of these days. The
    /// lock is that of [`Lake::keeping`].
    ///
    /// # Errors
    /// [`LakeError::UnknownSnapshot`] when the snapshot that was read has expired meanwhile: what has changed since may be
    /// forgotten. When the database or a file fails.
    pub async fn keep(
        &self,
        lock: &Arc<AdvisoryLock>,
        table: &Arc<Table>,
        read: i64,
        days: &BTreeSet<NaiveDate>,
        rows: DataFrame,
    ) -> Result<(), LakeError> {
        let Some(first) = days.first().copied() else { return Ok(()) };
        let of_month = file::month(first);
        let newest = snapshot::current(self.db()).await?;
        let files = snapshot::files(self.db(), newest, table.table_id, Some(of_month.clone())).await?;
        let sql = "SELECT business_day FROM sync.kept_day
                   WHERE table_id = $1 AND end_snapshot IS NULL AND business_day BETWEEN $2 AND $3";
        let live = sqlx::query_scalar(sql).bind(table.table_id).bind(of_month.start()).bind(of_month.end());
        let live: Vec<NaiveDate> = live.fetch_all(self.db()).await?;
        let stay: HashSet<i32> = live.iter().filter(|day| !days.contains(day)).map(NaiveDate::to_epoch_days).collect();
        let counts = count(&rows, days)?;
        let written = self.write_kept(lock, table, first, &files, stay, rows).await?;
        let mut tx = base::begin(self.db()).await?;
        let head = commit::lock(&mut tx).await?;
        let sql = "SELECT EXISTS (SELECT FROM lake.ducklake_snapshot WHERE snapshot_id = $1)";
        if !sqlx::query_scalar(sql).bind(read).fetch_one(&mut *tx).await? {
            return Err(LakeError::UnknownSnapshot(read));
        }
        let change = TableChange {
            add: written.into_iter().collect(),
            end: files.iter().map(Ended::of).collect(),
            ..TableChange::of(table)
        };
        // Days without rows need no file, and so no snapshot.
        let begin = if change.is_empty() {
            read
        } else {
            commit::apply(&mut tx, &head, &[&change], "", &format!("kept rows of {}", table.name)).await?
        };
        let all: Vec<NaiveDate> = days.iter().copied().collect();
        sqlx::query!(
            "UPDATE sync.kept_day SET end_snapshot = greatest($3, begin_snapshot)
             WHERE table_id = $1 AND business_day = ANY ($2) AND end_snapshot IS NULL",
            table.table_id,
            &all,
            begin
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "INSERT INTO sync.kept_day (table_id, business_day, read_snapshot, begin_snapshot, rows)
             SELECT $1, day, $2, $3, rows FROM unnest($4::date[], $5::bigint[]) AS t (day, rows)",
            table.table_id,
            read,
            begin,
            &all,
            &counts
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// The month's new file: the days that stay as they were, and the new rows. Nothing is written of a month without rows.
    async fn write_kept(
        &self,
        lock: &Arc<AdvisoryLock>,
        table: &Arc<Table>,
        first: NaiveDate,
        files: &[DataFile],
        stay: HashSet<i32>,
        mut rows: DataFrame,
    ) -> Result<Option<file::NewFile>, LakeError> {
        let name = Name::of(table, Some(first));
        let paths = file::pending([&name]);
        let (table, files) = (Arc::clone(table), files.to_vec());
        let write = move || {
            let columns: Vec<&str> = table.columns().map(|column| column.name.as_str()).collect();
            let held = scan::of_files(&table, &files)?.collect()?;
            let days = held.column(BUSINESS_DAY)?.date()?.physical();
            let stays: BooleanChunked = days.iter().map(|day| day.is_some_and(|day| stay.contains(&day))).collect();
            rows = held.filter(&stays)?.vstack(&rows.select(columns.iter().copied())?)?;
            if rows.height() == 0 {
                return Ok(None);
            }
            file::write(&table, &name, &mut file::by_day(&rows)?).map(Some)
        };
        pending::write(self, lock, paths, write).await
    }

    /// Forget that days of a view are kept: they are computed from the datasets until they are kept again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_kept(&self, view: &KeptView, days: &[NaiveDate]) -> Result<(), LakeError> {
        sqlx::query!(
            "DELETE FROM sync.kept_day WHERE business_day = ANY ($2) AND end_snapshot IS NULL
               AND table_id IN (SELECT table_id FROM sync.kept_view WHERE digest = $1)",
            &view.digest,
            days
        )
        .execute(self.db())
        .await?;
        Ok(())
    }

    /// Drop the tables of views that no catalogue has had for a day; snapshots from before have them still.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_unwanted(&self) -> Result<u64, LakeError> {
        let mut tx = base::begin(self.db()).await?;
        let head = commit::lock(&mut tx).await?;
        let sql = "SELECT table_id FROM sync.kept_view JOIN lake.ducklake_table t USING (table_id)
                   WHERE t.end_snapshot IS NULL AND wanted_at < clock_timestamp() - make_interval(secs => $1)
                   ORDER BY table_id";
        let unwanted: Vec<i64> =
            sqlx::query_scalar(sql).bind(UNWANTED.num_seconds() as f64).fetch_all(&mut *tx).await?;
        if !unwanted.is_empty() {
            table::drop_tables(&mut tx, &head, &unwanted).await?;
        }
        tx.commit().await?;
        Ok(unwanted.len() as u64)
    }
}

/// How many rows each of some days has.
fn count(rows: &DataFrame, days: &BTreeSet<NaiveDate>) -> PolarsResult<Vec<i64>> {
    let first = days.first().map_or(0, NaiveDate::to_epoch_days);
    let span = days.last().map_or(0, |last| last.to_epoch_days() - first);
    let mut counts = vec![0; usize::try_from(span).unwrap_or_default() + 1];
    for day in rows.column(BUSINESS_DAY)?.date()?.physical().iter().flatten() {
        if let Some(count) = usize::try_from(day - first).ok().and_then(|at| counts.get_mut(at)) {
            *count += 1;
        }
    }
    let of = |day: &NaiveDate| usize::try_from(day.to_epoch_days() - first).ok().and_then(|at| counts.get(at)).copied();
    Ok(days.iter().map(|day| of(day).unwrap_or_default()).collect())
}
