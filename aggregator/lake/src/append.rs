//! Adding rows that are known to be new: the calendar, and whoever fills a lake without a feed.

use std::sync::Arc;

use base::AdvisoryLock;
use polars::prelude::*;

use crate::commit::{self, ChangedDays, Counts, TableChange};
use crate::file::{self, Name};
use crate::table::Table;
use crate::{BUSINESS_DAY, Lake, LakeError, pending};

/// The source of rows that were not polled.
const BUILT_IN: &str = "tributary";

impl Lake {
    /// Add frames to a dataset, a file each, as one snapshot; their number is returned.
    ///
    /// The rows must have the table's columns, in any order, and keys that the dataset does not hold yet: a poll merges,
    /// this does not.
    ///
    /// # Errors
    /// On an unknown dataset or column; [`LakeError::Busy`] while another append is under way.
    pub async fn append(&self, dataset: &str, frames: Vec<DataFrame>) -> Result<i64, LakeError> {
        let table = Arc::clone(self.table(dataset)?);
        let lock = AdvisoryLock::take(&self.db, "append").await?.ok_or(LakeError::Busy("append"))?;
        let added = self.add(&lock, table, frames, &format!("rows added to {dataset}")).await;
        lock.release().await;
        added
    }

    /// As [`Lake::append`], under a lock that the caller holds.
    pub(crate) async fn add(
        &self,
        lock: &Arc<AdvisoryLock>,
        table: Arc<Table>,
        frames: Vec<DataFrame>,
        message: &str,
    ) -> Result<i64, LakeError> {
        let names = frames.iter().map(|frame| Ok(Name::of(&table, first_day(frame)?)));
        let names = names.collect::<PolarsResult<Vec<_>>>()?;
        let mut days = ChangedDays::new();
        for frame in &frames {
            count_days(&table, frame, &mut days)?;
        }
        let (paths, writer) = (file::pending(&names), Arc::clone(&table));
        let write = move || {
            let columns: Vec<&str> = writer.columns().map(|column| column.name.as_str()).collect();
            let written = names.iter().zip(frames).map(|(name, frame)| {
                let mut frame = frame.select(columns.iter().copied())?;
                file::write(&writer, name, &mut frame)
            });
            written.collect::<Result<Vec<_>, LakeError>>()
        };
        let add = pending::write(self, lock, paths, write).await?;
        let mut tx = base::begin(&self.db).await?;
        let head = commit::lock(&mut tx).await?;
        let change = TableChange { add, days, ..TableChange::of(&table) };
        let snapshot = commit::apply(&mut tx, &head, &[&change], BUILT_IN, message).await?;
        tx.commit().await?;
        Ok(snapshot)
    }
}

/// Counts a frame's rows by their days; those of a dataset without days by none.
fn count_days(table: &Table, frame: &DataFrame, days: &mut ChangedDays) -> PolarsResult<()> {
    let mut add = |day: Option<chrono::NaiveDate>, added: u64| {
        if added > 0 {
            days.entry(day).or_default().add(Counts { added, ..Counts::default() });
        }
    };
    if !table.has_days() {
        add(None, frame.height() as u64);
        return Ok(());
    }
    for day in frame.column(BUSINESS_DAY)?.date()?.physical().iter() {
        add(day.and_then(chrono::NaiveDate::from_epoch_days), 1);
    }
    Ok(())
}

/// The day that names a file; `None` where rows belong to none.
fn first_day(frame: &DataFrame) -> PolarsResult<Option<chrono::NaiveDate>> {
    let Ok(days) = frame.column(BUSINESS_DAY) else { return Ok(None) };
    Ok(days.date()?.physical().min().and_then(chrono::NaiveDate::from_epoch_days))
}
