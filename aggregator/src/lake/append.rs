//! Adding rows that are known to be new: the calendar, and whoever fills a lake without a feed.

use std::sync::Arc;

use base::{AdvisoryLock, Compute};
use polars::prelude::*;
use sqlx::PgPool;

use super::Lake;
use super::commit::{self, CommitError, TableChange};
use super::file::{self, Name};
use super::pending;
use super::table::Table;
use crate::Aggregator;
use crate::error::Error;
use crate::source::BUSINESS_DAY;

/// Add frames to a dataset, a file each, as one snapshot; their number is returned.
///
/// The rows must have the table's columns, in any order, and keys that the dataset does not hold yet: a poll merges,
/// this does not. Fails on an unknown dataset or column, and when another append is under way.
pub async fn append(aggregator: &Aggregator, dataset: &str, frames: Vec<DataFrame>) -> Result<i64, Error> {
    let table = Arc::clone(aggregator.lake().table(dataset)?);
    let Some(fence) = AdvisoryLock::take(aggregator.db(), "append").await? else {
        return Err(Error::Busy("append".to_owned()));
    };
    let message = format!("rows added to {dataset}");
    let added = add(aggregator.db(), aggregator.lake(), &aggregator.compute, table, frames, &fence, &message).await;
    fence.release().await;
    added
}

/// As [`append`], under a fence that the caller holds.
pub(super) async fn add(
    db: &PgPool,
    lake: &Lake,
    compute: &Compute,
    table: Arc<Table>,
    frames: Vec<DataFrame>,
    fence: &Arc<AdvisoryLock>,
    message: &str,
) -> Result<i64, Error> {
    let names = frames.iter().map(|frame| Ok(Name::of(&table, first_day(frame)?))).collect::<PolarsResult<Vec<_>>>()?;
    let paths = file::pending(&names);
    let (dir, writer) = (lake.dir().to_owned(), Arc::clone(&table));
    let write = move || {
        let columns: Vec<&str> = writer.columns().map(|column| column.name.as_str()).collect();
        let written = names.iter().zip(frames).map(|(name, frame)| {
            let mut frame = frame.select(columns.iter().copied())?;
            file::write(&dir, &writer, name, &mut frame)
        });
        written.collect::<Result<Vec<_>, Error>>()
    };
    let add = pending::write(fence, compute, lake.dir(), paths, write).await?;
    let mut tx = base::begin(db).await?;
    let head = commit::lock(&mut tx).await?;
    let change = TableChange { add, ..TableChange::of(&table) };
    match commit::apply(&mut tx, &head, &[&change], message).await {
        Ok(snapshot) => {
            tx.commit().await?;
            Ok(snapshot)
        }
        Err(CommitError::Overtaken) => Err(Error::Overtaken(1)),
        Err(CommitError::Failed(error)) => Err(error),
    }
}

/// The day that names a file; `None` where rows belong to none.
fn first_day(frame: &DataFrame) -> PolarsResult<Option<chrono::NaiveDate>> {
    let Ok(days) = frame.column(BUSINESS_DAY) else { return Ok(None) };
    Ok(days.date()?.physical().min().and_then(chrono::NaiveDate::from_epoch_days))
}
