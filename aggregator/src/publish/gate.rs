//! What keeps a day's figures from being final: decided by the data, not by the clock.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Days, Duration, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use polars::prelude::{DataType, col};
use serde::{Deserialize, Serialize};

use crate::report::{Report, sources_of};
use crate::{Aggregator, Error, lake, source};

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
    /// Not everything up to the end of the day has been read.
    Incomplete,
    /// Rows that do not fit their declaration are kept apart.
    Quarantined,
}

/// What a report lacks for the day, by source and dataset; empty: nothing, it is final.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn missing(aggregator: &Aggregator, report: &Report, business_day: NaiveDate) -> Result<Vec<Missing>, Error> {
    let end = day_end(aggregator, business_day).await?;
    let wanted = sources_of(aggregator, report);
    let mut missing = Vec::new();
    for status in source::status(aggregator).await? {
        if !wanted.contains(&status.name) {
            continue;
        }
        if status.complete_through.is_none_or(|through| through < end) {
            missing.push(Missing { source: status.name.clone(), dataset: None, reason: Reason::Incomplete });
        }
        let quarantined = status.quarantined_by_dataset.keys().filter(|dataset| report.datasets.contains(*dataset));
        missing.extend(quarantined.map(|dataset| Missing {
            source: status.name.clone(),
            dataset: Some(dataset.clone()),
            reason: Reason::Quarantined,
        }));
    }
    missing.sort();
    Ok(missing)
}

/// When a business day has ended everywhere: in the company's zone and in that of every place that
/// a reference dataset gives a `time_zone`.
///
/// # Errors
/// When the lake cannot be read.
pub async fn day_end(aggregator: &Aggregator, business_day: NaiveDate) -> Result<DateTime<Utc>, Error> {
    let zones = zones(aggregator).await?;
    let ends = zones.iter().map(|zone| midnight_after(business_day, *zone));
    Ok(ends.max().unwrap_or_default())
}

/// The company's zone and those of all places known in the newest snapshot.
async fn zones(aggregator: &Aggregator) -> Result<Arc<Vec<Tz>>, Error> {
    let snapshot = lake::snapshot::current(aggregator.db()).await?;
    let kept = aggregator.reports.zones.get(&snapshot).await;
    if let Some(zones) = kept {
        return Ok(zones);
    }
    let mut zones = BTreeSet::from([aggregator.settings().time_zone.name().to_owned()]);
    let names: Vec<String> = aggregator.lake().datasets().map(str::to_owned).collect();
    for name in names {
        let table = aggregator.lake().table(&name)?;
        let places = !table.has_days() && table.schema().get("time_zone") == Some(&DataType::String);
        if !places {
            continue;
        }
        let frame = lake::scan(aggregator, snapshot, &name, None).await?;
        let found = tokio::task::spawn_blocking(move || frame.select([col("time_zone").unique()]).collect()).await??;
        zones.extend(found.column("time_zone")?.str()?.iter().flatten().map(str::to_owned));
    }
    let zones: Arc<Vec<Tz>> = Arc::new(zones.iter().filter_map(|zone| zone.parse().ok()).collect());
    aggregator.reports.zones.insert(snapshot, Arc::clone(&zones)).await;
    Ok(zones)
}

/// The first moment after the day, where that zone's clocks may jump over midnight.
fn midnight_after(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = (day + Days::new(1)).and_time(NaiveTime::MIN);
    let mut local = midnight;
    loop {
        match zone.from_local_datetime(&local).latest() {
            Some(moment) => return moment.with_timezone(&Utc),
            // In the gap of a spring change: the day ends where the clock lands.
            None if local < midnight + Duration::days(2) => local += Duration::minutes(15),
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
