//! Kept rows of views, day by day: which of them count in a snapshot, and what is to be kept next.
//!
//! The rows of a view for a day were computed of one snapshot, the one that was read. **They count in a snapshot when
//! they are live in it and no input of the view has changed that day since what was read**: late rows, vanished days,
//! whole re-reads, compaction and time travel need no rule of their own, and another SELECT is another view. What names no
//! days, a column that goes or a write of DuckDB's, ends all that is kept of it. What does not count is computed from the
//! datasets, so that kept rows are never wrong and never missing.

mod keep;
mod public;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use chrono::{Datelike as _, Days, NaiveDate};
use sqlx::FromRow;

pub(crate) use self::keep::end_days;
use crate::table::{Ids, Place};
use crate::{Column, FileSet, Lake, LakeError, Table, TableDefinition, snapshot};

/// The lake's schema of kept rows.
const SCHEMA: &str = "kept";

/// A view whose rows are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptView {
    /// Its name among the views.
    pub name: String,
    /// Of its name and of its SELECT with the views that it reads in their place, hexadecimal: another one means other rows.
    pub digest: String,
    /// That SELECT.
    pub select: String,
    /// What it gives; one of the columns is `business_day`.
    pub columns: Vec<Column>,
    /// The datasets that the SELECT comes down to.
    pub inputs: Vec<String>,
}

impl KeptView {
    /// What the lake calls the table of its rows.
    #[must_use]
    pub fn table(&self) -> String {
        let digest: String = self.digest.chars().take(16).collect();
        format!("{}_{digest}", self.name)
    }

    fn definition(&self) -> TableDefinition {
        TableDefinition { name: self.table(), columns: self.columns.clone(), has_days: true }
    }

    fn path(&self) -> String {
        format!("{SCHEMA}/{}/", self.table())
    }
}

/// The kept rows of a view that count in a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptRows {
    /// Their days, apart and in order.
    pub days: Vec<RangeInclusive<NaiveDate>>,
    /// The rows of these days and of no other.
    pub files: FileSet,
}

/// Days of one month whose rows are to be kept: they never were, or have changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The days, in order.
    pub days: BTreeSet<NaiveDate>,
    /// The oldest snapshot that changed one of them since it was kept; 0 when that is forgotten, or there is none.
    pub since: i64,
}

/// What is kept of a view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeptStatus {
    /// Days whose rows count now.
    pub days: i64,
    /// Days whose rows are kept and have changed since.
    pub outdated: i64,
    /// Rows of the days that count.
    pub rows: i64,
    /// Bytes of the files.
    pub bytes: i64,
}

#[derive(FromRow)]
struct Found {
    table_id: i64,
    partition_id: Option<i64>,
    mapping_id: i64,
}

impl Lake {
    /// The kept rows of a view that count in a snapshot, of some days, in order; of none means of all. `None` when no
    /// rows count.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn kept(
        &self,
        snapshot: i64,
        view: &KeptView,
        days: &[RangeInclusive<NaiveDate>],
    ) -> Result<Option<KeptRows>, LakeError> {
        let Some(table) = self.kept_table(snapshot, view).await? else { return Ok(None) };
        let counting = self.counting(snapshot, view, table.table_id, days).await?;
        let days = ranges(counting);
        if days.is_empty() {
            return Ok(None);
        }
        let files = self.file_set(snapshot, &table, &days).await?;
        Ok(Some(KeptRows { days, files }))
    }

    /// The table of a view's kept rows in a snapshot, if there is one.
    async fn kept_table(&self, snapshot: i64, view: &KeptView) -> Result<Option<Table>, LakeError> {
        let sql = "SELECT v.table_id, p.partition_id, m.mapping_id
                   FROM sync.kept_view v
                   JOIN lake.ducklake_table t USING (table_id)
                   JOIN lake.ducklake_column_mapping m USING (table_id)
                   LEFT JOIN lake.ducklake_partition_info p USING (table_id)
                   WHERE v.digest = $1 AND t.begin_snapshot <= $2 AND (t.end_snapshot IS NULL OR t.end_snapshot > $2)";
        let found: Option<Found> =
            sqlx::query_as(sql).bind(&view.digest).bind(snapshot).fetch_optional(self.db()).await?;
        Ok(found.map(|Found { table_id, partition_id, mapping_id }| {
            // As they were given out when the table was made: it is never altered.
            let columns = (1..).take(view.columns.len()).collect();
            self.as_table(view, Ids { table_id, partition_id, mapping_id, columns })
        }))
    }

    fn as_table(&self, view: &KeptView, ids: Ids) -> Table {
        let place = Place { schema_id: 0, schema: SCHEMA, path: view.path() };
        Table::of(ids, &view.definition(), &place, self.dir())
    }

    /// The days whose kept rows count in a snapshot: this is the rule.
    async fn counting(
        &self,
        snapshot: i64,
        view: &KeptView,
        table_id: i64,
        days: &[RangeInclusive<NaiveDate>],
    ) -> Result<Vec<NaiveDate>, LakeError> {
        let sql = "SELECT d.business_day
                   FROM sync.kept_day d
                   WHERE d.table_id = $1
                     AND d.begin_snapshot <= $2 AND (d.end_snapshot IS NULL OR d.end_snapshot > $2)
                     AND (cardinality($4::date[]) = 0
                          OR EXISTS (SELECT FROM unnest($4::date[], $5::date[]) AS asked (first, last)
                                     WHERE d.business_day BETWEEN asked.first AND asked.last))
                     AND NOT EXISTS (SELECT FROM sync.changed_day c
                                     WHERE c.dataset = ANY ($3) AND c.business_day = d.business_day
                                       AND c.snapshot_id > d.read_snapshot AND c.snapshot_id <= $2)
                   ORDER BY d.business_day";
        let found = sqlx::query_scalar(sql)
            .bind(table_id)
            .bind(snapshot)
            .bind(&view.inputs)
            .bind(days.iter().map(|it| *it.start()).collect::<Vec<_>>())
            .bind(days.iter().map(|it| *it.end()).collect::<Vec<_>>());
        Ok(found.fetch_all(self.db()).await?)
    }

    /// What is to be kept of a view up to a day, as of a snapshot: by month, the oldest change first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due(&self, snapshot: i64, view: &KeptView, last: NaiveDate) -> Result<Vec<Due>, LakeError> {
        let mut wanted = BTreeSet::new();
        for input in &view.inputs {
            let files = snapshot::files(self.db(), snapshot, self.table(input)?.table_id, None).await?;
            for (first, until) in files.iter().filter_map(|file| file.first_day.zip(file.last_day)) {
                wanted.extend(first.iter_days().take_while(|day| *day <= until.min(last)));
            }
        }
        // What is kept now may be of later snapshots than the one that is looked at.
        if let Some(table) = self.kept_table(i64::MAX, view).await? {
            // Of a day that has no rows any more there may still be kept ones.
            let sql = "SELECT d.business_day,
                              EXISTS (SELECT FROM sync.changed_day c
                                      WHERE c.dataset = ANY ($3) AND c.business_day = d.business_day
                                        AND c.snapshot_id > d.read_snapshot AND c.snapshot_id <= $4)
                       FROM sync.kept_day d
                       WHERE d.table_id = $1 AND d.end_snapshot IS NULL AND d.business_day <= $2";
            let live = sqlx::query_as(sql).bind(table.table_id).bind(last).bind(&view.inputs).bind(snapshot);
            let live: Vec<(NaiveDate, bool)> = live.fetch_all(self.db()).await?;
            for (day, is_outdated) in live {
                if is_outdated {
                    wanted.insert(day);
                } else {
                    wanted.remove(&day);
                }
            }
        }
        let sql = "SELECT c.business_day, min(c.snapshot_id)
                   FROM sync.changed_day c
                   LEFT JOIN sync.kept_view v ON v.digest = $1
                   LEFT JOIN sync.kept_day d
                     ON d.table_id = v.table_id AND d.business_day = c.business_day AND d.end_snapshot IS NULL
                   WHERE c.dataset = ANY ($2) AND c.business_day = ANY ($3) AND c.snapshot_id > coalesce(d.read_snapshot, -1)
                   GROUP BY 1";
        let changed: Vec<(NaiveDate, i64)> = sqlx::query_as(sql)
            .bind(&view.digest)
            .bind(&view.inputs)
            .bind(wanted.iter().copied().collect::<Vec<_>>())
            .fetch_all(self.db())
            .await?;
        let changed: BTreeMap<NaiveDate, i64> = changed.into_iter().collect();
        let mut months: BTreeMap<(i32, u32), Due> = BTreeMap::new();
        for day in wanted {
            let since = changed.get(&day).copied().unwrap_or_default();
            let month = months.entry((day.year(), day.month()));
            let due = month.or_insert_with(|| Due { days: BTreeSet::new(), since });
            due.days.insert(day);
            due.since = due.since.min(since);
        }
        // Of what changed at once, the newest days are asked for most.
        let mut due: Vec<Due> = months.into_values().rev().collect();
        due.sort_by_key(|due| due.since);
        Ok(due)
    }

    /// What is kept of a view in a snapshot.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn kept_status(&self, snapshot: i64, view: &KeptView) -> Result<KeptStatus, LakeError> {
        let Some(table) = self.kept_table(snapshot, view).await? else { return Ok(KeptStatus::default()) };
        let counting = self.counting(snapshot, view, table.table_id, &[]).await?;
        let sql = "SELECT count(*), coalesce(sum(rows) FILTER (WHERE business_day = ANY ($3)), 0)::bigint
                   FROM sync.kept_day
                   WHERE table_id = $1 AND begin_snapshot <= $2 AND (end_snapshot IS NULL OR end_snapshot > $2)";
        let (all, rows): (i64, i64) =
            sqlx::query_as(sql).bind(table.table_id).bind(snapshot).bind(&counting).fetch_one(self.db()).await?;
        let files = snapshot::files(self.db(), snapshot, table.table_id, None).await?;
        let (days, bytes) = (counting.len() as i64, files.iter().map(|file| file.file_size_bytes).sum());
        Ok(KeptStatus { days, outdated: all - days, rows, bytes })
    }
}

/// Days in order as ranges that neither meet nor touch.
pub fn ranges(days: impl IntoIterator<Item = NaiveDate>) -> Vec<RangeInclusive<NaiveDate>> {
    let mut ranges: Vec<RangeInclusive<NaiveDate>> = Vec::new();
    for day in days {
        match ranges.last_mut() {
            Some(last) if *last.end() + Days::new(1) == day => *last = *last.start()..=day,
            _ => ranges.push(day..=day),
        }
    }
    ranges
}
