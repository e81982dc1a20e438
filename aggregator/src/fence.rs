//! One worker at a time on one thing, across replicas: an advisory lock on a connection of its own.
//!
//! The lock lives exactly as long as the connection, so a killed process frees it. It keeps two
//! workers from doing the same work; that they cannot both commit it is the commit rule's business.

use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::Mutex;

use crate::error::Error;

/// A held lock. Dropping it closes the connection, and with that frees the lock.
#[derive(Debug)]
pub(crate) struct Fence {
    connection: Mutex<PgConnection>,
    key: i64,
}

impl Fence {
    /// Take the lock of that name, or `None` when somebody holds it.
    pub(crate) async fn take(db: &PgPool, name: &str) -> Result<Option<Self>, Error> {
        Self::take_key(db, key(name)).await
    }

    /// Take the lock of that name when whoever holds it lets go.
    pub(crate) async fn wait(db: &PgPool, name: &str) -> Result<Self, Error> {
        let mut connection = db.acquire().await?.detach();
        let key = key(name);
        sqlx::query("SELECT pg_advisory_lock($1)").bind(key).execute(&mut connection).await?;
        Ok(Self { connection: Mutex::new(connection), key })
    }

    /// [`Fence::take`] by the lock's number.
    pub(crate) async fn take_key(db: &PgPool, key: i64) -> Result<Option<Self>, Error> {
        // Detached: the pool must never lend out a connection that holds a lock.
        let mut connection = db.acquire().await?.detach();
        let taken: bool =
            sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(key).fetch_one(&mut connection).await?;
        if taken {
            return Ok(Some(Self { connection: Mutex::new(connection), key }));
        }
        connection.close().await?;
        Ok(None)
    }

    /// The lock's number, which `sync.pending_file` names beside each file its holder writes.
    pub(crate) fn key(&self) -> i64 {
        self.key
    }

    /// Record files that the holder is about to write, by their paths below the lake's folder.
    ///
    /// On the lock's own connection: where that has gone, so has the lock, and a sweep would take new names for those of
    /// a worker that is dead, remove them, and leave the files that are written afterwards without a name.
    pub(crate) async fn announce(&self, paths: &[&str]) -> Result<(), Error> {
        let sql = "INSERT INTO sync.pending_file (path, fence) SELECT path, $2 FROM unnest($1::text[]) AS t (path)";
        sqlx::query(sql).bind(paths).bind(self.key).execute(&mut *self.connection.lock().await).await?;
        Ok(())
    }

    /// Free the lock before this returns, and not when the server notices the closed connection.
    pub(crate) async fn release(self) {
        let mut connection = self.connection.into_inner();
        let unlock = sqlx::query("SELECT pg_advisory_unlock($1)").bind(self.key).execute(&mut connection).await;
        if let Err(error) = unlock.and(connection.close().await) {
            tracing::debug!(%error, "a lock's connection did not close in good order; the server frees the lock");
        }
    }
}

fn key(name: &str) -> i64 {
    let digest = Sha256::digest(format!("tributary {name}"));
    digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | i64::from(*byte))
}
