//! What has come from a source and is not committed yet.
//!
//! A part is a page's rows as a Parquet file plus one row in `sync.staged_part`, written in that
//! order; so whoever comes after a crash goes on behind the last part, and reads no page twice.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::error::Error;
use crate::source::client::Head;
use crate::source::page::Refused;

/// A poll in progress.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct StagedPoll {
    pub(crate) poll: Uuid,
    pub(crate) declaration: String,
    /// The token that every page sends back.
    pub(crate) head: String,
    pub(crate) etag: String,
    pub(crate) epoch: String,
    pub(crate) horizon: String,
    pub(crate) as_of: DateTime<Utc>,
    pub(crate) started_at: DateTime<Utc>,
}

/// How a dataset is read in a poll.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct StagedDataset {
    pub(crate) dataset: String,
    /// Read from the start: keys that do not come are dropped.
    pub(crate) whole: bool,
    /// The cursor that the commit must still find.
    pub(crate) old_cursor: Option<String>,
}

/// One page.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct StagedPart {
    pub(crate) part: i32,
    /// File below the lake's folder; `None` for a page without good rows.
    pub(crate) path: Option<String>,
    pub(crate) rows_read: i64,
    pub(crate) bytes: i64,
    pub(crate) days: Json<BTreeMap<NaiveDate, u64>>,
    pub(crate) next_cursor: Option<String>,
    pub(crate) resume_cursor: String,
}

/// The poll in progress of a source, if there is one.
pub(crate) async fn find(db: &PgPool, source: &str) -> Result<Option<StagedPoll>, Error> {
    let sql = "SELECT poll, declaration, head, etag, epoch, horizon, as_of, started_at
               FROM sync.staged_poll WHERE source = $1";
    Ok(sqlx::query_as(sql).bind(source).fetch_optional(db).await?)
}

/// Begin a poll under a head. `fresh` reads every dataset from its start.
pub(crate) async fn begin(
    db: &PgPool,
    source: &str,
    declaration: &str,
    head: &Head,
    datasets: &[(String, String)],
    fresh: bool,
) -> Result<StagedPoll, Error> {
    let mut tx = base::begin(db).await?;
    let sql = "INSERT INTO sync.staged_poll (source, poll, declaration, head, etag, epoch, horizon, as_of)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               RETURNING poll, declaration, head, etag, epoch, horizon, as_of, started_at";
    let insert = sqlx::query_as(sql).bind(source).bind(Uuid::now_v7()).bind(declaration).bind(&head.head);
    let insert = insert.bind(&head.etag).bind(&head.epoch).bind(&head.horizon).bind(head.as_of);
    let poll: StagedPoll = insert.fetch_one(&mut *tx).await?;
    let (names, shapes): (Vec<&str>, Vec<&str>) = datasets.iter().map(|(a, b)| (a.as_str(), b.as_str())).unzip();
    let sql = "INSERT INTO sync.staged_dataset (poll, dataset, whole, old_cursor)
               SELECT $1, d.name, $4 OR c.cursor IS NULL OR c.shape <> d.shape, c.cursor
               FROM unnest($2::text[], $3::text[]) AS d (name, shape)
               LEFT JOIN sync.cursor c ON c.dataset = d.name";
    sqlx::query(sql).bind(poll.poll).bind(names).bind(shapes).bind(fresh).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(poll)
}

/// The datasets of a poll in progress.
pub(crate) async fn datasets(db: &PgPool, poll: Uuid) -> Result<Vec<StagedDataset>, Error> {
    let sql = "SELECT dataset, whole, old_cursor FROM sync.staged_dataset WHERE poll = $1 ORDER BY dataset";
    Ok(sqlx::query_as(sql).bind(poll).fetch_all(db).await?)
}

/// The parts of a dataset, in the order in which they came.
pub(crate) async fn parts(db: &PgPool, poll: Uuid, dataset: &str) -> Result<Vec<StagedPart>, Error> {
    let sql = "SELECT part, path, rows_read, bytes, days, next_cursor, resume_cursor
               FROM sync.staged_part WHERE poll = $1 AND dataset = $2 ORDER BY part";
    Ok(sqlx::query_as(sql).bind(poll).bind(dataset).fetch_all(db).await?)
}

/// Where a part's file goes, below the lake's folder.
pub(crate) fn part_path(poll: Uuid, dataset: &str, part: i32) -> String {
    format!("staging/{}/{dataset}-{part}-{}.parquet", poll.simple(), Uuid::now_v7().simple())
}

/// Where refused rows came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) source: &'a str,
    pub(crate) dataset: &'a str,
    pub(crate) poll: Uuid,
    pub(crate) cursor: Option<&'a str>,
    pub(crate) header: &'a str,
}

/// Note a part whose file is on disk, with the rows that did not fit. `announced` is the file's
/// name, which is pending no longer even if the page had no good row to write.
///
/// Returns how many of those are new to the quarantine: a row that is delivered again is there once.
pub(crate) async fn note(
    db: &PgPool,
    origin: Origin<'_>,
    announced: &str,
    part: &StagedPart,
    refused: &[Refused],
) -> Result<u64, Error> {
    let mut tx = base::begin(db).await?;
    let sql = "INSERT INTO sync.staged_part
                 (poll, dataset, part, path, rows_read, bytes, days, next_cursor, resume_cursor)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let insert = sqlx::query(sql).bind(origin.poll).bind(origin.dataset).bind(part.part).bind(&part.path);
    let insert = insert.bind(part.rows_read).bind(part.bytes).bind(&part.days);
    insert.bind(&part.next_cursor).bind(&part.resume_cursor).execute(&mut *tx).await?;
    let sql = "DELETE FROM sync.pending_file WHERE path = $1";
    if sqlx::query(sql).bind(announced).execute(&mut *tx).await?.rows_affected() != 1 {
        // A sweep took the file for a dead worker's.
        return Err(Error::LockLost);
    }
    let quarantined = quarantine(&mut tx, origin, refused).await?;
    tx.commit().await?;
    Ok(quarantined)
}

async fn quarantine(tx: &mut PgConnection, origin: Origin<'_>, refused: &[Refused]) -> Result<u64, Error> {
    if refused.is_empty() {
        return Ok(0);
    }
    let mut seen = std::collections::HashSet::new();
    let refused: Vec<&Refused> = refused.iter().filter(|it| seen.insert(it.raw.as_str())).collect();
    // A row that came before is the same entry; it now belongs to this poll, which saw it last.
    let sql = "INSERT INTO sync.quarantine
                 (source, dataset, poll, cursor, header, row_number, column_name, reason, key, raw)
               SELECT $1, $2, $3, $4, $5, t.*
               FROM unnest($6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[]) AS t
               ON CONFLICT (dataset, md5(header || raw)) WHERE resolved_at IS NULL
               DO UPDATE SET poll = excluded.poll, reason = excluded.reason, column_name = excluded.column_name
               RETURNING (xmax = 0)";
    let insert = sqlx::query_scalar(sql).bind(origin.source).bind(origin.dataset).bind(origin.poll);
    let insert = insert
        .bind(origin.cursor)
        .bind(origin.header)
        .bind(refused.iter().map(|it| it.row as i64).collect::<Vec<_>>())
        .bind(refused.iter().map(|it| it.column.as_str()).collect::<Vec<_>>())
        .bind(refused.iter().map(|it| it.reason.as_str()).collect::<Vec<_>>())
        .bind(refused.iter().map(|it| it.key.as_deref()).collect::<Vec<_>>())
        .bind(refused.iter().map(|it| it.raw.as_str()).collect::<Vec<_>>());
    let new: Vec<bool> = insert.fetch_all(&mut *tx).await?;
    Ok(new.into_iter().filter(|it| *it).count() as u64)
}

/// Read a dataset from its start after all, and forget what came of it.
pub(crate) async fn restart_dataset(db: &PgPool, fence: i64, poll: Uuid, dataset: &str) -> Result<(), Error> {
    let mut tx = base::begin(db).await?;
    give_up_files(&mut tx, fence, poll, Some(dataset)).await?;
    let sql = "DELETE FROM sync.staged_part WHERE poll = $1 AND dataset = $2";
    sqlx::query(sql).bind(poll).bind(dataset).execute(&mut *tx).await?;
    let sql = "UPDATE sync.staged_dataset SET whole = true WHERE poll = $1 AND dataset = $2";
    sqlx::query(sql).bind(poll).bind(dataset).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

/// End a poll in progress, committed or not: its rows go, its files become pending, for the caller
/// or the sweep to remove. Returns whether the poll was still there.
pub(crate) async fn end(tx: &mut PgConnection, fence: i64, poll: Uuid) -> Result<bool, Error> {
    give_up_files(tx, fence, poll, None).await?;
    let ended = sqlx::query("DELETE FROM sync.staged_poll WHERE poll = $1").bind(poll).execute(&mut *tx).await?;
    Ok(ended.rows_affected() == 1)
}

/// Discard a poll in progress. What it put into quarantine stays: the rows came, and will come again.
pub(crate) async fn discard(db: &PgPool, fence: i64, poll: Uuid) -> Result<(), Error> {
    let mut tx = base::begin(db).await?;
    end(&mut tx, fence, poll).await?;
    Ok(tx.commit().await?)
}

async fn give_up_files(tx: &mut PgConnection, fence: i64, poll: Uuid, dataset: Option<&str>) -> Result<(), Error> {
    let sql = "INSERT INTO sync.pending_file (path, fence)
               SELECT path, $2 FROM sync.staged_part
               WHERE poll = $1 AND path IS NOT NULL AND ($3::text IS NULL OR dataset = $3)";
    sqlx::query(sql).bind(poll).bind(fence).bind(dataset).execute(&mut *tx).await?;
    Ok(())
}

/// Full paths of the files of some parts.
pub(crate) fn files(lake_dir: &std::path::Path, parts: &[StagedPart]) -> Vec<PathBuf> {
    parts.iter().filter_map(|it| it.path.as_ref()).map(|it| lake_dir.join(it)).collect()
}
