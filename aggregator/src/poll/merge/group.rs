//! Merging one batch of groups: blocking work on frames.

#[path = "pieces.rs"]
mod pieces;

use std::collections::{BTreeSet, HashSet};

use lake::commit::{ChangedDays, Counts, Ended};
use lake::deletes::NewDeleteFile;
use lake::file::{Name, NewFile, by_day};
use lake::scan;
use polars::series::IsSorted;

use super::*;
use crate::source::page::{DELETED, key_text};

/// Live files from which on a group is written anew.
const FILES_OF_A_DAY: usize = 8;
const FILES_OF_A_MONTH: usize = 32;
/// Staged files whose keys are compared at a time.
const FILES_AT_ONCE: usize = 16;
/// Of a row: its place among those it was read with, the batch's or all of the group's files.
const PLACE: &str = "place of a row";

/// What a batch came to.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) add: Vec<NewFile>,
    pub(super) end: Vec<Ended>,
    pub(super) delete: Vec<NewDeleteFile>,
    pub(super) days: ChangedDays,
    /// Keys of the lake's rows that did not come in a full refresh, of their day at least.
    pub(super) missing: Vec<DataFrame>,
    /// Names given out and not needed.
    pub(super) unused: Vec<Name>,
}

/// What the rows that came are to those in the files.
struct Compared {
    /// Rows that the files do not hold in every column.
    fresh: DataFrame,
    /// Rows of the files that are changed or removed.
    outdated: DataFrame,
}

/// The work, with all it needs to run on a blocking thread.
pub(super) struct Merge {
    pub(super) table: Arc<Table>,
    pub(super) key: Vec<String>,
    /// The column of the local time. No report reads it, only what follows from it: where it alone is new, no figure is.
    pub(super) local_time: Option<String>,
    pub(super) staged: Vec<PathBuf>,
    pub(super) refresh: Refresh,
}

impl Merge {
    pub(super) fn run(&self, batch: Vec<Group>, names: Vec<Names>) -> Result<Merged, LakeError> {
        let staged = self.staged_rows(&batch)?;
        let mut merged = Merged::default();
        for (group, names) in batch.iter().zip(names) {
            let rows = match &group.days {
                Some(days) => slice_days(&staged, days)?,
                None => staged.clone(),
            };
            self.merge_group(group, rows, names, &mut merged)?;
        }
        Ok(merged)
    }

    /// The batch's staged rows in the order of their days, the last delivery of each key, and whether it is deleted.
    fn staged_rows(&self, batch: &[Group]) -> Result<DataFrame, LakeError> {
        let mut schema = self.table.schema();
        schema.insert(DELETED.into(), DataType::Boolean);
        let mut rows = scan::of_paths(Arc::new(schema), &self.staged, None, MissingColumnsPolicy::Raise)?;
        let days = batch.iter().filter_map(|it| it.days.as_ref());
        if let (Some(first), Some(last)) = (days.clone().map(|it| *it.start()).min(), days.map(|it| *it.end()).max()) {
            rows = rows.filter(col(BUSINESS_DAY).is_between(lit(first), lit(last), ClosedInterval::Both));
        }
        self.last_deliveries(rows.collect()?)
    }

    /// Of each key the last row, in the order of the days. Each column is let go of when its rows are picked out: in a
    /// batch of a first poll these columns are most of the memory that the process ever needs.
    fn last_deliveries(&self, rows: DataFrame) -> Result<DataFrame, LakeError> {
        let day = self.table.has_days().then_some(BUSINESS_DAY);
        let telling: BTreeSet<&str> = self.key.iter().map(String::as_str).chain(day).collect();
        let telling = rows.select(telling)?.with_row_index(PLACE.into(), None)?;
        let mut last = telling.unique_stable(Some(&self.key), UniqueKeepStrategy::Last, None)?;
        if day.is_some() {
            last = by_day(&last)?;
        }
        let places = last.column(PLACE)?.idx()?;
        // In one piece first: text that is picked out of several is copied, each time that it comes.
        let columns = rows.into_columns().into_iter().map(|column| column.rechunk().take(places));
        let mut columns = columns.collect::<PolarsResult<Vec<Column>>>()?;
        if let Some(days) = columns.iter_mut().find(|it| Some(it.name().as_str()) == day) {
            // What sorts by day from here on has nothing to do.
            days.set_sorted_flag(IsSorted::Ascending);
        }
        Ok(DataFrame::new(last.height(), columns)?)
    }

    /// Merges the rows that came for a group with those of its files. By key, the last delivery of each:
    ///
    /// | came | in the files | incremental | full refresh |
    /// |---|---|---|---|
    /// | a row | no row | added | added |
    /// | a row | the same row, in every column | stays | stays |
    /// | a row | another row | changed: the old one leaves | changed: the old one leaves |
    /// | deleted | a row | removed | removed |
    /// | deleted | no row | nothing | nothing |
    /// | nothing | a row | stays | removed, and counted as missing |
    ///
    /// A row whose position a delete vector holds is in no file. What leaves is deleted by position while the group
    /// [bears](Group::bears) it, and its files are else written anew: then every row that stays is written again.
    fn merge_group(&self, group: &Group, rows: DataFrame, names: Names, merged: &mut Merged) -> Result<(), LakeError> {
        let is_deleted = rows.column(DELETED)?.bool()?.clone();
        let deleted = rows.filter(&is_deleted)?.select(self.key.iter().map(String::as_str))?;
        let live = rows.filter(&!is_deleted)?.drop(DELETED)?;
        if group.files.is_empty() {
            self.count(merged, &live, |it| &mut it.added)?;
            return self.write(group, live, names, merged);
        }
        // A full refresh needs every row of the files, to see which did not come; another one those whose keys came.
        let in_pieces = self.refresh == Refresh::Incremental && self.table.has_days();
        let vectors = if in_pieces { self.delete_vectors(group)? } else { Vec::new() };
        let existing = if in_pieces { self.touched(group, &rows, &vectors)? } else { self.existing(group)? };
        let Some(Compared { fresh, outdated }) = self.compare(&existing, &live, &deleted, merged)? else {
            merged.give_back(names);
            return Ok(());
        };
        if in_pieces && group.bears(outdated.height()) {
            self.delete(group, &outdated, vectors, names.deletes, merged)?;
            return self.write(group, fresh, Names { deletes: Vec::new(), ..names }, merged);
        }
        let kept = if self.refresh == Refresh::Full {
            existing.clear()
        } else {
            let existing = if in_pieces { self.existing(group)? } else { existing };
            self.join(&self.join(&existing, &live, JoinType::Anti)?, &deleted, JoinType::Anti)?
        };
        merged.end.extend(group.files.iter().map(Ended::of));
        self.write(group, kept.vstack(&live)?, names, merged)
    }

    /// Counts what the rows that came change of the `existing` ones, which are all or those whose keys came; `None` when
    /// they change nothing.
    fn compare(
        &self,
        existing: &DataFrame,
        live: &DataFrame,
        deleted: &DataFrame,
        merged: &mut Merged,
    ) -> Result<Option<Compared>, LakeError> {
        let is_full = self.refresh == Refresh::Full;
        // Existing rows whose keys came again, were removed, or (in a full refresh) did not come at all. Keys are unique
        // on either side, so that equal numbers spare a join: most polls bring changed rows and nothing else.
        let all_again = !is_full && self.table.has_days() && deleted.height() == 0;
        let again = if all_again { existing.clone() } else { self.join(existing, live, JoinType::Semi)? };
        let leaving = self.join(existing, deleted, JoinType::Semi)?;
        let missing = if is_full {
            let not_again = self.join(existing, live, JoinType::Anti)?;
            self.join(&not_again, deleted, JoinType::Anti)?
        } else {
            existing.clear()
        };
        let fresh = self.join_rows(live, &again)?;
        if missing.height() > 0 {
            merged.missing.push(missing.select(self.key.iter().map(String::as_str))?);
        }
        if fresh.height() + leaving.height() + missing.height() == 0 {
            return Ok(None);
        }
        let changed = self.join(&fresh, &again, JoinType::Semi)?;
        if changed.height() < fresh.height() {
            self.count(merged, &self.join(&fresh, &again, JoinType::Anti)?, |it| &mut it.added)?;
        }
        let counted = match &self.local_time {
            Some(local_time) => self.join_rows_but(&changed, &again, Some(local_time))?,
            None => changed.clone(),
        };
        self.count(merged, &counted, |it| &mut it.changed)?;
        self.count(merged, &leaving, |it| &mut it.removed)?;
        self.count(merged, &missing, |it| &mut it.removed)?;
        let all_changed = changed.height() == again.height();
        let outdated = if all_changed { again } else { self.join(&again, &changed, JoinType::Semi)? };
        Ok(Some(Compared { fresh, outdated: outdated.vstack(&leaving)? }))
    }

    /// Rows into one file or one per day, as the group's are.
    fn write(&self, group: &Group, rows: DataFrame, names: Names, merged: &mut Merged) -> Result<(), LakeError> {
        merged.unused.extend(names.deletes);
        let several = names.rows.len() > 1;
        let rows = if several || group.is_one_file() { by_day(&rows)? } else { rows };
        for (day, name) in names.rows {
            let mut of_day = match day {
                Some(day) if several => slice_days(&rows, &(day..=day))?,
                _ => rows.clone(),
            };
            if of_day.height() == 0 {
                merged.unused.push(name);
                continue;
            }
            merged.add.push(file::write(&self.table, &name, &mut of_day)?);
        }
        Ok(())
    }

    /// Semi or anti join by the key.
    fn join(&self, left: &DataFrame, right: &DataFrame, how: JoinType) -> Result<DataFrame, LakeError> {
        if right.height() == 0 || left.height() == 0 {
            return Ok(if how == JoinType::Semi { left.clear() } else { left.clone() });
        }
        let key: Vec<Expr> = self.key.iter().map(|it| col(it.as_str())).collect();
        Ok(left.clone().lazy().join(right.clone().lazy(), key.clone(), key, JoinArgs::new(how)).collect()?)
    }

    /// Rows of `left` that `right` does not hold in every column, NULL being equal to NULL.
    fn join_rows(&self, left: &DataFrame, right: &DataFrame) -> Result<DataFrame, LakeError> {
        self.join_rows_but(left, right, None)
    }

    /// The same, whatever stands in one of the columns.
    fn join_rows_but(&self, left: &DataFrame, right: &DataFrame, but: Option<&str>) -> Result<DataFrame, LakeError> {
        if right.height() == 0 || left.height() == 0 {
            return Ok(left.clone());
        }
        let columns = self.table.columns().map(|it| it.name.as_str());
        let all: Vec<Expr> = columns.filter(|it| Some(*it) != but).map(col).collect();
        let args = JoinArgs { nulls_equal: true, ..JoinArgs::new(JoinType::Anti) };
        Ok(left.clone().lazy().join(right.clone().lazy(), all.clone(), all, args).collect()?)
    }

    /// How many of these keys came on no day. Some files are looked at together: a key is some bytes, and there may be
    /// many millions of them.
    pub(super) fn lacking(&self, keys: Vec<DataFrame>) -> Result<usize, LakeError> {
        let mut lacking: Option<DataFrame> = None;
        for keys in keys {
            match &mut lacking {
                Some(all) => all.vstack_mut_owned(keys).map(drop)?,
                None => lacking = Some(keys),
            }
        }
        let Some(mut lacking) = lacking else { return Ok(0) };
        for files in self.staged.chunks(FILES_AT_ONCE) {
            lacking = self.join(&lacking, &self.keys_of(files)?, JoinType::Anti)?;
        }
        Ok(lacking.height())
    }

    /// The keys of staged rows.
    fn keys_of(&self, files: &[PathBuf]) -> Result<DataFrame, LakeError> {
        let mut schema = self.table.schema();
        schema.insert(DELETED.into(), DataType::Boolean);
        let columns: Vec<Expr> = self.key.iter().map(|it| col(it.as_str())).collect();
        let rows = scan::of_paths(Arc::new(schema), files, None, MissingColumnsPolicy::Raise)?;
        Ok(rows.select(columns).collect()?)
    }

    /// Those of some quarantine entries whose key stands in the staged rows.
    pub(super) fn known_keys(&self, entries: &[(i64, String)]) -> Result<Vec<i64>, LakeError> {
        let rows = self.keys_of(&self.staged)?;
        let wanted: HashSet<&str> = entries.iter().map(|(_, key)| key.as_str()).collect();
        let mut found = HashSet::new();
        for row in 0..rows.height() {
            let parts = rows.columns().iter().map(|it| Ok(it.get(row)?.str_value().into_owned()));
            let text = key_text(parts.collect::<PolarsResult<Vec<String>>>()?);
            if let Some(known) = wanted.get(text.as_str()) {
                found.insert(*known);
            }
        }
        Ok(entries.iter().filter(|(_, key)| found.contains(key.as_str())).map(|(id, _)| *id).collect())
    }

    fn count(
        &self,
        merged: &mut Merged,
        rows: &DataFrame,
        which: fn(&mut Counts) -> &mut u64,
    ) -> Result<(), LakeError> {
        if rows.height() == 0 {
            return Ok(());
        }
        if !self.table.has_days() {
            *which(merged.days.entry(None).or_default()) += rows.height() as u64;
            return Ok(());
        }
        let days = rows.column(BUSINESS_DAY)?.date()?.physical().clone();
        for day in days.iter().flatten().filter_map(NaiveDate::from_epoch_days) {
            *which(merged.days.entry(Some(day)).or_default()) += 1;
        }
        Ok(())
    }
}

impl Merged {
    fn give_back(&mut self, names: Names) {
        self.unused.extend(names.rows.into_iter().map(|(_, name)| name));
        self.unused.extend(names.deletes);
    }
}

/// The rows of some days, out of rows in the order of their days.
fn slice_days(rows: &DataFrame, days: &RangeInclusive<NaiveDate>) -> Result<DataFrame, LakeError> {
    let column = rows.column(BUSINESS_DAY)?.date()?.physical().rechunk();
    let sorted = column.cont_slice()?;
    let (first, last) = (days.start().to_epoch_days(), days.end().to_epoch_days());
    let from = sorted.partition_point(|day| *day < first);
    let to = sorted.partition_point(|day| *day <= last);
    Ok(rows.slice(i64::try_from(from).unwrap_or(i64::MAX), to - from))
}
