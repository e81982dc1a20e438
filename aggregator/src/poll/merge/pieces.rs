//! A few changed rows of large files: found by their keys, marked as gone where they are.

use super::*;
use crate::lake::deletes;

impl Group {
    /// Whether so many more rows can be marked as gone before the group is better written anew.
    pub(super) fn bears(&self, outdated: usize) -> bool {
        let files = if self.is_one_file() { FILES_OF_A_MONTH } else { FILES_OF_A_DAY };
        let rows: i64 = self.files.iter().map(|it| it.record_count).sum();
        let gone: i64 = self.files.iter().map(|it| it.delete_count).sum();
        self.files.len() < files && (gone + outdated as i64) * 2 < rows
    }
}

impl Merge {
    /// All rows of a group's files.
    pub(super) fn held(&self, group: &Group) -> Result<DataFrame, Error> {
        Ok(scan::of_files(&self.table, &self.table_dir, &group.files)?.collect()?)
    }

    /// Of each file of a group, the positions that are marked as gone already.
    pub(super) fn marked(&self, group: &Group) -> Result<Vec<Vec<i64>>, Error> {
        group.files.iter().map(|file| deletes::held(&self.table_dir, file)).collect()
    }

    /// The rows held that have the key of one that came, each with its place.
    pub(super) fn touched(&self, group: &Group, came: &DataFrame, marked: &[Vec<i64>]) -> Result<DataFrame, Error> {
        let held = scan::placed(&self.table, &self.table_dir, &group.files, PLACE)?;
        let mut wanted = lit(true);
        // The first column of the key leaves nearly all out while the files are read; the join below is exact.
        if let Some(first) = self.key.first() {
            let values = came.column(first)?.as_materialized_series().unique()?;
            wanted = col(first.as_str()).is_in(lit(values.implode()?.into_series()), false);
        }
        let days = came.column(BUSINESS_DAY)?.date()?.physical();
        if let (Some(first), Some(last)) = (days.min(), days.max()) {
            let day = |days: i32| lit(days).cast(DataType::Date);
            wanted = wanted.and(col(BUSINESS_DAY).is_between(day(first), day(last), ClosedInterval::Both));
        }
        let rows = self.join(&held.filter(wanted).collect()?, came, JoinType::Semi)?;
        let gone = places_gone(group, marked);
        if gone.is_empty() {
            return Ok(rows);
        }
        let places = rows.column(PLACE)?.idx()?.clone();
        let still: BooleanChunked = places.iter().map(|it| it.map(|place| !gone.contains(&i64::from(place)))).collect();
        Ok(rows.filter(&still)?)
    }

    /// Marks on rows that [`Self::touched`] found.
    pub(super) fn mark(
        &self,
        group: &Group,
        outdated: &DataFrame,
        marked: Vec<Vec<i64>>,
        names: Vec<Name>,
        merged: &mut Merged,
    ) -> Result<Vec<NewDeletes>, Error> {
        let places: Vec<i64> = outdated.column(PLACE)?.idx()?.iter().flatten().map(i64::from).collect();
        let (mut first, mut marks) = (0, Vec::new());
        for ((file, name), mut gone) in group.files.iter().zip(names).zip(marked) {
            let (of_file, before) = (first..first + file.record_count, gone.len());
            gone.extend(places.iter().filter(|it| of_file.contains(it)).map(|it| it - first));
            first = of_file.end;
            if gone.len() == before {
                merged.unused.push(name);
                continue;
            }
            marks.push(deletes::write(&self.lake_dir, &self.table_dir, file, &name, gone)?);
        }
        Ok(marks)
    }
}

/// Places, among all rows of a group's files, of those that are marked as gone already.
fn places_gone(group: &Group, marked: &[Vec<i64>]) -> HashSet<i64> {
    let mut first = 0;
    let mut gone = HashSet::new();
    for (file, positions) in group.files.iter().zip(marked) {
        gone.extend(positions.iter().map(|position| first + position));
        first += file.record_count;
    }
    gone
}
