//! How each source is doing, for the API, the console and the provenance of every answer.

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use serde::Serialize;
use sqlx::FromRow;

use super::HeadSeen;
use super::breaker::BreakerState;
use crate::Aggregator;
use crate::error::Error;

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
}

/// What each declared source says of itself now, without a poll: whether it has changes that the lake has not.
///
/// A source that does not answer within a moment shows the last that is known, marked stale, and none that never did.
pub async fn heads(aggregator: &Aggregator) -> Result<BTreeMap<String, HeadSeen>, Error> {
    let sql = "SELECT name, etag FROM sync.source WHERE etag IS NOT NULL";
    let mut held: BTreeMap<String, String> =
        sqlx::query_as(sql).fetch_all(aggregator.db()).await?.into_iter().collect();
    let ask = aggregator.sources().iter().map(|source| {
        let name = &source.declaration.name;
        let held = held.remove(name);
        async move { Some((name.clone(), aggregator.heads.see(source, held).await?)) }
    });
    Ok(join_all(ask.collect::<Vec<_>>()).await.into_iter().flatten().collect())
}

#[derive(FromRow)]
struct Row {
    name: String,
    complete_through: Option<DateTime<Utc>>,
    asked_at: Option<DateTime<Utc>>,
    last_success: Option<DateTime<Utc>>,
    clock_ahead_seconds: i64,
    failures: i64,
    error: Option<String>,
}

/// The status of every declared source, by name, as of now.
pub async fn status(aggregator: &Aggregator) -> Result<Vec<SourceStatus>, Error> {
    let sql =
        "SELECT name, complete_through, asked_at, last_success, clock_ahead_seconds, failures, error FROM sync.source";
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(aggregator.db()).await?;
    let sql = "SELECT source, dataset, count(*) FROM sync.quarantine WHERE resolved_at IS NULL GROUP BY 1, 2";
    let quarantined: Vec<(String, String, i64)> = sqlx::query_as(sql).fetch_all(aggregator.db()).await?;
    let (now, instant) = (Utc::now(), Instant::now());
    let mut all = Vec::with_capacity(aggregator.sources().len());
    for source in aggregator.sources() {
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
            lag_seconds: complete_through.zip(asked_at).map(|(through, asked)| (asked - through).num_seconds().max(0)),
            clock_ahead_seconds: row.map_or(0, |it| it.clock_ahead_seconds),
            breaker: source.client.breaker.state(instant),
            quarantined: by_dataset.values().sum(),
            quarantined_by_dataset: by_dataset,
            failures: row.map_or(0, |it| it.failures),
            error: row.and_then(|it| it.error.clone()),
            datasets: declaration.datasets.iter().map(|it| it.name.clone()).collect(),
        });
    }
    Ok(all)
}
