//! The merging half of a poll: staged rows against the files that are live, one group of days at a time.
//!
//! A group is the smallest set of days whose files touch no other day: one day, or a month that has
//! been made one file, or a whole dataset without days. Within it the last delivery of a key wins,
//! rows that came again unchanged are no change, and rows marked as deleted leave. A few changed rows
//! of a large file are deleted by position and their new state is put beside it; a group in which such
//! pieces have become many is written anew.

mod group;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lake::commit::TableChange;
use lake::{BUSINESS_DAY, DataFile, LakeError, Table, file, pending, snapshot};
use polars::prelude::*;
use uuid::Uuid;

use super::stage::{self, Refresh, StagedDataset, StagedPart};
use super::{Drops, Held, Poll, PollError, quarantine};
use group::{Merge, Merged};

/// Staged rows of a batch, unless one group alone has more.
const ROWS_AT_ONCE: u64 = 300_000;

/// Batches that are merged at once: one encodes while another is read.
const AT_ONCE: usize = 2;

/// What a dataset's staged rows change.
pub(super) struct DatasetChange {
    pub(super) files: TableChange,
    /// Quarantine entries whose keys came again and fit.
    pub(super) fitted: Vec<i64>,
}

impl DatasetChange {
    /// Adds what a batch came to; the answer is the keys of the rows of the lake that a full refresh did not bring on their day.
    fn take_in(&mut self, merged: Merged) -> Vec<DataFrame> {
        self.files.add.extend(merged.add);
        self.files.end.extend(merged.end);
        self.files.delete.extend(merged.delete);
        for (day, counts) in merged.days {
            self.files.days.entry(day).or_default().add(counts);
        }
        merged.missing
    }
}

/// Days (or all there is) with the live files that hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    days: Option<RangeInclusive<NaiveDate>>,
    files: Vec<DataFile>,
    rows: u64,
}

impl Poll<'_> {
    /// Merge a dataset's parts against the files of a snapshot; the new files are written and pending. A dataset that would
    /// lose too many rows is held back, and has none.
    pub(super) async fn merge(
        &self,
        base: i64,
        poll: Uuid,
        staged: &StagedDataset,
        parts: &[StagedPart],
    ) -> Result<Result<DatasetChange, Held>, PollError> {
        let table = Arc::clone(self.lake.table(&staged.dataset)?);
        let live = snapshot::files(self.db(), base, table.table_id, None).await?;
        let existing: i64 = live.iter().map(|it| it.record_count - it.delete_count).sum();
        let declared = self.source.declaration.datasets.iter().find(|it| it.name == staged.dataset);
        let declared = declared.ok_or_else(|| LakeError::UnknownDataset(staged.dataset.clone()))?;
        let work = Arc::new(Merge {
            table: Arc::clone(&table),
            key: declared.key.clone(),
            local_time: declared.business_day.as_ref().and_then(|it| it.local.clone()),
            staged: stage::files(self.lake.dir(), parts),
            refresh: staged.refresh,
        });
        let mut change =
            DatasetChange { files: TableChange::of(&table), fitted: self.fitted(poll, &staged.dataset, &work).await? };
        let grouping =
            Grouping { refresh: staged.refresh, has_days: table.has_days(), today: self.lake.days().today() };
        let mut missing = Vec::new();
        let merge = |batch| self.merge_batch(&work, batch);
        let mut batches = batches(grouping.groups(live, parts)).into_iter();
        let mut merging: FuturesUnordered<_> = batches.by_ref().take(AT_ONCE).map(merge).collect();
        let mut outcome = Ok(());
        while let Some(merged) = merging.next().await {
            match merged {
                Ok(merged) => missing.extend(change.take_in(merged)),
                Err(error) => outcome = outcome.and(Err(error)),
            }
            // Those under way end before a failure is passed on: the lock is free when the poll says that it has ended.
            if outcome.is_ok() {
                merging.extend(batches.next().map(merge));
            }
        }
        outcome?;
        if let Some(held) = self.guard(&work, missing, existing).await? {
            self.remove_new(std::slice::from_ref(&change)).await;
            return Ok(Err(held));
        }
        Ok(Ok(change))
    }

    async fn merge_batch(&self, work: &Arc<Merge>, batch: Vec<Group>) -> Result<Merged, LakeError> {
        let names = names(&work.table, &batch);
        let paths = file::pending(names.iter().flat_map(Names::all));
        let read: Vec<DataFile> = batch.iter().flat_map(|group| group.files.iter().cloned()).collect();
        self.lake.examine_unread(&work.table, &read).await?;
        let (work, table) = (Arc::clone(work), Arc::clone(&work.table));
        let merged = match pending::write(self.lake, self.lock, paths, move || work.run(batch, names)).await {
            Err(error) => return Err(self.lake.blame(error, &table, &read).await),
            Ok(merged) => merged,
        };
        pending::forget(self.lake, &file::pending(&merged.unused)).await?;
        Ok(merged)
    }

    /// A full refresh that lacks many of the rows in the lake is more likely a broken source than a changed one. What came
    /// on another day is not lacking: days move when a source begins to tell local times, or the company another start.
    async fn guard(
        &self,
        work: &Arc<Merge>,
        missing: Vec<DataFrame>,
        existing: i64,
    ) -> Result<Option<Held>, PollError> {
        let (allowed, existing) = (self.source.declaration.drop_share, existing.unsigned_abs());
        let is_too_much = |dropped: usize| dropped as f64 > existing as f64 * allowed;
        if self.drops != Drops::Guarded || !is_too_much(missing.iter().map(DataFrame::height).sum()) {
            return Ok(None);
        }
        let (dataset, work) = (work.table.name.clone(), Arc::clone(work));
        let dropped = self.lake.compute().run(move || work.lacking(missing)).await?;
        if is_too_much(dropped) {
            return Ok(Some(Held { dataset, dropped: dropped as u64, existing, allowed }));
        }
        Ok(None)
    }

    /// Which open quarantine entries have keys among the rows that came and fit.
    async fn fitted(&self, poll: Uuid, dataset: &str, work: &Arc<Merge>) -> Result<Vec<i64>, PollError> {
        let open = quarantine::open_keys(self.db(), dataset, poll).await?;
        if open.is_empty() || work.staged.is_empty() {
            return Ok(Vec::new());
        }
        let work = Arc::clone(work);
        Ok(self.lake.compute().run(move || work.known_keys(&open)).await?)
    }
}

/// Names for every file that a group may bring forth.
struct Names {
    /// At most one per day that it touches.
    rows: Vec<(Option<NaiveDate>, file::Name)>,
    /// One per live file, for its deleted rows.
    deletes: Vec<file::Name>,
}

impl Names {
    fn all(&self) -> impl Iterator<Item = &file::Name> {
        self.rows.iter().map(|(_, name)| name).chain(&self.deletes)
    }
}

fn names(table: &Table, batch: &[Group]) -> Vec<Names> {
    let names = batch.iter().map(|group| {
        let days: Vec<_> = match &group.days {
            Some(days) if group.is_one_file() => vec![Some(*days.start())],
            Some(days) => days.start().iter_days().take_while(|it| it <= days.end()).map(Some).collect(),
            None => vec![None],
        };
        Names {
            rows: days.into_iter().map(|day| (day, file::Name::of(table, day))).collect(),
            deletes: group.files.iter().map(|it| file::Name::of_deletes(table, &it.path)).collect(),
        }
    });
    names.collect()
}

/// What decides which days are merged together.
struct Grouping {
    refresh: Refresh,
    has_days: bool,
    today: NaiveDate,
}

impl Grouping {
    /// Sort days and live files into groups that can be merged one without the other.
    ///
    /// Days of a month that is over go into one file as far as memory allows, as compaction would leave them.
    fn groups(&self, live: Vec<DataFile>, parts: &[StagedPart]) -> Vec<Group> {
        let is_full = self.refresh == Refresh::Full;
        if !self.has_days {
            let rows = parts.iter().map(|it| it.rows_read.unsigned_abs()).sum();
            let touched = is_full || parts.iter().any(|it| it.path.is_some());
            return if touched { vec![Group { days: None, files: live, rows }] } else { Vec::new() };
        }
        let mut staged: BTreeMap<NaiveDate, u64> = BTreeMap::new();
        for (day, rows) in parts.iter().flat_map(|it| it.days.iter()) {
            *staged.entry(*day).or_default() += rows;
        }
        let mut groups: Vec<Group> =
            staged.into_iter().map(|(day, rows)| Group { days: Some(day..=day), files: Vec::new(), rows }).collect();
        for file in live {
            let (Some(first), Some(last)) = (file.first_day, file.last_day) else { continue };
            let touches =
                |group: &Group| group.days.as_ref().is_some_and(|it| *it.start() <= last && *it.end() >= first);
            let (touched, others): (Vec<_>, Vec<_>) = groups.into_iter().partition(touches);
            groups = others;
            if touched.is_empty() && !is_full {
                continue;
            }
            let mut joined = Group { days: Some(first..=last), files: vec![file], rows: 0 };
            for group in touched {
                joined.absorb(group);
            }
            groups.push(joined);
        }
        groups.sort_by_key(|it| it.days.as_ref().map(|days| *days.start()));
        let mut joined: Vec<Group> = Vec::with_capacity(groups.len());
        for group in groups {
            match joined.last_mut() {
                Some(last) if last.belongs_with(&group, self.today) => last.absorb(group),
                _ => joined.push(group),
            }
        }
        joined
    }
}

impl Group {
    /// Whether new days can go into one file.
    fn belongs_with(&self, next: &Self, today: NaiveDate) -> bool {
        let (Some(mine), Some(theirs)) = (&self.days, &next.days) else { return false };
        let month = |day: &NaiveDate| (day.year(), day.month());
        self.files.is_empty()
            && next.files.is_empty()
            && month(mine.start()) == month(theirs.end())
            && month(theirs.end()) < month(&today)
            && self.rows + next.rows <= ROWS_AT_ONCE
    }

    /// Whether all its rows go into one file: they did so far, or it is new and of several days.
    fn is_one_file(&self) -> bool {
        let spans = |file: &DataFile| file.first_day != file.last_day;
        match &self.days {
            Some(days) if self.files.is_empty() => days.start() != days.end(),
            _ => self.files.iter().any(spans),
        }
    }

    fn absorb(&mut self, other: Self) {
        self.rows += other.rows;
        self.files.extend(other.files);
        if let (Some(mine), Some(theirs)) = (&self.days, &other.days) {
            self.days = Some(*mine.start().min(theirs.start())..=*mine.end().max(theirs.end()));
        }
    }
}

/// Neighbouring groups together, as far as memory allows: each batch reads its part of the stage once.
fn batches(groups: Vec<Group>) -> Vec<Vec<Group>> {
    let mut batches: Vec<Vec<Group>> = Vec::new();
    let mut rows = 0;
    for group in groups {
        let next = group.rows + group.files.iter().map(|it| it.record_count.unsigned_abs()).sum::<u64>();
        match batches.last_mut() {
            Some(batch) if rows + next <= ROWS_AT_ONCE => {
                rows += next;
                batch.push(group);
            }
            _ => {
                rows = next;
                batches.push(vec![group]);
            }
        }
    }
    batches
}

#[cfg(test)]
#[path = "merge/tests.rs"]
mod tests;
