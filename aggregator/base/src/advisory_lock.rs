//! One worker at a time on one thing, across replicas: an advisory lock on a connection of its own.
//!
//! The lock lives exactly as long as the connection, so a killed process frees it. It keeps two
//! workers from doing the same work; that they cannot both commit it is the commit rule's business.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::{Mutex, MutexGuard};

/// A held lock. Dropping it closes the connection, and with that frees the lock.
#[derive(Debug)]
pub struct AdvisoryLock {
    connection: Mutex<PgConnection>,
    key: i64,
}

impl AdvisoryLock {
    /// Take the lock of that name, or `None` when somebody holds it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn take(db: &PgPool, name: &str) -> Result<Option<Arc<Self>>, sqlx::Error> {
        Self::take_key(db, key(name)).await
    }

    /// Take the lock of that name when whoever holds it lets go. The wait is asked for anew every ten seconds: one that the
    /// network has forgotten comes to an end.
    ///
    /// # Errors
    /// The database failed.
    pub async fn wait(db: &PgPool, name: &str) -> Result<Arc<Self>, sqlx::Error> {
        let mut connection = db.acquire().await?.detach();
        let key = key(name);
        sqlx::query("SET lock_timeout = '10s'").execute(&mut connection).await?;
        loop {
            let waited = sqlx::query("SELECT pg_advisory_lock($1)").bind(key).execute(&mut connection).await;
            match waited {
                Ok(_) => return Ok(Arc::new(Self { connection: Mutex::new(connection), key })),
                Err(error) if is_lock_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// [`AdvisoryLock::take`] by the lock's number.
    ///
    /// # Errors
    /// The database failed.
    pub async fn take_key(db: &PgPool, key: i64) -> Result<Option<Arc<Self>>, sqlx::Error> {
        // Taken out of the pool, which must never lend out a connection that holds a lock.
        let mut connection = db.acquire().await?.detach();
        let taken: bool =
            sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(key).fetch_one(&mut connection).await?;
        if taken {
            return Ok(Some(Arc::new(Self { connection: Mutex::new(connection), key })));
        }
        connection.close().await?;
        Ok(None)
    }

    /// The lock's number.
    #[must_use]
    pub fn key(&self) -> i64 {
        self.key
    }

    /// The connection that holds the lock: what is written on it is not written once the lock is lost.
    pub async fn connection(&self) -> MutexGuard<'_, PgConnection> {
        self.connection.lock().await
    }

    /// Free the lock before this returns, and not when the server notices the closed connection.
    pub async fn release(self: Arc<Self>) {
        // Whoever still writes under it frees it when that is done.
        let Some(lock) = Arc::into_inner(self) else { return };
        let mut connection = lock.connection.into_inner();
        let unlock = sqlx::query("SELECT pg_advisory_unlock($1)").bind(lock.key).execute(&mut connection).await;
        if let Err(error) = unlock.and(connection.close().await) {
            tracing::debug!(%error, "a lock's connection did not close in good order; the server frees the lock");
        }
    }
}

/// Whether a statement ended because somebody held a lock for longer than it may wait.
#[must_use]
pub fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "55P03")
}

fn key(name: &str) -> i64 {
    let digest = Sha256::digest(format!("tributary {name}"));
    digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | i64::from(*byte))
}
