//! Files that a worker writes under its advisory lock, recorded before they are written.

use std::path::PathBuf;
use std::sync::Arc;

use base::AdvisoryLock;
use sqlx::{Connection as _, PgConnection};

use crate::{Lake, LakeError, file};

/// Record files by their paths below the lake's folder, then run the work that writes them.
///
/// A sweep takes the names of a lock that nobody holds for those of a dead worker, and forgets them. Therefore the names
/// are recorded on the lock's own connection, so that none is recorded without the lock; the lock is held until the
/// thread that writes has ended, even when nobody waits for the result; and where the connection was lost meanwhile, the
/// files are removed here, because their names may be forgotten already.
///
/// # Errors
/// Those of `work`, and [`LakeError::LockLost`].
pub async fn write<T, F>(lake: &Lake, lock: &Arc<AdvisoryLock>, paths: Vec<String>, work: F) -> Result<T, LakeError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, LakeError> + Send + 'static,
{
    let announced = announce(&mut *lock.connection().await, lock, &paths).await;
    announced.map_err(|error| lost(lock, &error))?;
    let (lock, compute) = (Arc::clone(lock), lake.compute().clone());
    let files: Vec<PathBuf> = paths.iter().map(|path| lake.dir().join(path)).collect();
    // A task of its own: who asked may leave, what was begun is seen to its end.
    tokio::spawn(async move {
        let written = compute.run(work).await;
        let Err(error) = lock.connection().await.ping().await else { return written };
        compute.run(move || file::remove(&files)).await?;
        Err(lost(&lock, &error))
    })
    .await?
}

/// Record files, by their paths below the lake's folder, for the sweep to remove once nobody holds the lock.
///
/// # Errors
/// When the database fails.
pub async fn announce(tx: &mut PgConnection, lock: &AdvisoryLock, paths: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO sync.pending_file (path, fence) SELECT path, $2 FROM unnest($1::text[]) AS t (path)",
        paths,
        lock.key()
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Take files out of those that the sweep removes; each of them must still be among them.
///
/// # Errors
/// [`LakeError::Overtaken`] when one is not: a sweep took it for a dead worker's.
pub async fn keep(tx: &mut PgConnection, paths: &[&str]) -> Result<(), LakeError> {
    let kept = sqlx::query!("DELETE FROM sync.pending_file WHERE path = ANY($1)", paths as _).execute(tx).await?;
    if kept.rows_affected() == paths.len() as u64 { Ok(()) } else { Err(LakeError::Overtaken) }
}

/// Forget names of files that were not written.
///
/// # Errors
/// When the database fails.
pub async fn forget(lake: &Lake, paths: &[String]) -> Result<(), LakeError> {
    sqlx::query!("DELETE FROM sync.pending_file WHERE path = ANY($1)", paths).execute(lake.db()).await?;
    Ok(())
}

/// Remove those of some files that are still pending, and their names, for who holds the lock on them. The answer is how
/// many were whole.
///
/// The names are read again under the lock: its last holder may have committed some of them.
///
/// # Errors
/// When a file cannot be removed, or the database fails.
pub async fn remove(lake: &Lake, paths: &[String]) -> Result<u64, LakeError> {
    let sql = "SELECT path FROM sync.pending_file WHERE path = ANY($1)";
    let still: Vec<String> = sqlx::query_scalar(sql).bind(paths).fetch_all(lake.db()).await?;
    let files: Vec<PathBuf> = still.iter().map(|path| lake.dir().join(path)).collect();
    let removed = lake.compute().run(move || file::remove(&files)).await?;
    // The files first: a name without a file does no harm, a file without a name is never found.
    forget(lake, &still).await?;
    Ok(removed)
}

fn lost(lock: &AdvisoryLock, error: &sqlx::Error) -> LakeError {
    tracing::warn!(key = lock.key(), %error, "a lock was lost in the middle of its work");
    LakeError::LockLost
}
