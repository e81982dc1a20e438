//! The commit rule: every change to the catalogue goes through here.
//!
//! One row is locked first, ids are given out under it, every file that a commit ends must still be
//! live and every file it adds must still be pending. If a count is off, somebody else committed in
//! between: the transaction is rolled back by the caller and the merge done again from the new base.

mod delete_files;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use sqlx::{FromRow, PgConnection};

use crate::deletes::NewDeleteFile;
use crate::file::NewFile;
use crate::snapshot::DataFile;
use crate::stats::{self, Bounds};
use crate::table::Table;
use crate::{LakeError, checksum, pending};

/// The newest snapshot's counters, read under the lock.
#[derive(Debug, FromRow)]
pub struct Head {
    pub(crate) snapshot_id: i64,
    pub(crate) schema_version: i64,
    pub(crate) next_catalog_id: i64,
    pub(crate) next_file_id: i64,
}

/// Whether a commit changes rows, or only the files that hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Rows come, change or leave.
    Rows,
    /// The rows stay the same.
    Compaction,
}

/// Rows by what happened to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that came.
    pub added: u64,
    /// Rows that are otherwise now.
    pub changed: u64,
    /// Rows that left.
    pub removed: u64,
}

impl Counts {
    /// Count these too.
    pub fn add(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.removed += other.removed;
    }
}

/// The rows that a commit changes in a dataset, by business day; the key is `None` for a dataset without days.
pub type ChangedDays = BTreeMap<Option<NaiveDate>, Counts>;

/// What a commit does to one table.
#[derive(Debug)]
pub struct TableChange {
    /// The table.
    pub table: Arc<Table>,
    /// Files to make live; they are on disk and pending.
    pub add: Vec<NewFile>,
    /// Live files to end.
    pub end: Vec<Ended>,
    /// Deleted rows of files that stay live; the delete files are on disk and pending.
    pub delete: Vec<NewDeleteFile>,
    /// The days whose rows it changes: what was computed of them before is outdated.
    pub days: ChangedDays,
    /// What it is for.
    pub kind: ChangeKind,
}

impl TableChange {
    /// Nothing yet.
    #[must_use]
    pub fn of(table: &Arc<Table>) -> Self {
        let (add, end, delete, days) = (Vec::new(), Vec::new(), Vec::new(), ChangedDays::new());
        Self { table: Arc::clone(table), add, end, delete, days, kind: ChangeKind::Rows }
    }

    /// Whether the table stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.end.is_empty() && self.delete.is_empty()
    }
}

/// A live data file as its rows were read: without those of this delete file, and with all others.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    data_file_id: i64,
    delete_file_id: Option<i64>,
}

impl Ended {
    /// That file.
    #[must_use]
    pub fn of(file: &DataFile) -> Self {
        Self { data_file_id: file.data_file_id, delete_file_id: file.delete_file_id }
    }
}

/// Lock the catalogue until the transaction ends, and read its head.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut PgConnection) -> Result<Head, LakeError> {
    sqlx::query!("SELECT FROM sync.catalogue FOR UPDATE").execute(&mut *tx).await?;
    let sql = "SELECT snapshot_id, schema_version, next_catalog_id, next_file_id
               FROM lake.ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1";
    Ok(sqlx::query_as(sql).fetch_one(&mut *tx).await?)
}

/// A snapshot that changes tables, not rows: it raises the schema version.
pub(crate) async fn snapshot_of_schema(
    tx: &mut PgConnection,
    head: &Head,
    next_catalog_id: i64,
    next_file_id: i64,
    token: &str,
) -> Result<i64, LakeError> {
    let next = Head {
        snapshot_id: head.snapshot_id + 1,
        schema_version: head.schema_version + 1,
        next_catalog_id,
        next_file_id,
    };
    insert_snapshot(tx, &next, token, "tables follow the declarations").await?;
    Ok(next.snapshot_id)
}

/// Add one snapshot with these changes, which came from a source, and note the days that they change. The caller holds
/// [`lock`] in the same transaction.
///
/// # Errors
/// [`LakeError::Overtaken`] when a file that it ends is no longer live, or one that it adds no longer pending: the base
/// that it was computed from is not the newest any more.
pub async fn apply(
    tx: &mut PgConnection,
    head: &Head,
    changes: &[&TableChange],
    source: &str,
    message: &str,
) -> Result<i64, LakeError> {
    let added: i64 = changes.iter().map(|it| (it.add.len() + it.delete.len()) as i64).sum();
    let next = Head {
        snapshot_id: head.snapshot_id + 1,
        schema_version: head.schema_version,
        next_catalog_id: head.next_catalog_id,
        next_file_id: head.next_file_id + added,
    };
    insert_snapshot(tx, &next, &tokens(changes), message).await?;
    let mut file_id = head.next_file_id;
    for change in changes {
        end_files(tx, change, next.snapshot_id).await?;
        add_files(tx, change, next.snapshot_id, file_id).await?;
        file_id += change.add.len() as i64;
        delete_files::replace(tx, change, next.snapshot_id, file_id).await?;
        file_id += change.delete.len() as i64;
        checksum::note(tx, change).await?;
        widen_stats(tx, change).await?;
        note_days(tx, change, next.snapshot_id, source).await?;
    }
    Ok(next.snapshot_id)
}

async fn note_days(
    tx: &mut PgConnection,
    change: &TableChange,
    snapshot: i64,
    source: &str,
) -> Result<(), sqlx::Error> {
    let of = |pick: fn(&Counts) -> u64| change.days.values().map(|it| pick(it) as i64).collect::<Vec<i64>>();
    sqlx::query!(
        "INSERT INTO sync.changed_day (snapshot_id, source, dataset, business_day, added, changed, removed)
         SELECT $1, $2, $3, t.business_day, t.added, t.changed, t.removed
         FROM unnest($4::date[], $5::bigint[], $6::bigint[], $7::bigint[])
           AS t (business_day, added, changed, removed)",
        snapshot,
        source,
        &change.table.name,
        change.days.keys().copied().collect::<Vec<_>>() as _,
        &of(|it| it.added),
        &of(|it| it.changed),
        &of(|it| it.removed)
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Only the specification's own tokens: DuckDB parses them.
fn tokens(changes: &[&TableChange]) -> String {
    let mut tokens = Vec::new();
    for change in changes {
        let id = change.table.table_id;
        if change.kind == ChangeKind::Compaction {
            tokens.push(format!("merge_adjacent:{id}"));
            continue;
        }
        if !change.add.is_empty() {
            tokens.push(format!("inserted_into_table:{id}"));
        }
        if !change.end.is_empty() || !change.delete.is_empty() {
            tokens.push(format!("deleted_from_table:{id}"));
        }
    }
    tokens.join(",")
}

async fn insert_snapshot(tx: &mut PgConnection, next: &Head, tokens: &str, message: &str) -> Result<(), LakeError> {
    // The wall clock may step back; snapshot times never do, so that time travel by instant is total.
    sqlx::query!(
        "INSERT INTO lake.ducklake_snapshot
           (snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id)
         SELECT $1, greatest(clock_timestamp(), max(snapshot_time)), $2, $3, $4 FROM lake.ducklake_snapshot",
        next.snapshot_id,
        next.schema_version,
        next.next_catalog_id,
        next.next_file_id
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO lake.ducklake_snapshot_changes (snapshot_id, changes_made, author, commit_message)
         VALUES ($1, $2, 'tributary', $3)",
        next.snapshot_id,
        tokens,
        message
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

async fn end_files(tx: &mut PgConnection, change: &TableChange, snapshot: i64) -> Result<(), LakeError> {
    if change.end.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = change.end.iter().map(|it| it.data_file_id).collect();
    let delete_files: Vec<Option<i64>> = change.end.iter().map(|it| it.delete_file_id).collect();
    delete_files::require(tx, change.table.table_id, &ids, &delete_files).await?;
    let ended = sqlx::query!(
        "UPDATE lake.ducklake_data_file SET end_snapshot = $1
         WHERE table_id = $2 AND data_file_id = ANY($3) AND end_snapshot IS NULL",
        snapshot,
        change.table.table_id,
        &ids
    )
    .execute(&mut *tx)
    .await?;
    if ended.rows_affected() != ids.len() as u64 {
        return Err(LakeError::Overtaken);
    }
    delete_files::end(tx, snapshot, &ids).await
}

async fn add_files(tx: &mut PgConnection, change: &TableChange, snapshot: i64, first_id: i64) -> Result<(), LakeError> {
    if change.add.is_empty() {
        return Ok(());
    }
    let table = &change.table;
    let announced: Vec<&str> = change.add.iter().map(|it| it.pending.as_str()).collect();
    pending::keep(tx, &announced).await?;
    let next_row: i64 = sqlx::query_scalar("SELECT next_row_id FROM lake.ducklake_table_stats WHERE table_id = $1")
        .bind(table.table_id)
        .fetch_one(&mut *tx)
        .await?;
    let mut row_ids = Vec::with_capacity(change.add.len());
    let mut row_id = next_row;
    for file in &change.add {
        row_ids.push(row_id);
        row_id += file.rows;
    }
    let ids: Vec<i64> = (first_id..).take(change.add.len()).collect();
    let of = |pick: fn(&NewFile) -> i64| change.add.iter().map(pick).collect::<Vec<i64>>();
    let years: Vec<Option<i32>> = change.add.iter().map(|it| it.month.map(|(year, _)| year)).collect();
    let months: Vec<Option<i32>> = change.add.iter().map(|it| it.month.map(|(_, month)| month)).collect();
    let paths: Vec<&str> = change.add.iter().map(|it| it.path.as_str()).collect();
    sqlx::query!(
        "INSERT INTO lake.ducklake_data_file
           (data_file_id, table_id, begin_snapshot, path, path_is_relative, file_format,
            record_count, file_size_bytes, footer_size, row_id_start, partition_id, mapping_id)
         SELECT id, $1, $2, path, true, 'parquet', rows, bytes, footer, row_id,
                CASE WHEN year IS NOT NULL THEN $3::bigint END, $11
         FROM unnest($4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::int[])
           AS t (id, path, rows, bytes, footer, row_id, year)",
        table.table_id,
        snapshot,
        table.partition_id,
        &ids,
        &paths as _,
        &of(|it| it.rows),
        &of(|it| it.bytes),
        &of(|it| it.footer),
        &row_ids,
        &years as _,
        table.mapping_id
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO lake.ducklake_file_partition_value
           (data_file_id, table_id, partition_key_index, partition_value)
         SELECT id, $1, k.index, k.value::text
         FROM unnest($2::bigint[], $3::int[], $4::int[]) AS t (id, year, month),
              LATERAL (VALUES (0, year), (1, month)) AS k (index, value)
         WHERE year IS NOT NULL",
        table.table_id,
        &ids,
        &years as _,
        &months as _
    )
    .execute(&mut *tx)
    .await?;
    stats::insert_for_files(tx, table.table_id, &ids, &change.add).await?;
    Ok(())
}

/// Row counts are those of the live files; column bounds only ever widen.
async fn widen_stats(tx: &mut PgConnection, change: &TableChange) -> Result<(), LakeError> {
    let added: i64 = change.add.iter().map(|it| it.rows).sum();
    let updated = sqlx::query!(
        "UPDATE lake.ducklake_table_stats SET next_row_id = next_row_id + $2,
           (record_count, file_size_bytes) =
             (SELECT coalesce(sum(record_count), 0), coalesce(sum(file_size_bytes), 0)
              FROM lake.ducklake_data_file WHERE table_id = $1 AND end_snapshot IS NULL)
         WHERE table_id = $1",
        change.table.table_id,
        added
    )
    .execute(&mut *tx)
    .await?;
    if updated.rows_affected() != 1 {
        return Err(LakeError::Overtaken);
    }
    let mut widened: BTreeMap<i64, Bounds> = BTreeMap::new();
    for column in change.add.iter().flat_map(|file| &file.columns) {
        widened.entry(column.column_id).or_default().widen(&column.bounds);
    }
    stats::widen_table(tx, &change.table, widened).await?;
    Ok(())
}
