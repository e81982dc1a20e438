//! The lock that a publishing transaction asks first whether its run is still the one.

use std::future::Future;
use std::pin::Pin;

use chrono::NaiveDate;
use sqlx::PgConnection;

/// The run was taken over by another, or cancelled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the run no longer holds its lease: {0}")]
pub struct LockLost(pub String);

/// Locks, in the transaction that is about to write, whatever says that the writer may.
pub trait Lock: Send + Sync {
    /// Must hold its lock until the transaction ends.
    fn check<'a>(&'a self, tx: &'a mut PgConnection)
    -> Pin<Box<dyn Future<Output = Result<(), LockLost>> + Send + 'a>>;
}

/// Who publishes or marks a report of a day takes turns; the turn ends with the transaction.
pub(super) async fn lock_day(tx: &mut PgConnection, report: &str, business_day: NaiveDate) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('published.revision/' || $1 || '/' || $2::date, 0))",
        report,
        business_day
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// For a person at the command line, whom no other run can overtake.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLock;

impl Lock for NoLock {
    fn check<'a>(
        &'a self,
        _tx: &'a mut PgConnection,
    ) -> Pin<Box<dyn Future<Output = Result<(), LockLost>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
