//! The committing half of a poll: one transaction for snapshot, cursors, changed days and outcome.

use chrono::{DateTime, Utc};
use lake::commit::{self as catalogue, Counts, TableChange};
use lake::{LakeError, pending, snapshot};
use sqlx::PgConnection;

use super::merge::DatasetChange;
use super::read::Staged;
use super::stage::{StagedDataset, StagedPart};
use super::{Held, Poll, PollError, PollOutcome, held, quarantine, rewritten, stage};
use crate::source::Source;
use crate::source::client::Moved;

/// How often a merge is done again because another commit came first.
const TRIES: u32 = 8;

impl Poll<'_> {
    /// Nothing changed, which is worth knowing: the source is complete up to a later instant.
    pub(super) async fn commit_unchanged(&self, moved: &Moved) -> Result<PollOutcome, PollError> {
        let mut outcome = PollOutcome {
            source: self.name().to_owned(),
            snapshot: None,
            complete_through: moved.as_of,
            rows_read: 0,
            rows_added: 0,
            rows_changed: 0,
            rows_removed: 0,
            rows_quarantined: 0,
            pages: 0,
            bytes: 0,
            resumed: false,
            held: Vec::new(),
            rewritten: false,
        };
        let mut tx = base::begin(self.db()).await?;
        sqlx::query!(
            "UPDATE sync.source
             SET horizon = $2, asked_at = now(), last_success = now(), failures = 0, error = NULL
             WHERE name = $1",
            &outcome.source,
            &moved.horizon
        )
        .execute(&mut *tx)
        .await?;
        outcome.complete_through = complete_through(&mut tx, &outcome.source, moved.as_of).await?;
        outcome.held = held::of_source(&mut tx, &outcome.source).await?;
        note(&mut tx, &outcome, "unchanged", None).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    /// Merge what is staged and commit it; merge again, at once, when another commit came first: that one has ended, for it
    /// held the row that each commit locks.
    pub(super) async fn commit_staged(&self, staged: &Staged) -> Result<PollOutcome, PollError> {
        for attempt in 1..=TRIES {
            let base = snapshot::current(self.db()).await?;
            let (mut changes, mut held) = (Vec::with_capacity(staged.datasets.len()), Vec::new());
            for (dataset, parts) in &staged.datasets {
                match self.merge(base, staged.poll.poll, dataset, parts).await? {
                    Ok(change) => changes.push(change),
                    Err(too_few) => held.push(too_few),
                }
            }
            match self.commit(staged, &changes, &held).await {
                Ok(outcome) => {
                    self.remove_stage(staged).await;
                    return Ok(outcome);
                }
                Err(LakeError::Overtaken) => {
                    crate::metric::overtaken();
                    tracing::info!(source = self.name(), attempt, "another commit came first, merging again");
                    self.remove_new(&changes).await;
                    // A moved cursor means that the rows themselves are no longer the ones to add.
                    if stage::find(self.db(), self.name()).await?.map(|it| it.poll) != Some(staged.poll.poll) {
                        break;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(PollError::Overtaken(TRIES))
    }

    /// Commits the changes of the datasets that are not held back, whose cursors stay.
    async fn commit(
        &self,
        staged: &Staged,
        changes: &[DatasetChange],
        held: &[Held],
    ) -> Result<PollOutcome, LakeError> {
        let mut tx = base::begin(self.db()).await?;
        let head = catalogue::lock(&mut tx).await?;
        let taken: Vec<&(StagedDataset, Vec<StagedPart>)> =
            staged.datasets.iter().filter(|(it, _)| held.iter().all(|held| held.dataset != it.dataset)).collect();
        move_cursors(&mut tx, self.source, staged, &taken).await?;
        held::note(&mut tx, self.name(), held, taken.iter().map(|(it, _)| it.dataset.as_str())).await?;
        if !stage::end(&mut tx, self.lock, staged.poll.poll).await? {
            return Err(LakeError::Overtaken);
        }
        for ((dataset, _), change) in taken.iter().zip(changes) {
            quarantine::resolve(&mut tx, dataset, staged.poll.poll, &change.fitted).await?;
        }
        let mut outcome = counted(self.source, staged, changes);
        let tables: Vec<&TableChange> = changes.iter().map(|it| &it.files).filter(|it| !it.is_empty()).collect();
        if !tables.is_empty() {
            let (source, message) = (&outcome.source, format!("poll of {}", outcome.source));
            outcome.snapshot = Some(catalogue::apply(&mut tx, &head, &tables, source, &message).await?);
        }
        outcome.complete_through = complete(&mut tx, self.name(), staged).await?;
        outcome.held = held::of_source(&mut tx, self.name()).await?;
        if outcome.rewritten {
            rewritten::note(&mut tx, &outcome, changes).await?;
        }
        note(&mut tx, &outcome, "committed", Some(staged)).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    /// The parts are pending files now.
    async fn remove_stage(&self, staged: &Staged) {
        let parts = staged.datasets.iter().flat_map(|(_, parts)| parts);
        self.remove(parts.filter_map(|it| it.path.clone()).collect()).await;
    }

    pub(super) async fn remove_new(&self, changes: &[DatasetChange]) {
        let pending = |it: &TableChange| {
            let rows = it.add.iter().map(|it| it.pending.clone());
            rows.chain(it.delete.iter().map(|it| it.pending.clone())).collect::<Vec<_>>()
        };
        self.remove(changes.iter().flat_map(|it| pending(&it.files)).collect()).await;
    }

    /// What cannot be removed here is left to the sweep.
    async fn remove(&self, paths: Vec<String>) {
        if let Err(error) = pending::remove(self.lake, &paths).await {
            tracing::warn!(%error, "files that are no longer needed stay for the sweep");
        }
    }
}

/// Moves the cursor of each dataset from where the poll found it.
async fn move_cursors(
    tx: &mut PgConnection,
    source: &Source,
    staged: &Staged,
    taken: &[&(StagedDataset, Vec<StagedPart>)],
) -> Result<(), LakeError> {
    for (dataset, parts) in taken {
        let Some(last) = parts.last() else { continue };
        let shape = staged.poll.dataset(&source.declaration, &dataset.dataset).map(|it| it.shape());
        let moved = sqlx::query!(
            "INSERT INTO sync.cursor AS c (source, dataset, cursor, shape, revision)
             SELECT $1, $2, $3, $4, 1
             WHERE $5::text IS NULL OR EXISTS (SELECT FROM sync.cursor WHERE dataset = $2)
             ON CONFLICT (dataset) DO UPDATE
             SET source = excluded.source, cursor = excluded.cursor, shape = excluded.shape,
                 revision = c.revision + 1, moved_at = now()
             WHERE c.cursor = $5",
            &source.declaration.name,
            &dataset.dataset,
            &last.resume_cursor,
            shape,
            dataset.old_cursor.as_deref()
        )
        .execute(&mut *tx)
        .await?;
        if moved.rows_affected() != 1 {
            return Err(LakeError::Overtaken);
        }
    }
    Ok(())
}

/// Notes what the lake holds of a source now, and how far it is complete.
async fn complete(tx: &mut PgConnection, source: &str, staged: &Staged) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query!(
        "UPDATE sync.source
         SET declaration = $2, epoch = $4, horizon = $5, absent = $7,
             etag = CASE WHEN NOT EXISTS (SELECT FROM sync.held WHERE source = $1) THEN $3 END,
             asked_at = $6, last_success = now(), failures = 0, error = NULL
         WHERE name = $1",
        source,
        &staged.poll.declaration,
        &staged.poll.etag,
        &staged.poll.epoch,
        &staged.poll.horizon,
        staged.poll.started_at,
        &staged.poll.absent
    )
    .execute(&mut *tx)
    .await?;
    complete_through(tx, source, staged.poll.as_of).await
}

/// Move how far a source is complete, never beyond this database's clock: what a source says of a time that has not come
/// is its clock's error, which is written down.
async fn complete_through(
    tx: &mut PgConnection,
    source: &str,
    as_of: DateTime<Utc>,
) -> Result<DateTime<Utc>, sqlx::Error> {
    // PostgreSQL's timestamps end in the year 294276, chrono's do not.
    let as_of = as_of.min(DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(as_of));
    sqlx::query_scalar!(
        r#"UPDATE sync.source
           SET complete_through = least($2, clock_timestamp()),
               clock_ahead_seconds = greatest(0, extract(epoch FROM $2 - clock_timestamp()))::bigint
           WHERE name = $1
           RETURNING complete_through AS "at!""#,
        source,
        as_of
    )
    .fetch_one(tx)
    .await
}

fn counted(source: &Source, staged: &Staged, changes: &[DatasetChange]) -> PollOutcome {
    let counts = || changes.iter().flat_map(|it| it.files.days.values());
    let sum = |of: fn(&Counts) -> u64| i64::try_from(counts().map(of).sum::<u64>()).unwrap_or(i64::MAX);
    let parts = || staged.datasets.iter().flat_map(|(_, parts)| parts);
    PollOutcome {
        source: source.declaration.name.clone(),
        snapshot: None,
        complete_through: staged.poll.as_of,
        rows_read: parts().map(|it| it.rows_read).sum(),
        rows_added: sum(|it| it.added),
        rows_changed: sum(|it| it.changed),
        rows_removed: sum(|it| it.removed),
        rows_quarantined: i64::try_from(staged.quarantined).unwrap_or(i64::MAX),
        pages: i64::try_from(parts().count()).unwrap_or(i64::MAX),
        bytes: parts().map(|it| it.bytes).sum(),
        resumed: staged.resumed,
        held: Vec::new(),
        rewritten: staged.poll.rewritten,
    }
}

async fn note(
    tx: &mut PgConnection,
    outcome: &PollOutcome,
    word: &str,
    staged: Option<&Staged>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO sync.poll
           (source, started_at, finished_at, outcome, complete_through, snapshot_id, rows_read, rows_added,
            rows_changed, rows_removed, rows_quarantined, pages, bytes, resumed)
         VALUES ($1, coalesce($2, now()), clock_timestamp(), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        &outcome.source,
        staged.map(|it| it.poll.started_at),
        word,
        outcome.complete_through,
        outcome.snapshot,
        outcome.rows_read,
        outcome.rows_added,
        outcome.rows_changed,
        outcome.rows_removed,
        outcome.rows_quarantined,
        outcome.pages,
        outcome.bytes,
        outcome.resumed
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
