//! When a business day has ended everywhere.

use std::collections::HashSet;
use std::sync::Arc;

use base::{DayStart, Tz};
use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone, Utc};
use lake::{Lake, LakeError};
use moka::future::Cache;
use polars::prelude::{DataType, col};

/// The zones of the company and of all places, by snapshot.
#[derive(Debug)]
pub(crate) struct Zones {
    lake: Arc<Lake>,
    kept: Cache<i64, Arc<[Tz]>>,
}

impl Zones {
    pub(crate) fn new(lake: Arc<Lake>) -> Self {
        Self { lake, kept: Cache::new(2) }
    }

    /// The company's zone, and that of every place to which a reference dataset gives a `time_zone`.
    pub(crate) async fn at(&self, snapshot: i64) -> Result<Arc<[Tz]>, LakeError> {
        if let Some(kept) = self.kept.get(&snapshot).await {
            return Ok(kept);
        }
        let mut zones = HashSet::from([self.lake.days().zone]);
        for name in self.lake.datasets() {
            let table = self.lake.table(name)?;
            if table.has_days() || table.schema().get("time_zone") != Some(&DataType::String) {
                continue;
            }
            let frame = self.lake.scan(snapshot, name, None).await?;
            let unique = move || frame.select([col("time_zone").unique()]).collect();
            let found = tokio::task::spawn_blocking(unique).await??;
            zones.extend(found.column("time_zone")?.str()?.iter().flatten().filter_map(|zone| zone.parse::<Tz>().ok()));
        }
        let zones: Arc<[Tz]> = zones.into_iter().collect();
        self.kept.insert(snapshot, Arc::clone(&zones)).await;
        Ok(zones)
    }
}

/// The end of a day in the last of some zones.
pub(crate) fn day_end(business_day: NaiveDate, zones: &[Tz], start: DayStart) -> DateTime<Utc> {
    zones.iter().map(|zone| end_in(business_day, *zone, start)).max().unwrap_or_default()
}

/// The first moment after the day, where that zone's clocks may jump over the hour at which the next one starts.
fn end_in(day: NaiveDate, zone: Tz, start: DayStart) -> DateTime<Utc> {
    let next = start.end_of(day);
    let mut local = next;
    loop {
        match zone.from_local_datetime(&local).latest() {
            Some(moment) => return moment.with_timezone(&Utc),
            // In the gap of a spring change: the day ends where the clock lands.
            None if local < next + TimeDelta::days(2) => local += TimeDelta::minutes(15),
            None => return next.and_utc(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::end_in;

    #[test]
    fn a_day_ends_at_local_midnight_even_where_there_is_none() {
        let end_at = |start: &str, day: &str, zone: &str| {
            end_in(day.parse().unwrap(), zone.parse().unwrap(), start.parse().unwrap()).to_rfc3339()
        };
        let end = |day: &str, zone: &str| end_at("00:00", day, zone);
        assert_eq!(end("2026-03-08", "UTC"), "2026-03-09T00:00:00+00:00");
        assert_eq!(end("2026-03-08", "America/Toronto"), "2026-03-09T04:00:00+00:00");
        assert_eq!(end("2026-03-07", "America/Toronto"), "2026-03-08T05:00:00+00:00");
        // Beirut skips from 00:00 to 01:00 on 29 March 2026.
        assert_eq!(end("2026-03-28", "Asia/Beirut"), "2026-03-28T22:00:00+00:00");
        assert_eq!(end("2026-04-04", "Australia/Lord_Howe"), "2026-04-04T13:00:00+00:00");
        assert_eq!(end_at("04:00", "2026-03-08", "America/Toronto"), "2026-03-09T08:00:00+00:00");
        // There is no half past two on 8 March.
        assert_eq!(end_at("02:30", "2026-03-07", "America/Toronto"), "2026-03-08T07:00:00+00:00");
    }
}
