//! The beginning of every transaction.

use sqlx::{PgPool, Postgres, Transaction};

/// Begins a transaction; safe to cancel.
///
/// sqlx 0.9.0 forgets a `BEGIN` whose answer nobody waited for (its issue 4393, mended after that release): the
/// connection goes back into the pool inside that transaction, and whatever is written on it next is answered for and
/// never committed. So beginning has a task of its own, which is not cancelled with a request or a run.
///
/// The level is named: a server's `default_transaction_isolation` would turn contention into errors.
///
/// # Errors
/// As [`PgPool::begin`].
#[expect(clippy::disallowed_methods, reason = "this is what is to be used in its place")]
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    tokio::spawn(async move { pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await })
        .await
        .map_err(|_| sqlx::Error::WorkerCrashed)?
}
