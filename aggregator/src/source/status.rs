//! How each source is doing, for the API, the console and the provenance of every answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use metrics::gauge;
use serde::Serialize;
use sqlx::FromRow;

use super::breaker::BreakerState;
use super::{HeadSeen, SourceError, Sources};
use crate::metric;

/// One source's freshness and health.
#[derive(Debug, Clone, Serialize)]
pub struct SourceStatus {
    /// The source.
    pub name: String,
    /// Every change committed before this instant is in the lake; `None` before the first poll.
    pub complete_through: Option<DateTime<Utc>>,
    /// When it was last polled with success.
    pub last_success: Option<DateTime<Utc>>,
    /// Seconds from `complete_through` to now.
    pub age_seconds: Option<i64>,
    /// Whether the age is above what the declaration allows, or there has been no poll.
    pub stale: bool,
    /// Seconds by which the source itself was behind when last asked: a transaction held open there.
    pub lag_seconds: Option<i64>,
    /// Seconds by which the source's clock was ahead of the reporting database's when last polled; 0 when it was not.
    pub clock_ahead_seconds: i64,
    /// Version of the zone data that the source computes local times by; `None`: it does not say.
    pub zone_data: Option<String>,
    /// State of this process's circuit breaker.
    pub breaker: BreakerState,
    /// Rows in quarantine.
    pub quarantined: i64,
    /// Rows in quarantine by dataset, without the datasets that have none.
    pub quarantined_by_dataset: BTreeMap<String, i64>,
    /// Polls failed since the last success.
    pub failures: i64,
    /// Why the last poll failed; `None` when it did not.
    pub error: Option<String>,
    /// The source's datasets.
    pub datasets: Vec<String>,
    /// Datasets, and columns as `dataset.column`, that the source's version does not offer, empty and NULL in the lake; with the
    /// version that does.
    pub absent: BTreeMap<String, String>,
    /// Datasets that are held back because a full refresh would drop too many of their rows, with the instant through which
    /// they are complete.
    pub held: BTreeMap<String, Option<DateTime<Utc>>>,
    /// Age of `complete_through` from which answers are stale, in seconds.
    #[serde(skip)]
    pub(crate) stale_after: i64,
}

impl SourceStatus {
    /// Through which instant all of these datasets are complete, of those that are the source's.
    #[must_use]
    pub fn complete_through_of(&self, datasets: &BTreeSet<String>) -> Option<DateTime<Utc>> {
        let held = self.held.iter().filter(|(dataset, _)| datasets.contains(*dataset)).map(|(_, through)| *through);
        held.chain([self.complete_through]).min().flatten()
    }

    /// Whether an age in seconds is above what the declaration allows.
    pub(crate) fn is_stale(&self, age: Option<i64>) -> bool {
        age.is_none_or(|age| age > self.stale_after)
    }

    /// Sets the source's gauges.
    pub(crate) fn observe(&self) {
        let name = || self.name.clone();
        let breaker = match self.breaker {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        };
        gauge!(metric::BREAKER, "source" => name()).set(breaker);
        gauge!(metric::STALE, "source" => name()).set(if self.stale { 1.0 } else { 0.0 });
        gauge!(metric::CLOCK_AHEAD, "clock" => name()).set(self.clock_ahead_seconds as f64);
        gauge!(metric::QUARANTINED, "source" => name()).set(self.quarantined as f64);
        if let Some(through) = self.complete_through {
            gauge!(metric::COMPLETE_THROUGH, "source" => name()).set(through.timestamp_micros() as f64 / 1e6);
        }
        if let Some(lag) = self.lag_seconds {
            gauge!(metric::LAG, "source" => name()).set(lag as f64);
        }
    }
}

#[derive(FromRow)]
struct Row {
    name: String,
    complete_through: Option<DateTime<Utc>>,
    asked_at: Option<DateTime<Utc>>,
    last_success: Option<DateTime<Utc>>,
    clock_ahead_seconds: i64,
    zone_data: Option<String>,
    failures: i64,
    error: Option<String>,
    absent: Vec<String>,
}

impl Sources {
    /// What each declared source says of itself now, without a poll: whether it has changes that the lake has not.
    ///
    /// A source that does not answer within a moment shows the last that is known, marked stale, and none that never did.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn heads(&self) -> Result<BTreeMap<String, HeadSeen>, SourceError> {
        let sql = "SELECT name, etag FROM sync.source WHERE etag IS NOT NULL";
        let mut in_lake: BTreeMap<String, String> =
            sqlx::query_as(sql).fetch_all(&self.db).await?.into_iter().collect();
        let ask = self.all.iter().map(|source| {
            let name = &source.declaration.name;
            let in_lake = in_lake.remove(name);
            async move { Some((name.clone(), self.heads.see(source, in_lake).await?)) }
        });
        Ok(join_all(ask.collect::<Vec<_>>()).await.into_iter().flatten().collect())
    }

    /// The status of every declared source, by name, as of now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn status(&self) -> Result<Vec<SourceStatus>, SourceError> {
        let sql = "SELECT name, complete_through, asked_at, last_success, clock_ahead_seconds, zone_data, failures, error, absent
                   FROM sync.source";
        let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(&self.db).await?;
        let sql = "SELECT source, dataset, count(*) FROM sync.quarantine WHERE resolved_at IS NULL GROUP BY 1, 2";
        let quarantined: Vec<(String, String, i64)> = sqlx::query_as(sql).fetch_all(&self.db).await?;
        let sql = "SELECT source, dataset, complete_through FROM sync.held ORDER BY dataset";
        let held: Vec<(String, String, Option<DateTime<Utc>>)> = sqlx::query_as(sql).fetch_all(&self.db).await?;
        let now: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&self.db).await?;
        gauge!(metric::CLOCK_AHEAD, "clock" => "reporting_db").set((now - Utc::now()).num_seconds() as f64);
        let instant = Instant::now();
        let mut all = Vec::with_capacity(self.all.len());
        for source in &self.all {
            let declaration = &source.declaration;
            let row = rows.iter().find(|it| it.name == declaration.name);
            let complete_through = row.and_then(|it| it.complete_through);
            let asked_at = row.and_then(|it| it.asked_at);
            let age_seconds = complete_through.map(|it| (now - it).num_seconds().max(0));
            let allowed = i64::try_from(declaration.stale_after.as_secs()).unwrap_or(i64::MAX);
            let by_dataset: BTreeMap<String, i64> = quarantined
                .iter()
                .filter(|(name, _, _)| *name == declaration.name)
                .map(|(_, dataset, rows)| (dataset.clone(), *rows))
                .collect();
            all.push(SourceStatus {
                name: declaration.name.clone(),
                complete_through,
                last_success: row.and_then(|it| it.last_success),
                age_seconds,
                stale: age_seconds.is_none_or(|age| age > allowed),
                lag_seconds: complete_through
                    .zip(asked_at)
                    .map(|(through, asked)| (asked - through).num_seconds().max(0)),
                clock_ahead_seconds: row.map_or(0, |it| it.clock_ahead_seconds),
                zone_data: row.and_then(|it| it.zone_data.clone()),
                breaker: source.client.breaker.state(instant),
                quarantined: by_dataset.values().sum(),
                quarantined_by_dataset: by_dataset,
                failures: row.map_or(0, |it| it.failures),
                error: row.and_then(|it| it.error.clone()),
                datasets: declaration.datasets.iter().map(|it| it.name.clone()).collect(),
                absent: row.map(|it| declaration.since_of(&it.absent)).unwrap_or_default(),
                held: held
                    .iter()
                    .filter(|(name, dataset, _)| {
                        *name == declaration.name && declaration.datasets.iter().any(|it| it.name == *dataset)
                    })
                    .map(|(_, dataset, through)| (dataset.clone(), *through))
                    .collect(),
                stale_after: allowed,
            });
        }
        Ok(all)
    }

    /// Bytes of heads that are kept.
    pub(crate) fn head_bytes(&self) -> u64 {
        self.heads.bytes()
    }
}
