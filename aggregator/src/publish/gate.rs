//! What keeps a day's figures from being final: decided by the data, not by the clock.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use polars::prelude::{DataType, col};
use serde::{Deserialize, Serialize};

use crate::report::{Report, sources_of};
use crate::source::{self, SourceStatus};
use crate::{Aggregator, Error, lake};

/// Something that a final figure would need. It names no moment, so that being as incomplete as
/// before is no news.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Missing {
    pub source: String,
    /// Absent when the source as a whole is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    pub reason: Reason,
}

/// Why it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not everything up to the end of the day, and the grace after it, has been read.
    Incomplete,
    /// Rows that do not fit their declaration are kept apart.
    Quarantined,
}

/// What the lake holds and how far its sources are complete, read once for all reports that one run publishes: they
/// speak of the same snapshot.
#[derive(Debug, Clone)]
pub struct Gate {
    sources: Vec<SourceStatus>,
    snapshot: i64,
    zones: Arc<Vec<Tz>>,
    grace: Duration,
    tolerance: i64,
    /// Seconds by which the database's clock is ahead of this process's.
    database_ahead: i64,
}

impl Gate {
    /// How the sources are, then the newest snapshot: the data can only be fresher than the gate says.
    ///
    /// `grace` is how much longer than to the end of a day a source must be complete: late writers get this much.
    ///
    /// # Errors
    /// When the catalogue or the lake cannot be read.
    pub async fn read(aggregator: &Aggregator, grace: Duration) -> Result<Self, Error> {
        let sources = source::status(aggregator).await?;
        let snapshot = lake::snapshot::current(aggregator.db()).await?;
        let zones = zones(aggregator, snapshot).await?;
        let database: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(aggregator.db()).await?;
        let database_ahead = (database - Utc::now()).num_seconds();
        let tolerance = i64::try_from(aggregator.settings().clock_tolerance.as_secs()).unwrap_or(i64::MAX);
        Ok(Self { sources, snapshot, zones, grace, tolerance, database_ahead })
    }

    /// The snapshot that reports are computed on.
    #[must_use]
    pub fn snapshot(&self) -> i64 {
        self.snapshot
    }

    /// The moment through which a source must be complete for a day: its end everywhere, and the grace.
    #[must_use]
    pub fn needed(&self, business_day: NaiveDate) -> DateTime<Utc> {
        last_midnight(business_day, &self.zones) + self.grace
    }

    /// What a report lacks for the day, by source and dataset; empty: nothing, it is final.
    #[must_use]
    pub fn missing(&self, aggregator: &Aggregator, report: &Report, business_day: NaiveDate) -> Vec<Missing> {
        self.missing_of(&sources_of(aggregator, report), &report.datasets, business_day)
    }

    /// What these datasets of these sources lack for the day.
    #[must_use]
    pub fn missing_of(
        &self,
        wanted: &BTreeSet<String>,
        datasets: &BTreeSet<String>,
        business_day: NaiveDate,
    ) -> Vec<Missing> {
        let needed = self.needed(business_day);
        let mut missing = Vec::new();
        for status in self.sources.iter().filter(|status| wanted.contains(&status.name)) {
            if self.clocks_differ(status).is_some() || status.complete_through.is_none_or(|through| through < needed) {
                missing.push(Missing { source: status.name.clone(), dataset: None, reason: Reason::Incomplete });
            }
            let quarantined = status.quarantined_by_dataset.keys().filter(|dataset| datasets.contains(*dataset));
            missing.extend(quarantined.map(|dataset| Missing {
                source: status.name.clone(),
                dataset: Some(dataset.clone()),
                reason: Reason::Quarantined,
            }));
        }
        missing.sort();
        missing
    }

    /// Which clocks differ by more than is tolerated, in words: then nobody knows whether a day is over.
    fn clocks_differ(&self, status: &SourceStatus) -> Option<String> {
        let (tolerance, database) = (self.tolerance, self.database_ahead);
        if database.abs() > tolerance {
            let side = if database > 0 { "ahead of" } else { "behind" };
            return Some(format!("the reporting database's clock is {} s {side} this process's", database.abs()));
        }
        let ahead = status.clock_ahead_seconds;
        (ahead > tolerance).then(|| format!("its clock is {ahead} s ahead of the reporting database's"))
    }

    /// What is missing in words, with the moments that [`Missing`] leaves out.
    #[must_use]
    pub fn explain(&self, missing: &Missing, business_day: NaiveDate) -> String {
        let Missing { source, dataset, reason } = missing;
        match reason {
            Reason::Quarantined => {
                format!("{source}: rows of {} are in quarantine", dataset.as_deref().unwrap_or_default())
            }
            Reason::Incomplete => {
                let status = self.sources.iter().find(|status| status.name == *source);
                if let Some(difference) = status.and_then(|status| self.clocks_differ(status)) {
                    return format!("{source}: {difference}");
                }
                let through = status.and_then(|status| status.complete_through);
                let through = through
                    .map_or_else(|| "never read".to_owned(), |at| format!("complete through {}", at.to_rfc3339()));
                format!("{source}: {through}, needed {}", self.needed(business_day).to_rfc3339())
            }
        }
    }
}

/// When a business day has ended everywhere: in the company's zone and in that of every place that
/// a reference dataset gives a `time_zone`.
///
/// # Errors
/// When the lake cannot be read.
pub async fn day_end(aggregator: &Aggregator, business_day: NaiveDate) -> Result<DateTime<Utc>, Error> {
    let snapshot = lake::snapshot::current(aggregator.db()).await?;
    Ok(last_midnight(business_day, &zones(aggregator, snapshot).await?))
}

/// The company's zone, and those of all places known in a snapshot.
async fn zones(aggregator: &Aggregator, snapshot: i64) -> Result<Arc<Vec<Tz>>, Error> {
    if let Some(kept) = aggregator.reports.zones.get(&snapshot).await {
        return Ok(kept);
    }
    let mut zones = HashSet::from([aggregator.settings().time_zone]);
    let names: Vec<String> = aggregator.lake().datasets().map(str::to_owned).collect();
    for name in names {
        let table = aggregator.lake().table(&name)?;
        let places = !table.has_days() && table.schema().get("time_zone") == Some(&DataType::String);
        if !places {
            continue;
        }
        let frame = lake::scan(aggregator, snapshot, &name, None).await?;
        let found = tokio::task::spawn_blocking(move || frame.select([col("time_zone").unique()]).collect()).await??;
        zones.extend(found.column("time_zone")?.str()?.iter().flatten().filter_map(|zone| zone.parse::<Tz>().ok()));
    }
    let zones: Arc<Vec<Tz>> = Arc::new(zones.into_iter().collect());
    aggregator.reports.zones.insert(snapshot, Arc::clone(&zones)).await;
    Ok(zones)
}

fn last_midnight(business_day: NaiveDate, zones: &[Tz]) -> DateTime<Utc> {
    zones.iter().map(|zone| midnight_after(business_day, *zone)).max().unwrap_or_default()
}

/// The first moment after the day, where that zone's clocks may jump over midnight.
fn midnight_after(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = (day + Days::new(1)).and_time(NaiveTime::MIN);
    let mut local = midnight;
    loop {
        match zone.from_local_datetime(&local).latest() {
            Some(moment) => return moment.with_timezone(&Utc),
            // In the gap of a spring change: the day ends where the clock lands.
            None if local < midnight + TimeDelta::days(2) => local += TimeDelta::minutes(15),
            None => return midnight.and_utc(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::midnight_after;

    #[test]
    fn a_day_ends_at_local_midnight_even_where_there_is_none() {
        let end = |day: &str, zone: &str| midnight_after(day.parse().unwrap(), zone.parse().unwrap()).to_rfc3339();
        assert_eq!(end("2026-03-08", "UTC"), "2026-03-09T00:00:00+00:00");
        assert_eq!(end("2026-03-08", "America/Toronto"), "2026-03-09T04:00:00+00:00");
        assert_eq!(end("2026-03-07", "America/Toronto"), "2026-03-08T05:00:00+00:00");
        // Beirut skips from 00:00 to 01:00 on 29 March 2026.
        assert_eq!(end("2026-03-28", "Asia/Beirut"), "2026-03-28T22:00:00+00:00");
        assert_eq!(end("2026-04-04", "Australia/Lord_Howe"), "2026-04-04T13:00:00+00:00");
    }
}
