//! Expiry: snapshots past their time, files that no snapshot needs, files that no catalogue row names.

use std::collections::BTreeMap;

use base::AdvisoryLock;
use chrono::TimeDelta;
use serde::Serialize;
use sqlx::PgConnection;

use crate::{Lake, LakeError, checksum, commit, pending};

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

impl Lake {
    /// Remove snapshots older than `keep`, the newest one excepted, and the files that only they need.
    ///
    /// The catalogue forgets the files first and names them as pending; they are removed after that
    /// commit, here or by [`Lake::sweep`].
    ///
    /// # Errors
    /// [`LakeError::Busy`] while another expiry runs, here or in another replica; when the database or a file fails.
    pub async fn expire(&self, keep: TimeDelta) -> Result<Expired, LakeError> {
        let lock = AdvisoryLock::take(&self.db, "expiry").await?.ok_or(LakeError::Busy("expiry"))?;
        let expired = self.expire_under(&lock, keep).await;
        lock.release().await;
        let expired = expired?;
        if expired.files > 0 {
            self.sweep().await?;
        }
        Ok(expired)
    }

    async fn expire_under(&self, lock: &AdvisoryLock, keep: TimeDelta) -> Result<Expired, LakeError> {
        let mut tx = base::begin(&self.db).await?;
        let head = commit::lock(&mut tx).await?;
        let expired: Vec<i64> = sqlx::query_scalar!(
            "DELETE FROM lake.ducklake_snapshot
              WHERE snapshot_time < clock_timestamp() - make_interval(secs => $1) AND snapshot_id < $2
              RETURNING snapshot_id",
            keep.as_seconds_f64(),
            head.snapshot_id
        )
        .fetch_all(&mut *tx)
        .await?;
        sqlx::query!("DELETE FROM lake.ducklake_snapshot_changes WHERE snapshot_id = ANY($1)", &expired)
            .execute(&mut *tx)
            .await?;
        let paths = forget_files(&mut tx).await?;
        forget_days(&mut tx).await?;
        pending::announce(&mut tx, lock, &paths).await?;
        tx.commit().await?;
        Ok(Expired { snapshots: expired.len() as u64, files: paths.len() as u64 })
    }

    /// Removes files that were announced and never committed, or given up since, once nobody holds their lock.
    ///
    /// A worker lives as long as it holds its lock; files of a staged poll are named by the stage and
    /// are not pending.
    ///
    /// # Errors
    /// When the database or a file fails.
    pub async fn sweep(&self) -> Result<Swept, LakeError> {
        let sql = "SELECT fence, path FROM sync.pending_file ORDER BY path";
        let pending: Vec<(i64, String)> = sqlx::query_as(sql).fetch_all(&self.db).await?;
        let mut by_lock: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (key, path) in pending {
            by_lock.entry(key).or_default().push(path);
        }
        let mut swept = Swept::default();
        for (key, paths) in by_lock {
            let Some(lock) = AdvisoryLock::take_key(&self.db, key).await? else {
                swept.spared += paths.len() as u64;
                continue;
            };
            let removed = pending::remove(self, &paths).await;
            lock.release().await;
            swept.files += removed?;
        }
        Ok(swept)
    }
}

/// Removes the files that no snapshot needs from the catalogue; answers their paths. A file is needed while a snapshot lies
/// between its first and the one that ended it.
async fn forget_files(tx: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let files = sqlx::query!(
        r#"DELETE FROM lake.ducklake_data_file f USING lake.ducklake_table t
               WHERE f.table_id = t.table_id AND f.end_snapshot IS NOT NULL
                 AND NOT EXISTS (SELECT FROM lake.ducklake_snapshot s
                                 WHERE s.snapshot_id >= f.begin_snapshot AND s.snapshot_id < f.end_snapshot)
               RETURNING f.data_file_id, 'main/' || t.path || f.path AS "path!""#
    )
    .fetch_all(&mut *tx)
    .await?;
    let (ids, mut paths): (Vec<i64>, Vec<String>) = files.into_iter().map(|it| (it.data_file_id, it.path)).unzip();
    let delete_files = sqlx::query_scalar!(
        r#"DELETE FROM lake.ducklake_delete_file d USING lake.ducklake_table t
               WHERE d.table_id = t.table_id
                 AND (d.data_file_id = ANY($1)
                      OR d.end_snapshot IS NOT NULL
                         AND NOT EXISTS (SELECT FROM lake.ducklake_snapshot s
                                         WHERE s.snapshot_id >= d.begin_snapshot AND s.snapshot_id < d.end_snapshot))
               RETURNING 'main/' || t.path || d.path AS "path!""#,
        &ids
    );
    paths.extend(delete_files.fetch_all(&mut *tx).await?);
    sqlx::query!("DELETE FROM lake.ducklake_file_column_stats WHERE data_file_id = ANY($1)", &ids)
        .execute(&mut *tx)
        .await?;
    sqlx::query!("DELETE FROM lake.ducklake_file_partition_value WHERE data_file_id = ANY($1)", &ids)
        .execute(&mut *tx)
        .await?;
    checksum::forget(tx, &paths).await?;
    Ok(paths)
}

/// Removes what is known of days in no remaining snapshot. Which days have changed is asked from the oldest snapshot on; a
/// kept day that these outdate goes with them.
async fn forget_days(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM sync.changed_day
             WHERE snapshot_id < (SELECT min(snapshot_id) FROM lake.ducklake_snapshot)"
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "DELETE FROM sync.kept_day d
             WHERE d.end_snapshot IS NOT NULL
               AND NOT EXISTS (SELECT FROM lake.ducklake_snapshot s
                               WHERE s.snapshot_id >= d.begin_snapshot AND s.snapshot_id < d.end_snapshot)"
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "DELETE FROM sync.kept_view v
             WHERE NOT EXISTS (SELECT FROM lake.ducklake_table t
                               WHERE t.table_id = v.table_id
                                 AND (t.end_snapshot IS NULL
                                      OR t.end_snapshot > (SELECT min(snapshot_id) FROM lake.ducklake_snapshot)))"
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
