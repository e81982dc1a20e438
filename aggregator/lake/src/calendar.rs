//! The built-in `calendar`: one row per day, in place of date functions that no two engines share.

use std::sync::Arc;

use base::AdvisoryLock;
use chrono::{Datelike, Days, NaiveDate, Weekday};
use polars::prelude::*;

use crate::{Column as Declared, ColumnType, Lake, LakeError, TableDefinition, snapshot};

/// Its name among the datasets.
pub const NAME: &str = "calendar";
/// The key column.
pub const KEY: &str = "business_day";
/// First and last year it covers: facts happen from 1970 on, which is the last day of 1969 in the west.
const YEARS: (i32, i32) = (1969, 2050);

/// Its columns. `previous_…_day` is 7, 28 or 364 days earlier: the same weekday.
pub fn columns() -> Vec<Declared> {
    [
        ("business_day", ColumnType::Date),
        ("week_start", ColumnType::Date),
        ("month_start", ColumnType::Date),
        ("quarter_start", ColumnType::Date),
        ("year", ColumnType::Int32),
        ("quarter", ColumnType::Int32),
        ("month", ColumnType::Int32),
        ("iso_week", ColumnType::Int32),
        ("day_of_week", ColumnType::Int32),
        ("is_weekend", ColumnType::Bool),
        ("previous_week_day", ColumnType::Date),
        ("previous_month_day", ColumnType::Date),
        ("previous_year_day", ColumnType::Date),
    ]
    .map(|(name, kind)| Declared::required(name, kind))
    .to_vec()
}

/// Its table.
#[must_use]
pub fn definition() -> TableDefinition {
    TableDefinition { name: NAME.to_owned(), columns: columns(), has_days: false }
}

impl Lake {
    /// Write the calendar's rows, unless they are there.
    pub(crate) async fn fill_calendar(&self) -> Result<(), LakeError> {
        // A second replica waits and then finds it done.
        let lock = AdvisoryLock::wait(&self.db, NAME).await?;
        let filled = self.fill_calendar_under(&lock).await;
        lock.release().await;
        filled
    }

    async fn fill_calendar_under(&self, lock: &Arc<AdvisoryLock>) -> Result<(), LakeError> {
        let (newest, table) = (snapshot::current(&self.db).await?, self.table(NAME)?);
        let files = snapshot::files(&self.db, newest, table.table_id, None).await?;
        let present: i64 = files.iter().map(|file| file.record_count).sum();
        // A calendar that began later holds the last days, and lacks those before them.
        let all = frame()?;
        let missing = all.height().saturating_sub(usize::try_from(present).unwrap_or(usize::MAX));
        if missing > 0 {
            self.add(lock, Arc::clone(self.table(NAME)?), vec![all.head(Some(missing))], NAME).await?;
        }
        Ok(())
    }
}

/// Its rows.
///
/// # Errors
/// When a frame cannot be made of them.
pub fn frame() -> PolarsResult<DataFrame> {
    let days: Vec<NaiveDate> = NaiveDate::from_ymd_opt(YEARS.0, 1, 1)
        .into_iter()
        .flat_map(|first| first.iter_days())
        .take_while(|it| it.year() <= YEARS.1)
        .collect();
    let dates = |name: &str, of: fn(NaiveDate) -> NaiveDate| {
        let values: Vec<i32> = days.iter().map(|it| of(*it).to_epoch_days()).collect();
        Int32Chunked::from_vec(name.into(), values).into_date().into_series().into()
    };
    let numbers = |name: &str, of: fn(NaiveDate) -> u32| {
        let values: Vec<i32> = days.iter().map(|it| of(*it).cast_signed()).collect();
        Int32Chunked::from_vec(name.into(), values).into_series().into()
    };
    let weekend = days.iter().map(|it| matches!(it.weekday(), Weekday::Sat | Weekday::Sun));
    let weekend = BooleanChunked::from_iter_values("is_weekend".into(), weekend).into_series();
    DataFrame::new(
        days.len(),
        vec![
            dates("business_day", |it| it),
            dates("week_start", |it| it - Days::new(u64::from(it.weekday().num_days_from_monday()))),
            dates("month_start", |it| it.with_day(1).unwrap_or(it)),
            dates("quarter_start", |it| {
                NaiveDate::from_ymd_opt(it.year(), (it.month() - 1) / 3 * 3 + 1, 1).unwrap_or(it)
            }),
            numbers("year", |it| it.year().cast_unsigned()),
            numbers("quarter", |it| (it.month() - 1) / 3 + 1),
            numbers("month", |it| it.month()),
            numbers("iso_week", |it| it.iso_week().week()),
            numbers("day_of_week", |it| it.weekday().number_from_monday()),
            weekend.into(),
            dates("previous_week_day", |it| it - Days::new(7)),
            dates("previous_month_day", |it| it - Days::new(28)),
            dates("previous_year_day", |it| it - Days::new(364)),
        ],
    )
}
