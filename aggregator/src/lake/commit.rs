//! The commit rule: every change to the catalogue goes through here.
//!
//! One row is locked first, ids are given out under it, every file that a commit ends must still be
//! live and every file it adds must still be pending. If a count is off, somebody else committed in
//! between: the transaction is rolled back by the caller and the merge done again from the new base.

mod marks;

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::{FromRow, PgConnection};

use super::deletes::NewDeletes;
use super::file::NewFile;
use super::snapshot::DataFile;
use super::stats::{self, Bounds};
use super::table::Table;
use crate::error::Error;

/// The newest snapshot's counters, read under the lock.
#[derive(Debug, FromRow)]
pub(crate) struct Head {
    pub(crate) snapshot_id: i64,
    pub(crate) schema_version: i64,
    pub(crate) next_catalog_id: i64,
    pub(crate) next_file_id: i64,
}

/// What a commit does to one table.
#[derive(Debug)]
pub(crate) struct TableChange {
    pub(crate) table: Arc<Table>,
    /// Files to make live; they are on disk and pending.
    pub(crate) add: Vec<NewFile>,
    /// Live files to end.
    pub(crate) end: Vec<Ended>,
    /// Marks on the rows of files that stay live; they are on disk and pending.
    pub(crate) mark: Vec<NewDeletes>,
    /// Whether the rows stay the same and only the files differ.
    pub(crate) compaction: bool,
}

impl TableChange {
    /// Nothing yet.
    pub(crate) fn of(table: &Arc<Table>) -> Self {
        Self { table: Arc::clone(table), add: Vec::new(), end: Vec::new(), mark: Vec::new(), compaction: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.add.is_empty() && self.end.is_empty() && self.mark.is_empty()
    }
}

/// A live data file as its rows were read: with these marks and no others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    data_file_id: i64,
    delete_file_id: Option<i64>,
}

impl Ended {
    pub(crate) fn of(file: &DataFile) -> Self {
        Self { data_file_id: file.data_file_id, delete_file_id: file.delete_file_id }
    }
}

/// Why a commit did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// The base it was computed from is no longer the newest; compute again.
    #[error("another commit came first")]
    Overtaken,
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<sqlx::Error> for CommitError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Lock the catalogue until the transaction ends, and read its head.
pub(crate) async fn lock(tx: &mut PgConnection) -> Result<Head, Error> {
    sqlx::query("SELECT FROM sync.catalogue FOR UPDATE").execute(&mut *tx).await?;
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
) -> Result<i64, Error> {
    let next = Head {
        snapshot_id: head.snapshot_id + 1,
        schema_version: head.schema_version + 1,
        next_catalog_id,
        next_file_id,
    };
    insert_snapshot(tx, &next, token, "tables follow the declarations").await?;
    Ok(next.snapshot_id)
}

/// Add one snapshot with these changes. The caller holds [`lock`] in the same transaction.
pub(crate) async fn apply(
    tx: &mut PgConnection,
    head: &Head,
    changes: &[&TableChange],
    message: &str,
) -> Result<i64, CommitError> {
    let added: i64 = changes.iter().map(|it| (it.add.len() + it.mark.len()) as i64).sum();
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
        marks::mark(tx, change, next.snapshot_id, file_id).await?;
        file_id += change.mark.len() as i64;
        widen_stats(tx, change).await?;
    }
    Ok(next.snapshot_id)
}

/// Only the specification's own tokens: DuckDB parses them.
fn tokens(changes: &[&TableChange]) -> String {
    let mut tokens = Vec::new();
    for change in changes {
        let id = change.table.table_id;
        if change.compaction {
            tokens.push(format!("merge_adjacent:{id}"));
            continue;
        }
        if !change.add.is_empty() {
            tokens.push(format!("inserted_into_table:{id}"));
        }
        if !change.end.is_empty() || !change.mark.is_empty() {
            tokens.push(format!("deleted_from_table:{id}"));
        }
    }
    tokens.join(",")
}

async fn insert_snapshot(tx: &mut PgConnection, next: &Head, tokens: &str, message: &str) -> Result<(), Error> {
    // The wall clock may step back; snapshot times never do, so that time travel by instant is total.
    let sql = "INSERT INTO lake.ducklake_snapshot
               SELECT $1, greatest(clock_timestamp(), max(snapshot_time)), $2, $3, $4 FROM lake.ducklake_snapshot";
    let insert = sqlx::query(sql).bind(next.snapshot_id).bind(next.schema_version);
    insert.bind(next.next_catalog_id).bind(next.next_file_id).execute(&mut *tx).await?;
    let sql = "INSERT INTO lake.ducklake_snapshot_changes (snapshot_id, changes_made, author, commit_message)
               VALUES ($1, $2, 'tributary', $3)";
    sqlx::query(sql).bind(next.snapshot_id).bind(tokens).bind(message).execute(&mut *tx).await?;
    Ok(())
}

async fn end_files(tx: &mut PgConnection, change: &TableChange, snapshot: i64) -> Result<(), CommitError> {
    if change.end.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = change.end.iter().map(|it| it.data_file_id).collect();
    let marks: Vec<Option<i64>> = change.end.iter().map(|it| it.delete_file_id).collect();
    marks::require(tx, change.table.table_id, &ids, &marks).await?;
    let sql = "UPDATE lake.ducklake_data_file SET end_snapshot = $1
               WHERE table_id = $2 AND data_file_id = ANY($3) AND end_snapshot IS NULL";
    let ended = sqlx::query(sql).bind(snapshot).bind(change.table.table_id).bind(&ids).execute(&mut *tx).await?;
    if ended.rows_affected() != ids.len() as u64 {
        return Err(CommitError::Overtaken);
    }
    marks::end(tx, snapshot, &ids).await
}

/// Take files out of those that the sweep would remove; each of them must still be there.
async fn no_longer_pending(tx: &mut PgConnection, paths: &[&str]) -> Result<(), CommitError> {
    let taken = sqlx::query("DELETE FROM sync.pending_file WHERE path = ANY($1)").bind(paths).execute(&mut *tx).await?;
    if taken.rows_affected() == paths.len() as u64 { Ok(()) } else { Err(CommitError::Overtaken) }
}

async fn add_files(
    tx: &mut PgConnection,
    change: &TableChange,
    snapshot: i64,
    first_id: i64,
) -> Result<(), CommitError> {
    if change.add.is_empty() {
        return Ok(());
    }
    let table = &change.table;
    let pending: Vec<&str> = change.add.iter().map(|it| it.pending.as_str()).collect();
    no_longer_pending(tx, &pending).await?;
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
    let sql = "INSERT INTO lake.ducklake_data_file
                 (data_file_id, table_id, begin_snapshot, path, path_is_relative, file_format,
                  record_count, file_size_bytes, footer_size, row_id_start, partition_id, mapping_id)
               SELECT id, $1, $2, path, true, 'parquet', rows, bytes, footer, row_id,
                      CASE WHEN year IS NOT NULL THEN $3 END, $11
               FROM unnest($4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::int[])
                 AS t (id, path, rows, bytes, footer, row_id, year)";
    let of = |pick: fn(&NewFile) -> i64| change.add.iter().map(pick).collect::<Vec<i64>>();
    let years: Vec<Option<i32>> = change.add.iter().map(|it| it.month.map(|(year, _)| year)).collect();
    let months: Vec<Option<i32>> = change.add.iter().map(|it| it.month.map(|(_, month)| month)).collect();
    let paths: Vec<&str> = change.add.iter().map(|it| it.path.as_str()).collect();
    sqlx::query(sql)
        .bind(table.table_id)
        .bind(snapshot)
        .bind(table.partition_id)
        .bind(&ids)
        .bind(&paths)
        .bind(of(|it| it.rows))
        .bind(of(|it| it.bytes))
        .bind(of(|it| it.footer))
        .bind(&row_ids)
        .bind(&years)
        .bind(table.mapping_id)
        .execute(&mut *tx)
        .await?;
    let sql = "INSERT INTO lake.ducklake_file_partition_value
               SELECT id, $1, k.index, k.value::text
               FROM unnest($2::bigint[], $3::int[], $4::int[]) AS t (id, year, month),
                    LATERAL (VALUES (0, year), (1, month)) AS k (index, value)
               WHERE year IS NOT NULL";
    sqlx::query(sql).bind(table.table_id).bind(&ids).bind(&years).bind(&months).execute(&mut *tx).await?;
    stats::insert_for_files(tx, table.table_id, &ids, &change.add).await?;
    Ok(())
}

/// Row counts are those of the live files; column bounds only ever widen.
async fn widen_stats(tx: &mut PgConnection, change: &TableChange) -> Result<(), CommitError> {
    let added: i64 = change.add.iter().map(|it| it.rows).sum();
    let sql = "UPDATE lake.ducklake_table_stats SET next_row_id = next_row_id + $2,
                 (record_count, file_size_bytes) =
                   (SELECT coalesce(sum(record_count), 0), coalesce(sum(file_size_bytes), 0)
                    FROM lake.ducklake_data_file WHERE table_id = $1 AND end_snapshot IS NULL)
               WHERE table_id = $1";
    let updated = sqlx::query(sql).bind(change.table.table_id).bind(added).execute(&mut *tx).await?;
    if updated.rows_affected() != 1 {
        return Err(CommitError::Overtaken);
    }
    let mut widened: BTreeMap<i64, Bounds> = BTreeMap::new();
    for column in change.add.iter().flat_map(|file| &file.columns) {
        widened.entry(column.column_id).or_default().widen(&column.bounds);
    }
    stats::widen_table(tx, &change.table, widened).await?;
    Ok(())
}
