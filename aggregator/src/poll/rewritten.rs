//! What became another when a source's history was found to be another one than before: it went back, or is another database.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use lake::commit::Counts;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, PgPool};

use super::merge::DatasetChange;
use super::{PollError, PollOutcome};

/// What became another in a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Rows that came.
    pub added: u64,
    /// Rows that are others.
    pub changed: u64,
    /// Rows that vanished.
    pub removed: u64,
    /// Their days; none where the dataset has no days.
    pub days: BTreeSet<NaiveDate>,
}

/// A history that was rewritten.
#[derive(Debug, Clone, FromRow)]
pub struct Rewritten {
    /// Its number.
    pub id: i64,
    /// The source.
    pub source: String,
    /// When it was committed.
    pub found_at: DateTime<Utc>,
    /// By dataset: what became another. Datasets that stayed as they were are not in it.
    pub facts: Json<BTreeMap<String, Changed>>,
}

/// Note that a poll read everything because the history is another one, with what came of it.
pub(super) async fn note(
    tx: &mut PgConnection,
    outcome: &PollOutcome,
    changes: &[DatasetChange],
) -> Result<(), sqlx::Error> {
    let of = |change: &DatasetChange| {
        let sum = |of: fn(&Counts) -> u64| change.files.days.values().map(of).sum::<u64>();
        let days = change.files.days.keys().copied().flatten().collect();
        Changed { added: sum(|it| it.added), changed: sum(|it| it.changed), removed: sum(|it| it.removed), days }
    };
    let changed = changes.iter().filter(|change| !change.files.days.is_empty());
    let facts: BTreeMap<String, Changed> =
        changed.map(|change| (change.files.table.name.clone(), of(change))).collect();
    sqlx::query!(
        "INSERT INTO sync.rewritten (source, snapshot_id, facts) VALUES ($1, $2, $3)",
        &outcome.source,
        outcome.snapshot,
        Json(facts) as _
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The histories that were rewritten within so long, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn within(db: &PgPool, since: TimeDelta) -> Result<Vec<Rewritten>, PollError> {
    let sql = "SELECT id, source, found_at, facts FROM sync.rewritten
               WHERE found_at > clock_timestamp() - make_interval(secs => $1) ORDER BY id";
    Ok(sqlx::query_as(sql).bind(since.as_seconds_f64()).fetch_all(db).await?)
}
