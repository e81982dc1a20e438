//! Keeping the rows of days. A month of a view is one file, written anew when a day of it is kept again, so that
//! another program that reads the table sees each day whole and once.

use std::collections::{BTreeSet, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use base::AdvisoryLock;
use chrono::NaiveDate;
use polars::prelude::*;
use sqlx::PgConnection;

use super::KeptView;
use crate::checksum::{Damage, paths};
use crate::commit::{self, Ended, TableChange};
use crate::file::{self, Name};
use crate::snapshot::{self, DataFile};
use crate::{BUSINESS_DAY, Lake, LakeError, Table, pending, scan};

impl Lake {
    /// The lock under which rows are kept.
    ///
    /// # Errors
    /// [`LakeError::Busy`] while they are being kept, here or in another replica.
    pub async fn keeping(&self) -> Result<Arc<AdvisoryLock>, LakeError> {
        AdvisoryLock::take(self.db(), "keeping").await?.ok_or(LakeError::Busy("keeping of rows"))
    }

    /// Keep the rows that a view has for days of one month, computed of a snapshot: all of its rows of these days. The
    /// lock is that of [`Lake::keeping`].
    ///
    /// A month whose file is damaged is kept anew without it: its other days count no more.
    ///
    /// # Errors
    /// [`LakeError::UnknownSnapshot`] when the snapshot that was read has expired meanwhile: what has changed since may be
    /// forgotten. [`LakeError::Overtaken`] when somebody else has kept days of the month meanwhile, or what has no days has
    /// changed. When the database or a file fails.
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
        let live = self.live_days(table, &of_month).await?;
        let mut stay: HashSet<i32> =
            live.iter().filter(|day| !days.contains(day)).map(NaiveDate::to_epoch_days).collect();
        let mut ended: BTreeSet<NaiveDate> = days.clone();
        if let Err(error) = self.examine_unread(table, &files).await {
            let LakeError::Damaged(damage) = error else { return Err(error) };
            tracing::warn!(%damage, "kept rows are damaged: their days are computed anew");
            stay.clear();
            ended.extend(live);
        }
        let counts = count(&rows, days)?;
        let written = self.write_kept(lock, table, first, &files, stay, rows).await?;
        let mut tx = base::begin(self.db()).await?;
        let head = commit::lock(&mut tx).await?;
        let sql = "SELECT EXISTS (SELECT FROM lake.ducklake_snapshot WHERE snapshot_id = $1)";
        if !sqlx::query_scalar(sql).bind(read).fetch_one(&mut *tx).await? {
            return Err(LakeError::UnknownSnapshot(read));
        }
        if self.is_overtaken(&mut tx, table, read, newest, &of_month).await? {
            return Err(LakeError::Overtaken);
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
        end(&mut tx, table, &ended, begin).await?;
        let all: Vec<NaiveDate> = days.iter().copied().collect();
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

    /// The days of the month that are kept.
    async fn live_days(
        &self,
        table: &Table,
        of_month: &RangeInclusive<NaiveDate>,
    ) -> Result<Vec<NaiveDate>, sqlx::Error> {
        let sql = "SELECT business_day FROM sync.kept_day
                   WHERE table_id = $1 AND end_snapshot IS NULL AND business_day BETWEEN $2 AND $3";
        let live = sqlx::query_scalar(sql).bind(table.table_id).bind(of_month.start()).bind(of_month.end());
        live.fetch_all(self.db()).await
    }

    /// Whether days of the month were kept by another after this one looked at its files, or something ended what is kept of
    /// the view after the snapshot that was read.
    async fn is_overtaken(
        &self,
        tx: &mut PgConnection,
        table: &Table,
        read: i64,
        newest: i64,
        of_month: &RangeInclusive<NaiveDate>,
    ) -> Result<bool, sqlx::Error> {
        let sql = "SELECT EXISTS (SELECT FROM sync.kept_day
                                  WHERE table_id = $1 AND begin_snapshot > $3 AND business_day BETWEEN $4 AND $5)
                       OR EXISTS (SELECT FROM sync.kept_view WHERE table_id = $1 AND ended_snapshot > $2)";
        let asked = sqlx::query_scalar(sql).bind(table.table_id).bind(read).bind(newest);
        asked.bind(of_month.start()).bind(of_month.end()).fetch_one(tx).await
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
            rows = rows.select(table.columns().map(|column| column.name.as_str()))?;
            if !stay.is_empty() {
                let kept = scan::of_files(&table, &files)?.collect()?;
                let days = kept.column(BUSINESS_DAY)?.date()?.physical();
                let stays: BooleanChunked = days.iter().map(|day| day.is_some_and(|day| stay.contains(&day))).collect();
                rows = kept.filter(&stays)?.vstack(&rows)?;
            }
            if rows.height() == 0 {
                return Ok(None);
            }
            file::write(&table, &name, &mut file::by_day(&rows)?).map(Some)
        };
        pending::write(self, lock, paths, write).await
    }

    /// Forget the days of a view whose kept rows are in a damaged file.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_damaged(&self, view: &KeptView, damage: &Damage) -> Result<(), LakeError> {
        let newest = snapshot::current(self.db()).await?;
        let Some(table) = self.kept_table(newest, view).await? else { return Ok(()) };
        let files = snapshot::files(self.db(), newest, table.table_id, None).await?;
        let damaged = files.iter().filter(|file| paths(&table, std::slice::from_ref(file)).contains(&damage.path));
        for (first, last) in damaged.filter_map(|file| file.first_day.zip(file.last_day)) {
            let days: Vec<NaiveDate> = first.iter_days().take_while(|day| *day <= last).collect();
            self.forget_kept(view, &days).await?;
        }
        Ok(())
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
}

/// Ends days of a view with the snapshot in which other rows of them are kept.
async fn end(
    tx: &mut PgConnection,
    table: &Table,
    days: &BTreeSet<NaiveDate>,
    snapshot: i64,
) -> Result<(), sqlx::Error> {
    let days: Vec<NaiveDate> = days.iter().copied().collect();
    sqlx::query!(
        "UPDATE sync.kept_day SET end_snapshot = greatest($3, begin_snapshot)
             WHERE table_id = $1 AND business_day = ANY ($2) AND end_snapshot IS NULL",
        table.table_id,
        &days,
        snapshot
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends all that is kept of the views over a dataset, after a change that names no days.
pub(crate) async fn end_days(tx: &mut PgConnection, snapshot: i64, dataset: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT sync.end_kept_days($1, ARRAY[$2])", snapshot, dataset).execute(tx).await?;
    Ok(())
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
