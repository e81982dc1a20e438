//! The table `stock_tasks`: one row per undelivered message to Inventory, at most one per document. Both services that
//! take stock have it.

use std::time::Duration;

use serde::Serialize;
use sqlx::{PgExecutor, PgPool, PgTransaction};
use utoipa::ToSchema;

/// What a message asks of Inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Step {
    /// Inventory has to move its stock.
    Post,
    /// Inventory has to give it back, and to close the reference.
    Reverse,
}

impl Step {
    /// The text of the column.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Reverse => "reverse",
        }
    }
}

/// A message that recovery has claimed.
#[derive(sqlx::FromRow)]
pub(super) struct Claim {
    pub(super) document_id: i64,
    /// Whether the document has been pending for longer than it may.
    pub(super) too_long: bool,
}

/// How many messages are undelivered, and for how long.
pub(super) struct Backlog {
    pub(super) posts: i64,
    pub(super) reversals: i64,
    /// Of those, how many are older than the limit.
    pub(super) stuck: i64,
    /// Age of the oldest, in seconds; 0 where there is none.
    pub(super) oldest: f64,
}

pub(super) async fn insert(
    tx: &mut PgTransaction<'_>,
    document: i64,
    step: Step,
    grace: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO stock_tasks (document_id, step, due_at) VALUES ($1, $2, now() + make_interval(secs => $3))
         ON CONFLICT (document_id) DO UPDATE SET step = 'reverse'",
        document,
        step as _,
        grace.as_secs_f64()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn step(db: &PgPool, document: i64) -> Result<Option<Step>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT step AS "step: Step" FROM stock_tasks WHERE document_id = $1"#, document)
        .fetch_optional(db)
        .await
}

/// Removes a message that is delivered, unless it has become another one meanwhile.
pub(super) async fn remove(db: impl PgExecutor<'_>, document: i64, step: Step) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM stock_tasks WHERE document_id = $1 AND step = $2", document, step as _)
        .execute(db)
        .await?;
    Ok(())
}

/// Turns a `post` into a `reverse`.
pub(super) async fn reverse(tx: &mut PgTransaction<'_>, document: i64) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE stock_tasks SET step = 'reverse' WHERE document_id = $1", document).execute(&mut **tx).await?;
    Ok(())
}

pub(super) async fn record_error(db: &PgPool, document: i64, error: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE stock_tasks SET last_error = $2,
           due_at = CASE WHEN attempts = 0 THEN least(due_at, now() + interval '1 second') ELSE due_at END
         WHERE document_id = $1",
        document,
        error
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Claims up to `most` messages that are due: each comes due again after a pause that doubles up to a minute, so that
/// any number of replicas may ask and a crash loses none.
pub(super) async fn claim(db: &PgPool, most: i64, pending: Duration) -> Result<Vec<Claim>, sqlx::Error> {
    sqlx::query_as!(
        Claim,
        r#"UPDATE stock_tasks SET attempts = attempts + 1,
             due_at = now() + make_interval(secs => least(power(2, least(attempts, 6)), 60) * (0.5 + random()))
           WHERE document_id IN (SELECT document_id FROM stock_tasks WHERE due_at <= now()
                                 ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
           RETURNING document_id, step = 'post' AND since < now() - make_interval(secs => $2) AS "too_long!""#,
        most,
        pending.as_secs_f64()
    )
    .fetch_all(db)
    .await
}

pub(super) async fn backlog(db: &PgPool, stuck: Duration) -> Result<Backlog, sqlx::Error> {
    sqlx::query_as!(
        Backlog,
        r#"SELECT count(*) FILTER (WHERE step = 'post') AS "posts!", count(*) FILTER (WHERE step = 'reverse') AS "reversals!",
           count(*) FILTER (WHERE since <= now() - make_interval(secs => $1)) AS "stuck!",
           coalesce(extract(epoch FROM now() - min(since)), 0)::float8 AS "oldest!"
         FROM stock_tasks"#,
        stuck.as_secs_f64()
    )
    .fetch_one(db)
    .await
}
