//! Published figures that are known to be outdated: rows came that they do not hold, too late for the day to be published
//! again by itself. A mark is added and never changed; the newest of a revision counts.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use super::{PublishError, Revision};
use crate::report::{Grain, Report};

/// Since when a revision is outdated, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outdated {
    /// When the first of the rows came.
    pub since: DateTime<Utc>,
    /// The rows that came: by source and dataset, how many were added, changed and removed.
    pub by: Value,
}

/// Rows of a dataset that came.
#[derive(Debug, Serialize, Deserialize)]
struct OfDataset {
    source: String,
    dataset: String,
    added: i64,
    changed: i64,
    removed: i64,
}

impl Outdated {
    /// These rows, and those of the mark of a revision: the lake may no longer record that they came.
    pub(super) fn beside_mark_of(self, revision: &Revision) -> serde_json::Result<Self> {
        match &revision.outdated {
            Some(Json(marked)) => marked.clone().and(&self, OfDataset::add),
            None => Ok(self),
        }
    }

    /// These rows and others; `both` says what becomes of a dataset that is in both.
    fn and(self, others: &Self, both: fn(&mut OfDataset, OfDataset)) -> serde_json::Result<Self> {
        let mut of_datasets = BTreeMap::<_, OfDataset>::new();
        for by in [&self.by, &others.by] {
            for came in Vec::<OfDataset>::deserialize(by)? {
                match of_datasets.entry((came.source.clone(), came.dataset.clone())) {
                    Entry::Vacant(entry) => drop(entry.insert(came)),
                    Entry::Occupied(mut entry) => both(entry.get_mut(), came),
                }
            }
        }
        let by = serde_json::to_value(of_datasets.into_values().collect::<Vec<_>>())?;
        Ok(Self { since: self.since.min(others.since), by })
    }
}

impl OfDataset {
    fn add(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.removed += other.removed;
    }
}

/// A current revision that is outdated.
#[derive(Debug, Clone)]
pub struct OutdatedRevision {
    pub report: String,
    pub business_day: NaiveDate,
    pub revision: i32,
    pub outdated: Json<Outdated>,
}

/// The current revisions that are outdated, by day and report.
///
/// # Errors
/// When the database fails.
pub async fn outdated(db: &PgPool) -> Result<Vec<OutdatedRevision>, PublishError> {
    let found = sqlx::query_as!(
        OutdatedRevision,
        r#"SELECT newest.report AS "report!", newest.business_day AS "business_day!", newest.revision AS "revision!",
                  newest.outdated AS "outdated!: _"
             FROM published.newest_mark AS newest
            WHERE newest.since IS NOT NULL
              AND NOT EXISTS (SELECT FROM published.revision AS later
                               WHERE later.report = newest.report AND later.business_day = newest.business_day
                                 AND later.revision > newest.revision)
            ORDER BY newest.business_day, newest.report"#
    );
    Ok(found.fetch_all(db).await?)
}

/// Which of some days have published figures.
///
/// # Errors
/// When the database fails.
pub async fn published_days(db: &PgPool, days: &BTreeSet<NaiveDate>) -> Result<BTreeSet<NaiveDate>, PublishError> {
    let days: Vec<NaiveDate> = days.iter().copied().collect();
    let sql = "SELECT DISTINCT business_day FROM published.revision WHERE business_day = ANY($1)";
    let found: Vec<NaiveDate> = sqlx::query_scalar(sql).bind(days).fetch_all(db).await?;
    Ok(found.into_iter().collect())
}

/// Adds a mark to a revision: outdated, or (`None`) looked at through this snapshot and found to say the same.
pub(super) async fn mark(
    tx: &mut PgConnection,
    revision: &Revision,
    snapshot: i64,
    outdated: Option<&Outdated>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO published.outdated (report, business_day, revision, snapshot, since, cause)
         VALUES ($1, $2, $3, $4, $5, $6)",
        revision.report,
        revision.business_day,
        revision.revision,
        snapshot,
        outdated.map(|it| it.since),
        outdated.map(|it| &it.by) as _
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The snapshot up to which the rows are counted that came for a revision: its own, or that of its newest mark.
pub(super) async fn counted_through(tx: &mut PgConnection, revision: &Revision) -> Result<i64, sqlx::Error> {
    let newest = sqlx::query_scalar!(
        r#"SELECT snapshot AS "snapshot!" FROM published.newest_mark
            WHERE report = $1 AND business_day = $2 AND revision = $3"#,
        revision.report,
        revision.business_day,
        revision.revision
    );
    Ok(newest.fetch_optional(tx).await?.map_or(revision.snapshot, |marked| marked.max(revision.snapshot)))
}

/// Which rows are counted as the cause of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CauseScope {
    /// Those of the days that the figures depend on.
    Days,
    /// Those of reference sets too, which have no days. Of a report that reads all days, where none of its own days
    /// explains the change, those of any day: a document of one day may have moved on another.
    AllRead,
}

/// The rows of the report's datasets that came to the lake between two snapshots.
pub(super) async fn came(
    tx: &mut PgConnection,
    report: &Report,
    days: &[RangeInclusive<NaiveDate>],
    (after, through): (i64, i64),
    scope: CauseScope,
) -> Result<Option<Outdated>, sqlx::Error> {
    let datasets: Vec<String> = report.datasets.iter().cloned().collect();
    // A report of a moment reads all days, and sets that have none.
    let is_moment = report.grain == Grain::Snapshot;
    let all = scope == CauseScope::AllRead;
    let found = sqlx::query_scalar!(
        r#"WITH came AS (
             SELECT source, dataset, added, changed, removed, recorded_at, business_day IS NULL AS of_no_day,
                    $6 OR EXISTS (SELECT FROM unnest($4::date[], $5::date[]) AS days(first, last)
                                   WHERE business_day BETWEEN first AND last) AS of_the_days
               FROM sync.changed_day
              WHERE snapshot_id > $1 AND snapshot_id <= $2 AND dataset = ANY($3)),
         counted AS (
             SELECT source, dataset, sum(added)::bigint AS added, sum(changed)::bigint AS changed,
                    sum(removed)::bigint AS removed, min(recorded_at) AS since
               FROM came
              WHERE of_the_days OR ($7 AND of_no_day)
                 OR ($8 AND NOT EXISTS (SELECT FROM came AS own WHERE own.of_the_days))
              GROUP BY source, dataset)
         SELECT jsonb_build_object('since', min(since), 'by',
                    jsonb_agg(jsonb_build_object('source', source, 'dataset', dataset, 'added', added, 'changed', changed,
                                                 'removed', removed) ORDER BY source, dataset)) AS "outdated!: Json<Outdated>"
           FROM counted HAVING count(*) > 0"#,
        after,
        through,
        &datasets,
        &days.iter().map(|days| *days.start()).collect::<Vec<_>>(),
        &days.iter().map(|days| *days.end()).collect::<Vec<_>>(),
        is_moment,
        all,
        all && report.days.is_empty()
    )
    .fetch_optional(tx)
    .await?;
    Ok(found.map(|Json(found)| found))
}

/// All that came for a revision through a snapshot. What its mark counts is believed, for the lake may no longer record it;
/// of the time up to the mark the lake tells what the mark does not name.
pub(super) async fn known_to_have_come(
    tx: &mut PgConnection,
    report: &Report,
    revision: &Revision,
    days: &[RangeInclusive<NaiveDate>],
    through: i64,
    scope: CauseScope,
) -> Result<Option<Outdated>, PublishError> {
    let Some(Json(marked)) = &revision.outdated else {
        return Ok(came(tx, report, days, (revision.snapshot, through), scope).await?);
    };
    let marked_through = counted_through(tx, revision).await?;
    let mut all = marked.clone();
    if let Some(before) = came(tx, report, days, (revision.snapshot, marked_through), scope).await? {
        all = all.and(&before, |_, _| ())?;
    }
    if let Some(since) = came(tx, report, days, (marked_through, through), scope).await? {
        all = all.and(&since, OfDataset::add)?;
    }
    Ok(Some(all))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{OfDataset, Outdated};

    #[test]
    fn the_rows_of_a_mark_are_kept_beside_those_that_came_later() {
        let came = |since: &str, by| Outdated { since: since.parse().unwrap(), by };
        let of = |dataset: &str, added: i64, changed: i64| json!({"source": "retail", "dataset": dataset, "added": added, "changed": changed, "removed": 0});
        let marked = came("2026-11-01T00:00:00Z", json!([of("sale", 2, 0), of("sale_line", 5, 1)]));
        let later = came("2026-11-03T00:00:00Z", json!([of("refund", 1, 0), of("sale_line", 4, 0)]));
        let all = later.and(&marked, OfDataset::add).unwrap();
        assert_eq!(all.since, marked.since);
        assert_eq!(all.by, json!([of("refund", 1, 0), of("sale", 2, 0), of("sale_line", 9, 1)]));
    }
}
