//! Rows that did not fit: which they are, and reading them again after the declaration is mended.
//!
//! An entry is closed when its key is delivered again and fits, or when its dataset has been read
//! in a full refresh and the row did not come, or came and fitted.

use base::AdvisoryLock;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::stage::{self, Refresh, StagedDataset};
use super::{PollError, Poller, held, lock_name};
use crate::source::Declaration;
use crate::source::page::KEY_SEPARATOR;

/// A row in quarantine.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct Quarantined {
    /// Entry number, rising.
    pub id: i64,
    /// The source.
    pub source: String,
    /// The dataset.
    pub dataset: String,
    /// Cursor of the page it came in; `None` for the first page of a full refresh.
    pub cursor: Option<String>,
    /// Its place in that page, from 1.
    pub row_number: i64,
    /// The column at fault.
    pub column_name: String,
    /// Why it does not fit.
    pub reason: String,
    /// The row's key as one text, when that much of it fits; see [`Quarantined::key_parts`].
    pub key: Option<String>,
    /// The page's header line.
    pub header: String,
    /// The row as it came; of a long one its head, with its length and digest.
    pub raw: String,
    /// When it came first.
    pub found_at: DateTime<Utc>,
}

impl Quarantined {
    /// The parts of its key.
    pub fn key_parts(&self) -> Option<Vec<String>> {
        Some(self.key.as_ref()?.split(KEY_SEPARATOR).map(str::to_owned).collect())
    }
}

/// Open entries of a source, of one of its datasets or all, behind the entry `after`, oldest first, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn list(
    db: &PgPool,
    source: &str,
    dataset: Option<&str>,
    after: i64,
    limit: i64,
) -> Result<Vec<Quarantined>, PollError> {
    let sql = "SELECT id, source, dataset, cursor, row_number, column_name, reason, key, header, raw, found_at
               FROM sync.quarantine
               WHERE source = $1 AND ($2::text IS NULL OR dataset = $2) AND id > $3 AND resolved_at IS NULL
               ORDER BY id LIMIT $4";
    Ok(sqlx::query_as(sql).bind(source).bind(dataset).bind(after).bind(limit).fetch_all(db).await?)
}

impl Poller {
    /// Have the next poll of a source read the datasets that have rows in quarantine, or damaged files, from their start.
    ///
    /// The rows come from the source as they are then, so a replay never brings back an older state; what fits is
    /// committed, what still does not stays in quarantine. Damaged files are let go, with all their rows: until those have
    /// come again the source is as one that was never read. Waits for a poll under way. Returns how many datasets are to
    /// come again.
    ///
    /// # Errors
    /// On an unknown source, or when the database fails.
    pub async fn ask_again(&self, source: &str) -> Result<u64, PollError> {
        let declaration = &self.sources.get(source)?.declaration;
        let lock = AdvisoryLock::wait(self.lake.db(), &lock_name(&declaration.name)).await?;
        let again = self.ask_again_under(&lock, declaration).await;
        lock.release().await;
        again
    }

    /// Have the next poll of a source read every dataset from its start, those that are held back among them. Waits for a
    /// poll under way; what was staged is let go.
    ///
    /// # Errors
    /// On an unknown source, or when the database fails.
    pub async fn ask_whole(&self, source: &str) -> Result<(), PollError> {
        let declaration = &self.sources.get(source)?.declaration;
        let datasets: Vec<String> = declaration.datasets.iter().map(|it| it.name.clone()).collect();
        let lock = AdvisoryLock::wait(self.lake.db(), &lock_name(&declaration.name)).await?;
        let asked = ask_from_start(self.lake.db(), &lock, &declaration.name, &datasets).await;
        lock.release().await;
        asked
    }

    async fn ask_again_under(&self, lock: &AdvisoryLock, declaration: &Declaration) -> Result<u64, PollError> {
        let (db, name) = (self.lake.db(), &declaration.name);
        let datasets: Vec<&str> = declaration.datasets.iter().map(|it| it.name.as_str()).collect();
        let mut tx = base::begin(db).await?;
        let let_go = self.lake.let_go_of_damaged(&mut tx, &datasets).await?;
        // An empty shape equals no declared one, so the next poll begins these datasets at their start.
        let again = sqlx::query!(
            "UPDATE sync.cursor SET shape = '' WHERE dataset = ANY($2) OR dataset IN
             (SELECT dataset FROM sync.quarantine WHERE source = $1 AND resolved_at IS NULL)",
            name,
            &let_go
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if again > 0 {
            held::try_again(&mut tx, name).await?;
            sqlx::query!(
                "UPDATE sync.source SET etag = NULL, complete_through = CASE WHEN $2 THEN complete_through END
                 WHERE name = $1",
                name,
                let_go.is_empty()
            )
            .execute(&mut *tx)
            .await?;
            // What was staged is no whole reading.
            if let Some(staged) = stage::find(db, name).await? {
                stage::end(&mut tx, lock, staged.poll).await?;
            }
        }
        tx.commit().await?;
        Ok(again)
    }
}

/// Have the next poll of a source read some datasets from their start.
async fn ask_from_start(db: &PgPool, lock: &AdvisoryLock, source: &str, datasets: &[String]) -> Result<(), PollError> {
    let staged = stage::find(db, source).await?;
    let mut tx = base::begin(db).await?;
    // An empty shape equals no declared one.
    sqlx::query!("UPDATE sync.cursor SET shape = '' WHERE dataset = ANY($1)", datasets).execute(&mut *tx).await?;
    held::try_again(&mut tx, source).await?;
    sqlx::query!("UPDATE sync.source SET etag = NULL WHERE name = $1", source).execute(&mut *tx).await?;
    if let Some(staged) = staged {
        stage::end(&mut tx, lock, staged.poll).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Open entries of a dataset that a poll in progress did not make, with their keys.
pub(super) async fn open_keys(db: &PgPool, dataset: &str, poll: Uuid) -> Result<Vec<(i64, String)>, PollError> {
    let sql = "SELECT id, key FROM sync.quarantine
               WHERE dataset = $1 AND poll <> $2 AND key IS NOT NULL AND resolved_at IS NULL";
    Ok(sqlx::query_as(sql).bind(dataset).bind(poll).fetch_all(db).await?)
}

/// Close entries whose key came again and fitted; after a full refresh, all that it did not make.
pub(super) async fn resolve(
    tx: &mut PgConnection,
    staged: &StagedDataset,
    poll: Uuid,
    fitted: &[i64],
) -> Result<(), sqlx::Error> {
    let (dataset, full) = (&staged.dataset, staged.refresh == Refresh::Full);
    sqlx::query!(
        "UPDATE sync.quarantine
         SET resolved_at = now(),
             resolution = CASE WHEN id = ANY($4) THEN 'a later delivery of the key fits'
                               ELSE 'the dataset was read whole' END
         WHERE dataset = $1 AND poll <> $2 AND resolved_at IS NULL AND ($3 OR id = ANY($4))",
        dataset,
        poll,
        full,
        fitted
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
