//! Merging one batch of groups: blocking work on frames.

#[path = "pieces.rs"]
mod pieces;

use std::collections::{BTreeSet, HashSet};

use polars::series::IsSorted;

use super::*;
use crate::lake::commit::Ended;
use crate::lake::deletes::NewDeletes;
use crate::lake::file::{Name, NewFile, by_day};
use crate::lake::scan;
use crate::source::page::{DELETED, key_text};

/// Live files from which on a group is written anew.
const FILES_OF_A_DAY: usize = 8;
const FILES_OF_A_MONTH: usize = 32;
/// Of a row: its place among those it was read with, the batch's or all of the group's files.
const PLACE: &str = "place of a row";

/// Rows by what happened to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) added: u64,
    pub(crate) changed: u64,
    pub(crate) removed: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.removed += other.removed;
    }
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) add: Vec<NewFile>,
    pub(super) end: Vec<Ended>,
    pub(super) mark: Vec<NewDeletes>,
    pub(super) days: BTreeMap<Option<NaiveDate>, Counts>,
    /// Rows held that did not come in a whole read.
    pub(super) missing: u64,
    /// Names given out and not needed.
    pub(super) unused: Vec<Name>,
}

/// The work, with all it needs to run on a blocking thread.
pub(super) struct Merge {
    pub(super) lake_dir: PathBuf,
    pub(super) table_dir: PathBuf,
    pub(super) table: Arc<Table>,
    pub(super) key: Vec<String>,
    pub(super) staged: Vec<PathBuf>,
    pub(super) whole: bool,
}

impl Merge {
    pub(super) fn run(&self, batch: Vec<Group>, names: Vec<Names>) -> Result<Merged, Error> {
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

    /// The batch's staged rows in the order of their days, the last delivery of each key, with the mark of deletion.
    fn staged_rows(&self, batch: &[Group]) -> Result<DataFrame, Error> {
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
    fn last_deliveries(&self, rows: DataFrame) -> Result<DataFrame, Error> {
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

    fn merge_group(&self, group: &Group, rows: DataFrame, names: Names, merged: &mut Merged) -> Result<(), Error> {
        let removed_mark = rows.column(DELETED)?.bool()?.clone();
        let gone = rows.filter(&removed_mark)?.select(self.key.iter().map(String::as_str))?;
        let live = rows.filter(&!removed_mark)?.drop(DELETED)?;
        if group.files.is_empty() {
            self.count(merged, &live, |it| &mut it.added)?;
            return self.write(group, live, names, merged);
        }
        // A whole read needs every row held, to see which did not come; another one those whose keys came.
        let in_pieces = !self.whole && self.table.has_days();
        let marked = if in_pieces { self.marked(group)? } else { Vec::new() };
        let held = if in_pieces { self.touched(group, &rows, &marked)? } else { self.held(group)? };
        // Rows held whose keys came again, were removed, or (in a whole read) did not come at all. Keys are unique on
        // either side, so that equal numbers spare a join: most polls bring changed rows and nothing else.
        let all_again = in_pieces && gone.height() == 0;
        let again = if all_again { held.clone() } else { self.join(&held, &live, JoinType::Semi)? };
        let leaving = self.join(&held, &gone, JoinType::Semi)?;
        let missing = if self.whole {
            let not_again = self.join(&held, &live, JoinType::Anti)?;
            self.join(&not_again, &gone, JoinType::Anti)?
        } else {
            held.clear()
        };
        let fresh = self.join_rows(&live, &again)?;
        merged.missing += missing.height() as u64;
        if fresh.height() + leaving.height() + missing.height() == 0 {
            merged.give_back(names);
            return Ok(());
        }
        let changed = self.join(&fresh, &again, JoinType::Semi)?;
        if changed.height() < fresh.height() {
            self.count(merged, &self.join(&fresh, &again, JoinType::Anti)?, |it| &mut it.added)?;
        }
        self.count(merged, &changed, |it| &mut it.changed)?;
        self.count(merged, &leaving, |it| &mut it.removed)?;
        self.count(merged, &missing, |it| &mut it.removed)?;
        let all_changed = changed.height() == again.height();
        let outdated = if all_changed { again } else { self.join(&again, &changed, JoinType::Semi)? };
        let outdated = outdated.vstack(&leaving)?;
        if in_pieces && group.bears(outdated.height()) {
            let marks = self.mark(group, &outdated, marked, names.deletes, merged)?;
            merged.mark.extend(marks);
            return self.write(group, fresh, Names { deletes: Vec::new(), ..names }, merged);
        }
        let kept = if self.whole {
            held.clear()
        } else {
            let held = if in_pieces { self.held(group)? } else { held };
            self.join(&self.join(&held, &live, JoinType::Anti)?, &gone, JoinType::Anti)?
        };
        merged.end.extend(group.files.iter().map(Ended::of));
        self.write(group, kept.vstack(&live)?, names, merged)
    }

    /// Rows into one file or one per day, as the group's are.
    fn write(&self, group: &Group, rows: DataFrame, names: Names, merged: &mut Merged) -> Result<(), Error> {
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
            merged.add.push(file::write(&self.lake_dir, &self.table, &name, &mut of_day)?);
        }
        Ok(())
    }

    /// Semi or anti join by the key.
    fn join(&self, left: &DataFrame, right: &DataFrame, how: JoinType) -> Result<DataFrame, Error> {
        if right.height() == 0 || left.height() == 0 {
            return Ok(if how == JoinType::Semi { left.clear() } else { left.clone() });
        }
        let key: Vec<Expr> = self.key.iter().map(|it| col(it.as_str())).collect();
        Ok(left.clone().lazy().join(right.clone().lazy(), key.clone(), key, JoinArgs::new(how)).collect()?)
    }

    /// Rows of `left` that `right` does not hold in every column, NULL being equal to NULL.
    fn join_rows(&self, left: &DataFrame, right: &DataFrame) -> Result<DataFrame, Error> {
        if right.height() == 0 || left.height() == 0 {
            return Ok(left.clone());
        }
        let all: Vec<Expr> = self.table.columns().map(|it| col(it.name.as_str())).collect();
        let args = JoinArgs { nulls_equal: true, ..JoinArgs::new(JoinType::Anti) };
        Ok(left.clone().lazy().join(right.clone().lazy(), all.clone(), all, args).collect()?)
    }

    fn count(&self, merged: &mut Merged, rows: &DataFrame, which: fn(&mut Counts) -> &mut u64) -> Result<(), Error> {
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

/// Those of some entries whose key stands in the staged rows.
pub(super) fn known_keys(
    table: &Table,
    key: &[String],
    staged: &[PathBuf],
    entries: Vec<(i64, String)>,
) -> Result<Vec<i64>, Error> {
    let mut schema = table.schema();
    schema.insert(DELETED.into(), DataType::Boolean);
    let columns: Vec<Expr> = key.iter().map(|it| col(it.as_str())).collect();
    let rows = scan::of_paths(Arc::new(schema), staged, None, MissingColumnsPolicy::Raise)?;
    let rows = rows.select(columns).collect()?;
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

/// The rows of some days, out of rows in the order of their days.
fn slice_days(rows: &DataFrame, days: &RangeInclusive<NaiveDate>) -> Result<DataFrame, Error> {
    let column = rows.column(BUSINESS_DAY)?.date()?.physical().rechunk();
    let sorted = column.cont_slice()?;
    let (first, last) = (days.start().to_epoch_days(), days.end().to_epoch_days());
    let from = sorted.partition_point(|day| *day < first);
    let to = sorted.partition_point(|day| *day <= last);
    Ok(rows.slice(i64::try_from(from).unwrap_or(i64::MAX), to - from))
}
