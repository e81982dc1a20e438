//! A few changed rows of large files: found by their keys, deleted where they are.

use lake::deletes;

use super::*;

impl Group {
    /// Whether so many more rows can be deleted before the group is better written anew.
    pub(super) fn bears(&self, outdated: usize) -> bool {
        let files = if self.is_one_file() { FILES_OF_A_MONTH } else { FILES_OF_A_DAY };
        let rows: i64 = self.files.iter().map(|it| it.record_count).sum();
        let deleted: i64 = self.files.iter().map(|it| it.delete_count).sum();
        self.files.len() < files && (deleted + outdated as i64) * 2 < rows
    }
}

impl Merge {
    /// All rows of a group's files.
    pub(super) fn existing(&self, group: &Group) -> Result<DataFrame, LakeError> {
        Ok(scan::of_files(&self.table, &group.files)?.collect()?)
    }

    /// The delete vector of each file of a group.
    pub(super) fn delete_vectors(&self, group: &Group) -> Result<Vec<Vec<i64>>, LakeError> {
        group.files.iter().map(|file| deletes::existing(&self.table, file)).collect()
    }

    /// The rows of the files that have the key of one that came, each with its place.
    pub(super) fn touched(
        &self,
        group: &Group,
        came: &DataFrame,
        vectors: &[Vec<i64>],
    ) -> Result<DataFrame, LakeError> {
        let rows = scan::placed(&self.table, &group.files, PLACE)?;
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
        let rows = self.join(&rows.filter(wanted).collect()?, came, JoinType::Semi)?;
        let deleted = deleted_places(group, vectors);
        if deleted.is_empty() {
            return Ok(rows);
        }
        let places = rows.column(PLACE)?.idx()?.clone();
        let still: BooleanChunked =
            places.iter().map(|it| it.map(|place| !deleted.contains(&i64::from(place)))).collect();
        Ok(rows.filter(&still)?)
    }

    /// Delete rows that [`Self::touched`] found: the new delete vectors of the files that hold them.
    pub(super) fn delete(
        &self,
        group: &Group,
        outdated: &DataFrame,
        vectors: Vec<Vec<i64>>,
        names: Vec<Name>,
        merged: &mut Merged,
    ) -> Result<(), LakeError> {
        let places: Vec<i64> = outdated.column(PLACE)?.idx()?.iter().flatten().map(i64::from).collect();
        let mut first = 0;
        for ((file, name), mut vector) in group.files.iter().zip(names).zip(vectors) {
            let (of_file, before) = (first..first + file.record_count, vector.len());
            vector.extend(places.iter().filter(|it| of_file.contains(it)).map(|it| it - first));
            first = of_file.end;
            if vector.len() == before {
                merged.unused.push(name);
                continue;
            }
            merged.delete.push(deletes::write(&self.table, file, &name, vector)?);
        }
        Ok(())
    }
}

/// Places, among all rows of a group's files, of the deleted ones.
fn deleted_places(group: &Group, vectors: &[Vec<i64>]) -> HashSet<i64> {
    let mut first = 0;
    let mut deleted = HashSet::new();
    for (file, vector) in group.files.iter().zip(vectors) {
        deleted.extend(vector.iter().map(|position| first + position));
        first += file.record_count;
    }
    deleted
}
