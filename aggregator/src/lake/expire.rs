//! Letting go: snapshots past their time, files no snapshot needs, files no catalogue row names.

use std::collections::BTreeMap;

use base::AdvisoryLock;
use chrono::{TimeDelta, Utc};
use serde::Serialize;

use super::{commit, file};
use crate::Aggregator;
use crate::error::Error;

/// What an expiry did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Expired {
    /// Snapshots that can no longer be read.
    pub snapshots: u64,
    /// Files that none of the remaining snapshots needs.
    pub files: u64,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Files removed.
    pub files: u64,
    /// Names that still have a live worker behind them.
    pub spared: u64,
}

/// Name of the lock under which expired files are removed.
const FENCE: &str = "expiry";

/// Let go of snapshots older than `keep`, the newest one excepted, and of the files only they need.
///
/// The catalogue forgets the files first and names them as pending; they are removed after that
/// commit, here or by [`sweep`]. Polls' records go with the snapshots.
pub async fn expire(aggregator: &Aggregator, keep: TimeDelta) -> Result<Expired, Error> {
    let Some(fence) = AdvisoryLock::take(aggregator.db(), FENCE).await? else {
        return Err(Error::Busy(FENCE.to_owned()));
    };
    let expired = expire_alone(aggregator, &fence, keep).await;
    fence.release().await;
    let expired = expired?;
    if expired.files > 0 {
        sweep(aggregator).await?;
    }
    Ok(expired)
}

async fn expire_alone(aggregator: &Aggregator, fence: &AdvisoryLock, keep: TimeDelta) -> Result<Expired, Error> {
    let before = Utc::now() - keep;
    let mut tx = base::begin(aggregator.db()).await?;
    let head = commit::lock(&mut tx).await?;
    let sql = "DELETE FROM lake.ducklake_snapshot WHERE snapshot_time < $1 AND snapshot_id < $2 RETURNING snapshot_id";
    let gone: Vec<i64> = sqlx::query_scalar(sql).bind(before).bind(head.snapshot_id).fetch_all(&mut *tx).await?;
    let sql = "DELETE FROM lake.ducklake_snapshot_changes WHERE snapshot_id = ANY($1)";
    sqlx::query(sql).bind(&gone).execute(&mut *tx).await?;
    // A file is needed while a snapshot lies between its first and the one that ended it.
    let sql = "DELETE FROM lake.ducklake_data_file f USING lake.ducklake_table t
               WHERE f.table_id = t.table_id AND f.end_snapshot IS NOT NULL
                 AND NOT EXISTS (SELECT FROM lake.ducklake_snapshot s
                                 WHERE s.snapshot_id >= f.begin_snapshot AND s.snapshot_id < f.end_snapshot)
               RETURNING f.data_file_id, 'main/' || t.path || f.path";
    let files: Vec<(i64, String)> = sqlx::query_as(sql).fetch_all(&mut *tx).await?;
    let (ids, mut paths): (Vec<i64>, Vec<String>) = files.into_iter().unzip();
    let sql = "DELETE FROM lake.ducklake_delete_file d USING lake.ducklake_table t
               WHERE d.table_id = t.table_id
                 AND (d.data_file_id = ANY($1)
                      OR d.end_snapshot IS NOT NULL
                         AND NOT EXISTS (SELECT FROM lake.ducklake_snapshot s
                                         WHERE s.snapshot_id >= d.begin_snapshot AND s.snapshot_id < d.end_snapshot))
               RETURNING 'main/' || t.path || d.path";
    paths.extend(sqlx::query_scalar::<_, String>(sql).bind(&ids).fetch_all(&mut *tx).await?);
    for sql in [
        "DELETE FROM lake.ducklake_file_column_stats WHERE data_file_id = ANY($1)",
        "DELETE FROM lake.ducklake_file_partition_value WHERE data_file_id = ANY($1)",
    ] {
        sqlx::query(sql).bind(&ids).execute(&mut *tx).await?;
    }
    let sql = "INSERT INTO sync.pending_file (path, fence) SELECT path, $2 FROM unnest($1::text[]) AS t (path)";
    sqlx::query(sql).bind(&paths).bind(fence.key()).execute(&mut *tx).await?;
    for sql in [
        "DELETE FROM sync.poll WHERE finished_at < $1",
        "DELETE FROM sync.changed_day WHERE recorded_at < $1",
        "DELETE FROM sync.quarantine WHERE resolved_at < $1",
    ] {
        sqlx::query(sql).bind(before).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(Expired { snapshots: gone.len() as u64, files: paths.len() as u64 })
}

/// Remove files that were announced and never committed, or given up since, once their worker is gone.
///
/// A worker is there as long as it holds its lock; files of a staged poll are named by the stage and
/// are not pending.
pub async fn sweep(aggregator: &Aggregator) -> Result<Swept, Error> {
    let db = aggregator.db();
    let pending: Vec<(i64, String)> =
        sqlx::query_as("SELECT fence, path FROM sync.pending_file ORDER BY path").fetch_all(db).await?;
    let mut by_fence: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (fence, path) in pending {
        by_fence.entry(fence).or_default().push(path);
    }
    let mut swept = Swept::default();
    for (key, paths) in by_fence {
        let Some(fence) = AdvisoryLock::take_key(db, key).await? else {
            swept.spared += paths.len() as u64;
            continue;
        };
        let removed = remove(aggregator, &paths).await;
        fence.release().await;
        swept.files += removed?;
    }
    Ok(swept)
}

/// Remove those of some files that are still pending, and their names, for who holds the lock on them. The answer is how
/// many were whole.
///
/// The names are read again under the lock: its last holder may have committed some of them.
pub(crate) async fn remove(aggregator: &Aggregator, paths: &[String]) -> Result<u64, Error> {
    let sql = "SELECT path FROM sync.pending_file WHERE path = ANY($1)";
    let still: Vec<String> = sqlx::query_scalar(sql).bind(paths).fetch_all(aggregator.db()).await?;
    let dir = aggregator.lake().dir().to_owned();
    let full: Vec<_> = still.iter().map(|it| dir.join(it)).collect();
    let removed = aggregator.compute.run(move || file::remove(&full)).await?;
    // The files first: a name without a file does no harm, a file without a name is never found.
    sqlx::query("DELETE FROM sync.pending_file WHERE path = ANY($1)").bind(&still).execute(aggregator.db()).await?;
    Ok(removed)
}
