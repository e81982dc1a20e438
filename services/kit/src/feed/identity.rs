//! The identity of this database: its epoch, and the witnesses of what its feed has sent.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::error::FeedError;
use super::{APPLICATION_NAME, Feed};

/// How long a request waits for the stamping that it set off; a small company's is done by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// What must be known before a snapshot is taken.
#[derive(sqlx::FromRow)]
pub(super) struct Pulse {
    /// The identity that the database has now.
    pub(super) present: String,
    /// The identity under which its rows are stamped.
    stored: String,
    /// The role, and whether it may see when other roles' transactions began.
    role: String,
    sees_all: bool,
    /// Every transaction that began before this moment is finished.
    pub(super) as_of: DateTime<Utc>,
}

impl Pulse {
    /// Refuses to name a moment that was computed without seeing every session.
    pub(super) fn rights(&self) -> Result<(), FeedError> {
        if self.sees_all { Ok(()) } else { Err(FeedError::Rights { role: self.role.clone() }) }
    }
}

/// Reads identity and completeness in a statement of its own. It must come **before** the snapshot
/// of a head: a transaction that begins between the two is in neither, and began after `as_of`.
///
/// `statement_timestamp()` was fixed before the sessions are looked at, for the same reason. All
/// sessions of this database count, whether they have written yet or not, but for the feed's own
/// (they only read) and for those that never write rows.
///
/// Where files are imported, one that is applied in part counts like a transaction that began with it.
pub(super) async fn pulse(feed: &Feed) -> Result<Pulse, FeedError> {
    macro_rules! pulse {
        ($($imports:literal)?) => {
            concat!(
                "SELECT feed_epoch() AS present,
                        (SELECT epoch FROM feed_identity) AS stored,
                        current_user::text AS role,
                        pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all,
                        LEAST(statement_timestamp(),
                              (SELECT min(xact_start) FROM pg_stat_activity
                                WHERE datname = current_database()
                                  AND application_name <> $1
                                  AND backend_type NOT IN ('autovacuum worker', 'walsender', 'parallel worker'))",
                $($imports,)?
                ") AS as_of"
            )
        };
    }
    let sql = if feed.inner.imports {
        pulse!(", (SELECT min(unfinished_since) FROM imports WHERE unfinished_since IS NOT NULL)")
    } else {
        pulse!()
    };
    Ok(sqlx::query_as(sql).bind(APPLICATION_NAME).fetch_one(&feed.inner.reader).await?)
}

/// The pulse of a database whose stamps are its own. Where they are not, has them renewed first:
/// in a task of its own, because it may outlast any request, and once, however many ask.
///
/// # Errors
/// [`FeedError::Restamping`] while that goes on.
pub(super) async fn ensure(feed: &Feed) -> Result<Pulse, FeedError> {
    let found = pulse(feed).await?;
    if found.present == found.stored {
        return Ok(found);
    }
    let feed = feed.clone();
    let work = tokio::spawn(async move {
        let Ok(_alone) = feed.inner.restamping.try_lock() else { return Err(FeedError::Restamping) };
        restamp(&feed.inner.writer).await?;
        pulse(&feed).await
    });
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) | Err(_) => Err(FeedError::Restamping),
    }
}

async fn restamp(writer: &PgPool) -> Result<(), FeedError> {
    let mut transaction = crate::db::begin(writer).await?;
    // As long as it takes: cut short, it would begin again for ever.
    sqlx::query!("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await?;
    let rows: i64 = sqlx::query_scalar("SELECT feed_restamp()").fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    tracing::warn!(rows, "the database has a new identity; its feed was stamped again, readers start over");
    Ok(())
}

/// Commits a witness. Call it **after** the snapshot that the answer was read from, and before the
/// answer leaves: whoever knows the witness then also holds what the snapshot saw.
pub(super) async fn testify(writer: &PgPool) -> Result<Uuid, FeedError> {
    // One statement, so the old ones go without a second round trip. A reader that was away for
    // ninety days reads everything again.
    Ok(sqlx::query_scalar!(
        "WITH pruned AS (DELETE FROM feed_witness WHERE created_at < now() - interval '90 days')
         INSERT INTO feed_witness DEFAULT VALUES RETURNING witness"
    )
    .fetch_one(writer)
    .await?)
}

/// Whether this database remembers `witness`.
pub(super) async fn remembers<'e, E>(executor: E, witness: Uuid) -> Result<bool, FeedError>
where
    E: sqlx::PgExecutor<'e>,
{
    Ok(sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM feed_witness WHERE witness = $1) AS "seen!""#, witness)
        .fetch_one(executor)
        .await?)
}
