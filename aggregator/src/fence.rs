//! One worker at a time on one thing, across replicas: an advisory lock on a connection of its own.
//!
//! The lock lives exactly as long as the connection, so a killed process frees it. It keeps two
//! workers from doing the same work; that they cannot both commit it is the commit rule's business.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::Mutex;

use crate::compute::Compute;
use crate::error::Error;
use crate::lake::file;

/// A held lock. Dropping it closes the connection, and with that frees the lock.
#[derive(Debug)]
pub(crate) struct Fence {
    connection: Mutex<PgConnection>,
    key: i64,
}

impl Fence {
    /// Take the lock of that name, or `None` when somebody holds it.
    pub(crate) async fn take(db: &PgPool, name: &str) -> Result<Option<Arc<Self>>, Error> {
        Self::take_key(db, key(name)).await
    }

    /// Take the lock of that name when whoever holds it lets go.
    pub(crate) async fn wait(db: &PgPool, name: &str) -> Result<Arc<Self>, Error> {
        let mut connection = db.acquire().await?.detach();
        let key = key(name);
        sqlx::query("SELECT pg_advisory_lock($1)").bind(key).execute(&mut connection).await?;
        Ok(Arc::new(Self { connection: Mutex::new(connection), key }))
    }

    /// [`Fence::take`] by the lock's number.
    pub(crate) async fn take_key(db: &PgPool, key: i64) -> Result<Option<Arc<Self>>, Error> {
        // Detached: the pool must never lend out a connection that holds a lock.
        let mut connection = db.acquire().await?.detach();
        let taken: bool =
            sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(key).fetch_one(&mut connection).await?;
        if taken {
            return Ok(Some(Arc::new(Self { connection: Mutex::new(connection), key })));
        }
        connection.close().await?;
        Ok(None)
    }

    /// The lock's number, which `sync.pending_file` names beside each file its holder writes.
    pub(crate) fn key(&self) -> i64 {
        self.key
    }

    /// Record files by their paths below the lake's folder, then run the work that writes them.
    ///
    /// A sweep takes the names of a lock that nobody holds for those of a dead worker and forgets them. Therefore they
    /// are recorded on the lock's own connection, so that none is once that has gone; the lock is held until the thread
    /// that writes has ended, even when nobody waits for it any more; and where the connection went meanwhile, the files
    /// are removed here, whose names may be forgotten by now, and the answer is [`Error::FenceLost`].
    pub(crate) async fn write<T, F>(
        self: &Arc<Self>,
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
        let announce = sqlx::query(sql).bind(&paths).bind(self.key);
        announce.execute(&mut *self.connection.lock().await).await.map_err(|error| self.lost(&error))?;
        let (fence, compute) = (Arc::clone(self), compute.clone());
        let files: Vec<PathBuf> = paths.iter().map(|path| lake_dir.join(path)).collect();
        // A task of its own: who asked may leave, what was begun is seen to its end.
        tokio::spawn(async move {
            let written = compute.run(work).await;
            let Err(error) = fence.connection.lock().await.ping().await else { return written };
            compute.run(move || file::remove(&files)).await?;
            Err(fence.lost(&error))
        })
        .await?
    }

    fn lost(&self, error: &sqlx::Error) -> Error {
        tracing::warn!(key = self.key, %error, "a lock was lost in the middle of its work");
        Error::FenceLost
    }

    /// Free the lock before this returns, and not when the server notices the closed connection.
    pub(crate) async fn release(self: Arc<Self>) {
        // Whoever still writes under it frees it when that is done.
        let Some(fence) = Arc::into_inner(self) else { return };
        let mut connection = fence.connection.into_inner();
        let unlock = sqlx::query("SELECT pg_advisory_unlock($1)").bind(fence.key).execute(&mut connection).await;
        if let Err(error) = unlock.and(connection.close().await) {
            tracing::debug!(%error, "a lock's connection did not close in good order; the server frees the lock");
        }
    }
}

fn key(name: &str) -> i64 {
    let digest = Sha256::digest(format!("tributary {name}"));
    digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | i64::from(*byte))
}
