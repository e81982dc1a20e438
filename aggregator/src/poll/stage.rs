//! What has come from a source and is not committed yet.
//!
//! A part is a page's rows as a Parquet file plus one row in `sync.staged_part`, written in that
//! order; so whoever comes after a crash goes on behind the last part, and reads no page twice.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base::AdvisoryLock;
use chrono::{DateTime, NaiveDate, Utc};
use lake::{LakeError, pending};
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::{Drops, PollError};
use crate::source::client::Head;
use crate::source::page::Refused;
use crate::source::{Dataset, Declaration};

/// What a dataset is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refresh {
    /// What has changed behind the cursor.
    Incremental,
    /// Everything, from the start: keys that do not come are dropped.
    Full,
}

impl From<bool> for Refresh {
    fn from(full: bool) -> Self {
        if full { Self::Full } else { Self::Incremental }
    }
}

/// A poll in progress.
#[derive(Debug, Clone, FromRow)]
pub(super) struct StagedPoll {
    pub(super) poll: Uuid,
    pub(super) declaration: String,
    /// The token that every page sends back.
    pub(super) head: String,
    pub(super) etag: String,
    pub(super) epoch: String,
    pub(super) horizon: String,
    pub(super) as_of: DateTime<Utc>,
    /// What the source does not offer of what is declared.
    pub(super) absent: Vec<String>,
    pub(super) started_at: DateTime<Utc>,
    /// Whether everything is read because the source's history is another one than before.
    pub(super) rewritten: bool,
}

impl StagedPoll {
    /// A declared dataset as the source offered it when the poll began.
    pub(super) fn dataset(&self, of: &Declaration, name: &str) -> Option<Dataset> {
        of.datasets.iter().find(|it| it.name == name)?.offered(&self.absent)
    }
}

/// How a dataset is read in a poll.
#[derive(Debug, Clone, FromRow)]
pub(super) struct StagedDataset {
    pub(super) dataset: String,
    #[sqlx(rename = "whole", try_from = "bool")]
    pub(super) refresh: Refresh,
    /// The cursor that the commit must still find.
    pub(super) old_cursor: Option<String>,
}

/// One page.
#[derive(Debug, Clone, FromRow)]
pub(super) struct StagedPart {
    pub(super) part: i32,
    /// File below the lake's folder; `None` for a page without good rows.
    pub(super) path: Option<String>,
    pub(super) rows_read: i64,
    pub(super) bytes: i64,
    pub(super) days: Json<BTreeMap<NaiveDate, u64>>,
    pub(super) next_cursor: Option<String>,
    pub(super) resume_cursor: String,
}

/// The poll in progress of a source, if there is one.
pub(super) async fn find(db: &PgPool, source: &str) -> Result<Option<StagedPoll>, PollError> {
    let sql = "SELECT poll, declaration, head, etag, epoch, horizon, as_of, absent, started_at, rewritten
               FROM sync.staged_poll WHERE source = $1";
    Ok(sqlx::query_as(sql).bind(source).fetch_optional(db).await?)
}

/// Begin a poll under a head: a full refresh of every dataset, or of those alone that have no cursor or another shape.
///
/// A dataset that is held back is left out until it is time to try it again, or drops are allowed.
pub(super) async fn begin(
    db: &PgPool,
    declaration: &Declaration,
    head: &Head,
    absent: &[String],
    refresh: Refresh,
    drops: Drops,
) -> Result<StagedPoll, PollError> {
    let mut tx = base::begin(db).await?;
    let poll = sqlx::query_as!(
        StagedPoll,
        "INSERT INTO sync.staged_poll (source, poll, declaration, head, etag, epoch, horizon, as_of, absent, rewritten)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10 AND EXISTS (SELECT FROM sync.cursor WHERE source = $1))
         RETURNING poll, declaration, head, etag, epoch, horizon, as_of, absent, started_at, rewritten",
        &declaration.name,
        Uuid::now_v7(),
        declaration.shape(),
        &head.head,
        &head.etag,
        &head.epoch,
        &head.horizon,
        head.as_of,
        absent,
        refresh == Refresh::Full
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE sync.source SET zone_data = $2 WHERE name = $1 AND zone_data IS DISTINCT FROM $2",
        &declaration.name,
        head.zone_data.as_deref()
    )
    .execute(&mut *tx)
    .await?;
    let offered = declaration.datasets.iter().filter_map(|it| it.offered(absent));
    let (names, shapes): (Vec<String>, Vec<String>) = offered.map(|it| (it.name.clone(), it.shape())).unzip();
    sqlx::query!(
        "INSERT INTO sync.staged_dataset (poll, dataset, whole, old_cursor)
         SELECT $1, d.name, $4 OR c.cursor IS NULL OR c.shape <> d.shape, c.cursor
         FROM unnest($2::text[], $3::text[]) AS d (name, shape)
         LEFT JOIN sync.cursor c ON c.dataset = d.name
         WHERE $4 OR $5 OR NOT EXISTS (
             SELECT FROM sync.held h
             WHERE h.dataset = d.name AND c.cursor IS NOT NULL AND h.tried_at > clock_timestamp() - interval '1 hour')",
        poll.poll,
        &names,
        &shapes,
        refresh == Refresh::Full,
        drops == Drops::Allowed
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(poll)
}

/// The datasets of a poll in progress.
pub(super) async fn datasets(db: &PgPool, poll: Uuid) -> Result<Vec<StagedDataset>, PollError> {
    let sql = "SELECT dataset, whole, old_cursor FROM sync.staged_dataset WHERE poll = $1 ORDER BY dataset";
    Ok(sqlx::query_as(sql).bind(poll).fetch_all(db).await?)
}

/// The parts of a dataset, in the order in which they came.
pub(super) async fn parts(db: &PgPool, poll: Uuid, dataset: &str) -> Result<Vec<StagedPart>, PollError> {
    let sql = "SELECT part, path, rows_read, bytes, days, next_cursor, resume_cursor
               FROM sync.staged_part WHERE poll = $1 AND dataset = $2 ORDER BY part";
    Ok(sqlx::query_as(sql).bind(poll).bind(dataset).fetch_all(db).await?)
}

/// Where a part's file goes, below the lake's folder.
pub(super) fn part_path(poll: Uuid, dataset: &str, part: i32) -> String {
    format!("staging/{}/{dataset}-{part}-{}.parquet", poll.simple(), Uuid::now_v7().simple())
}

/// Where refused rows came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) source: &'a str,
    pub(super) dataset: &'a str,
    pub(super) poll: Uuid,
    pub(super) cursor: Option<&'a str>,
    pub(super) header: &'a str,
}

/// Note a part whose file is on disk, with the rows that did not fit. `announced` is the file's
/// name, which is pending no longer even if the page had no good row to write.
///
/// Returns how many of those are new to the quarantine: a row that is delivered again is there once.
pub(super) async fn note(
    db: &PgPool,
    origin: Origin<'_>,
    announced: &str,
    part: &StagedPart,
    refused: &[Refused],
) -> Result<u64, PollError> {
    let mut tx = base::begin(db).await?;
    sqlx::query!(
        "INSERT INTO sync.staged_part
           (poll, dataset, part, path, rows_read, bytes, days, next_cursor, resume_cursor)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        origin.poll,
        origin.dataset,
        part.part,
        part.path.as_deref(),
        part.rows_read,
        part.bytes,
        &part.days as _,
        part.next_cursor.as_deref(),
        &part.resume_cursor
    )
    .execute(&mut *tx)
    .await?;
    pending::keep(&mut tx, &[announced]).await.map_err(|error| match error {
        // A sweep took the file for a dead worker's.
        LakeError::Overtaken => LakeError::LockLost,
        other => other,
    })?;
    let quarantined = quarantine(&mut tx, origin, refused).await?;
    tx.commit().await?;
    Ok(quarantined)
}

async fn quarantine(tx: &mut PgConnection, origin: Origin<'_>, refused: &[Refused]) -> Result<u64, sqlx::Error> {
    if refused.is_empty() {
        return Ok(0);
    }
    let mut seen = std::collections::HashSet::new();
    let refused: Vec<&Refused> = refused.iter().filter(|it| seen.insert(it.raw.as_str())).collect();
    // A row that came before is the same entry; it now belongs to this poll, which saw it last.
    let new = sqlx::query_scalar!(
        "INSERT INTO sync.quarantine
           (source, dataset, poll, cursor, header, row_number, column_name, reason, key, raw)
         SELECT $1, $2, $3, $4, $5, t.row_number, t.column_name, t.reason, t.key, t.raw
         FROM unnest($6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[])
           AS t (row_number, column_name, reason, key, raw)
         ON CONFLICT (dataset, md5(header || raw)) WHERE resolved_at IS NULL
         DO UPDATE SET poll = excluded.poll, reason = excluded.reason, column_name = excluded.column_name
         RETURNING xmax = 0",
        origin.source,
        origin.dataset,
        origin.poll,
        origin.cursor,
        origin.header,
        &refused.iter().map(|it| it.row as i64).collect::<Vec<_>>(),
        refused.iter().map(|it| it.column.as_str()).collect::<Vec<_>>() as _,
        refused.iter().map(|it| it.reason.as_str()).collect::<Vec<_>>() as _,
        refused.iter().map(|it| it.key.as_deref()).collect::<Vec<_>>() as _,
        refused.iter().map(|it| it.raw.as_str()).collect::<Vec<_>>() as _
    )
    .fetch_all(&mut *tx)
    .await?;
    Ok(new.into_iter().filter(|it| *it == Some(true)).count() as u64)
}

/// Read a dataset from its start after all, and forget what came of it.
pub(super) async fn restart_dataset(
    db: &PgPool,
    lock: &AdvisoryLock,
    poll: Uuid,
    dataset: &str,
) -> Result<(), sqlx::Error> {
    let mut tx = base::begin(db).await?;
    give_up_files(&mut tx, lock, poll, Some(dataset)).await?;
    sqlx::query!("DELETE FROM sync.staged_part WHERE poll = $1 AND dataset = $2", poll, dataset)
        .execute(&mut *tx)
        .await?;
    sqlx::query!("UPDATE sync.staged_dataset SET whole = true WHERE poll = $1 AND dataset = $2", poll, dataset)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// End a poll in progress, committed or not: its rows go, its files become pending, for the caller
/// or the sweep to remove. Returns whether the poll was still there.
pub(super) async fn end(tx: &mut PgConnection, lock: &AdvisoryLock, poll: Uuid) -> Result<bool, sqlx::Error> {
    give_up_files(tx, lock, poll, None).await?;
    let ended = sqlx::query!("DELETE FROM sync.staged_poll WHERE poll = $1", poll).execute(&mut *tx).await?;
    Ok(ended.rows_affected() == 1)
}

/// Discard a poll in progress. What it put into quarantine stays: the rows came, and will come again.
pub(super) async fn discard(db: &PgPool, lock: &AdvisoryLock, poll: Uuid) -> Result<(), sqlx::Error> {
    let mut tx = base::begin(db).await?;
    end(&mut tx, lock, poll).await?;
    tx.commit().await
}

async fn give_up_files(
    tx: &mut PgConnection,
    lock: &AdvisoryLock,
    poll: Uuid,
    dataset: Option<&str>,
) -> Result<(), sqlx::Error> {
    let sql = "SELECT path FROM sync.staged_part
               WHERE poll = $1 AND path IS NOT NULL AND ($2::text IS NULL OR dataset = $2)";
    let paths: Vec<String> = sqlx::query_scalar(sql).bind(poll).bind(dataset).fetch_all(&mut *tx).await?;
    pending::announce(tx, lock, &paths).await
}

/// Full paths of the files of some parts.
pub(super) fn files(lake_dir: &std::path::Path, parts: &[StagedPart]) -> Vec<PathBuf> {
    parts.iter().filter_map(|it| it.path.as_ref()).map(|it| lake_dir.join(it)).collect()
}
