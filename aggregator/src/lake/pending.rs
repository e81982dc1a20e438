//! Files that a worker writes under its advisory lock, recorded before they are written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{AdvisoryLock, Compute};
use sqlx::Connection as _;

use super::file;
use crate::error::Error;

/// Record files by their paths below the lake's folder, then run the work that writes them.
///
/// A sweep takes the names of a lock that nobody holds for those of a dead worker and forgets them. Therefore they are
/// recorded on the lock's own connection, so that none is once that has gone; the lock is held until the thread that
/// writes has ended, even when nobody waits for it any more; and where the connection went meanwhile, the files are
/// removed here, whose names may be forgotten by now, and the answer is [`Error::LockLost`].
pub(crate) async fn write<T, F>(
    lock: &Arc<AdvisoryLock>,
    compute: &Compute,
    lake_dir: &Path,
    paths: Vec<String>,
    work: F,
) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    let sql = "INSERT INTO sync.pending_file (path, fence) SELECT path, $2 FROM unnest($1::text[]) AS t (path)";
    let announce = sqlx::query(sql).bind(&paths).bind(lock.key());
    announce.execute(&mut *lock.connection().await).await.map_err(|error| lost(lock, &error))?;
    let (lock, compute) = (Arc::clone(lock), compute.clone());
    let files: Vec<PathBuf> = paths.iter().map(|path| lake_dir.join(path)).collect();
    // A task of its own: who asked may leave, what was begun is seen to its end.
    tokio::spawn(async move {
        let written = compute.run(work).await;
        let Err(error) = lock.connection().await.ping().await else { return written };
        compute.run(move || file::remove(&files)).await?;
        Err(lost(&lock, &error))
    })
    .await?
}

fn lost(lock: &AdvisoryLock, error: &sqlx::Error) -> Error {
    tracing::warn!(key = lock.key(), %error, "a lock was lost in the middle of its work");
    Error::LockLost
}
