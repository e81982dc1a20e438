//! Views whose rows are kept: what of them a statement reads, and keeping the days that have ended.
//!
//! The engine's input of such a view is what is kept of it and counts in the snapshot, and its SELECT over the other
//! days. It is decided here, where a statement's datasets become files, so that the statement is the same whatever is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use base::AdvisoryLock;
use chrono::{Datelike as _, Days, NaiveDate, Utc};
use lake::LakeError;
use lake::kept::{Due, KeptStatus};
use polars::prelude::{DataFrame, DataType, PolarsError, PolarsResult, SortMultipleOptions};
use serde::Serialize;

use super::Reports;
use super::ask::{Bounds, collect};
use super::day_end::day_end;
use super::engine::{Asker, KeptInput, Others, Shape, Work};
use super::error::ReportError;
use crate::report::language::header::{ColumnType, Engine};
use crate::report::language::keep::Kept;

/// The bounds on computing a month of a view.
const MONTH: Bounds = Bounds { rows: 50_000_000, ..Bounds::IN_BACKGROUND };

/// A month of a view whose days were kept.
#[derive(Debug, Clone, Serialize)]
pub struct KeptMonth {
    pub view: String,
    /// Any day of the month.
    pub first: NaiveDate,
    /// Days that were kept.
    pub days: usize,
    /// Their rows.
    pub rows: usize,
}

/// What is kept of a view, and for whom.
#[derive(Debug, Clone, Serialize)]
pub struct Rollup {
    pub view: String,
    pub title: String,
    /// The table of its rows in the lake's schema `kept`.
    pub table: String,
    pub key: Vec<String>,
    /// Days whose rows count in the newest snapshot.
    pub days: i64,
    /// Days that are kept and have changed since.
    pub outdated: i64,
    /// Rows of the days that count.
    pub rows: i64,
    /// Bytes of the files.
    pub bytes: i64,
    /// The reports that read it.
    pub reports: Vec<String>,
}

/// What a comparison of kept rows with the view's definition found.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    pub view: String,
    /// Days that were compared.
    pub days: usize,
    /// Rows that were compared.
    pub rows: usize,
    /// Days whose kept rows are not what the definition gives.
    pub wrong: Vec<NaiveDate>,
}

impl Reports {
    /// What a statement over some days reads of a view, in a snapshot; no days means all.
    pub(super) async fn kept_input(
        &self,
        snapshot: i64,
        kept: &Kept,
        days: &[RangeInclusive<NaiveDate>],
    ) -> Result<KeptInput, ReportError> {
        let rows = self.lake.kept(snapshot, &kept.view, days).await?;
        let others = except(days, rows.as_ref().map_or(&[], |rows| &rows.days));
        let mut datasets = BTreeMap::new();
        if !others.is_empty() {
            datasets = self.datasets(snapshot, &kept.view.inputs, &others).await?;
        }
        // Of days without rows in any input a view has none.
        let has_others = rows.is_none() || datasets.values().any(|dataset| dataset.files.rows > 0);
        let others = has_others.then(|| Others { select: kept.view.select.as_str().into(), datasets });
        let key = if kept.is_proved { kept.key.clone() } else { Vec::new() };
        Ok(KeptInput { key, rows: rows.map(|rows| rows.files), others })
    }

    /// Makes the lake's public views those of the catalogue, and lets go of rows that no catalogue wants any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tidy_rollups(&self) -> Result<(), ReportError> {
        let views: Vec<_> = self.catalogue().kept().map(|kept| kept.view.clone()).collect();
        // First what tells our views from those of others.
        for view in &views {
            self.lake.table_to_keep(view).await?;
        }
        self.lake.publish_views(&views).await?;
        self.lake.drop_unwanted().await?;
        Ok(())
    }

    /// The newest snapshot, and the last business day that has ended everywhere.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub async fn ended(&self) -> Result<(i64, NaiveDate), ReportError> {
        let snapshot = lake::snapshot::current(self.lake.db()).await?;
        let (zones, now, today) = (self.zones(snapshot).await?, Utc::now(), self.today());
        let ended =
            (0..3).map(|back| today - Days::new(back)).find(|day| day_end(*day, &zones, self.days().start) <= now);
        Ok((snapshot, ended.unwrap_or(today - Days::new(3))))
    }

    /// What is to be kept as of a snapshot, up to a day: months of views, that with the oldest change first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn to_keep(&self, (snapshot, last): (i64, NaiveDate)) -> Result<Vec<(Arc<Kept>, Due)>, ReportError> {
        let mut found = Vec::new();
        for kept in self.catalogue().kept() {
            let due = self.lake.due(snapshot, &kept.view, last).await?;
            found.extend(due.into_iter().map(|due| (Arc::clone(kept), due)));
        }
        found.sort_by_key(|(_, due)| due.since);
        Ok(found)
    }

    /// Computes and keeps the rows of days of a month, as they are in a snapshot.
    ///
    /// # Errors
    /// When they cannot be computed or written.
    pub async fn keep(
        &self,
        lock: &Arc<AdvisoryLock>,
        snapshot: i64,
        kept: &Kept,
        days: &BTreeSet<NaiveDate>,
    ) -> Result<KeptMonth, ReportError> {
        let rows = self.computed(snapshot, kept, days).await?;
        let (height, table) = (rows.height(), self.lake.table_to_keep(&kept.view).await?);
        self.lake.keep(lock, &table, snapshot, days, rows).await?;
        let first = days.first().copied().unwrap_or_default();
        Ok(KeptMonth { view: kept.view.name.clone(), first, days: days.len(), rows: height })
    }

    /// The rows that the definition of a view gives for days.
    async fn computed(&self, snapshot: i64, kept: &Kept, days: &BTreeSet<NaiveDate>) -> Result<DataFrame, ReportError> {
        let columns = kept.view.columns.iter().map(|column| (column.name.clone(), shown(column.kind)));
        let shape = Shape {
            report: format!("views/{}", kept.view.name),
            engine: Engine::Streaming,
            columns: columns.collect(),
            key: kept.key.clone(),
            most_rows: MONTH.rows,
        };
        self.lake.refuse_inlined(kept.view.inputs.iter().map(String::as_str)).await?;
        let datasets = self.datasets(snapshot, &kept.view.inputs, &lake::kept::ranges(days.iter().copied())).await?;
        let (statement, kept) = (kept.view.select.as_str().into(), BTreeMap::new());
        let work = Work { shape, statement, datasets, kept };
        collect(self.engine.rows(Arc::new(work), &Asker::Service, MONTH)).await
    }

    /// What is kept, by view.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rollups(&self) -> Result<Vec<Rollup>, ReportError> {
        let (catalogue, mut rollups) = (self.catalogue(), Vec::new());
        let snapshot = lake::snapshot::current(self.lake.db()).await?;
        for (view, kept) in catalogue.views().filter_map(|view| Some((view, view.kept()?))) {
            let KeptStatus { days, outdated, rows, bytes } = self.lake.kept_status(snapshot, &kept.view).await?;
            let readers = catalogue.reports().filter(|report| report.kept.contains_key(&view.name));
            rollups.push(Rollup {
                view: view.name.clone(),
                title: view.title.clone(),
                table: kept.view.table(),
                key: kept.key.clone(),
                days,
                outdated,
                rows,
                bytes,
                reports: readers.map(|report| report.name.clone()).collect(),
            });
        }
        Ok(rollups)
    }

    /// Compares the rows that are kept of a view and count with what its definition gives, and with `repair` forgets the
    /// days that differ or are in a damaged file: they are computed from the datasets until they are kept again.
    ///
    /// # Errors
    /// When the rows cannot be read or computed.
    pub async fn verify_rollup(&self, kept: &Kept, repair: bool) -> Result<Verified, ReportError> {
        let snapshot = lake::snapshot::current(self.lake.db()).await?;
        let mut found = Verified { view: kept.view.name.clone(), days: 0, rows: 0, wrong: Vec::new() };
        let counting = self.lake.kept(snapshot, &kept.view, &[]).await?.map(|rows| rows.days).unwrap_or_default();
        let mut months: BTreeMap<(i32, u32), BTreeSet<NaiveDate>> = BTreeMap::new();
        for day in counting.iter().flat_map(|range| range.start().iter_days().take_while(|day| day <= range.end())) {
            months.entry((day.year(), day.month())).or_default().insert(day);
        }
        for days in months.into_values() {
            let of_days = lake::kept::ranges(days.iter().copied());
            let Some(rows) = self.lake.kept(snapshot, &kept.view, &of_days).await? else { continue };
            let read = move || Ok::<_, LakeError>(rows.files.frame(&lake::References::default())?.collect()?);
            found.days += days.len();
            let differ = match self.lake.compute().run(read).await {
                Ok(read) => {
                    let computed = self.computed(snapshot, kept, &days).await?;
                    found.rows += computed.height();
                    let key = kept.key.clone();
                    let compare = move || Ok::<_, LakeError>(days_that_differ(&read, &computed, &days, &key)?);
                    self.lake.compute().run(compare).await?
                }
                Err(error) => {
                    let error = base::error_chain(&error);
                    tracing::warn!(view = kept.view.name, error, "kept rows cannot be read");
                    days.into_iter().collect()
                }
            };
            if repair {
                self.lake.forget_kept(&kept.view, &differ).await?;
            }
            found.wrong.extend(differ);
        }
        Ok(found)
    }
}

/// The days of which two frames do not have the same rows.
fn days_that_differ(
    read: &DataFrame,
    computed: &DataFrame,
    days: &BTreeSet<NaiveDate>,
    key: &[String],
) -> PolarsResult<Vec<NaiveDate>> {
    let sorted = |rows: &DataFrame| {
        let sorted = rows.sort(key.iter().map(String::as_str), SortMultipleOptions::default())?;
        sorted.partition_by_stable([lake::BUSINESS_DAY], true).map(by_day)
    };
    let (read, computed) = (sorted(read)??, sorted(computed)??);
    let same = |day: &NaiveDate| match (read.get(day), computed.get(day)) {
        (Some(read), Some(computed)) => {
            computed.select(read.get_column_names_owned()).is_ok_and(|it| it.equals_missing(read))
        }
        (None, None) => true,
        _ => false,
    };
    Ok(days.iter().filter(|day| !same(day)).copied().collect())
}

fn by_day(parts: Vec<DataFrame>) -> PolarsResult<BTreeMap<NaiveDate, DataFrame>> {
    let of = |part: DataFrame| {
        let day = part.column(lake::BUSINESS_DAY)?.cast(&DataType::Date)?.date()?.physical().get(0);
        let day = day.and_then(NaiveDate::from_epoch_days);
        let day = day.ok_or_else(|| PolarsError::ComputeError("a row without a business day".into()))?;
        Ok((day, part))
    };
    parts.into_iter().filter(|part| part.height() > 0).map(of).collect()
}

/// What a column of a kept table is as one of a report.
const fn shown(kind: lake::ColumnType) -> ColumnType {
    match kind {
        lake::ColumnType::Int32 => ColumnType::Int32,
        lake::ColumnType::Int64 | lake::ColumnType::Money => ColumnType::Int64,
        lake::ColumnType::String => ColumnType::String,
        lake::ColumnType::Bool => ColumnType::Bool,
        lake::ColumnType::Date => ColumnType::Date,
        // A local time reads as the moment that it would be in UTC.
        lake::ColumnType::Timestamp | lake::ColumnType::Local => ColumnType::Timestamp,
    }
}

/// Days without some of them; no days means all. Both are apart and in order.
fn except(days: &[RangeInclusive<NaiveDate>], without: &[RangeInclusive<NaiveDate>]) -> Vec<RangeInclusive<NaiveDate>> {
    let always = [NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default()
        ..=NaiveDate::from_ymd_opt(9999, 12, 31).unwrap_or_default()];
    let mut rest = Vec::new();
    for range in if days.is_empty() { &always } else { days } {
        let mut first = *range.start();
        for hole in without.iter().filter(|hole| hole.end() >= range.start() && hole.start() <= range.end()) {
            if *hole.start() > first {
                rest.push(first..=*hole.start() - Days::new(1));
            }
            first = *hole.end() + Days::new(1);
        }
        if first <= *range.end() {
            rest.push(first..=*range.end());
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use chrono::NaiveDate;

    use super::except;
    use crate::report::tests::company::day;

    fn days(ranges: &[(u32, u32)]) -> Vec<RangeInclusive<NaiveDate>> {
        let of = |of: u32| NaiveDate::from_ymd_opt(2026, 3, of).unwrap();
        ranges.iter().map(|(first, last)| of(*first)..=of(*last)).collect()
    }

    #[test]
    fn the_other_days_are_those_that_are_not_kept() {
        assert_eq!(except(&days(&[(3, 9)]), &days(&[])), days(&[(3, 9)]));
        assert_eq!(except(&days(&[(3, 9)]), &days(&[(3, 9)])), []);
        assert_eq!(except(&days(&[(3, 9)]), &days(&[(1, 4), (6, 6), (9, 12)])), days(&[(5, 5), (7, 8)]));
        assert_eq!(except(&days(&[(3, 5), (8, 9)]), &days(&[(4, 8)])), days(&[(3, 3), (9, 9)]));
        let all = except(&[], &days(&[(4, 8)]));
        assert_eq!(all, [day("0001-01-01")..=day("2026-03-03"), day("2026-03-09")..=day("9999-12-31")]);
    }
}
