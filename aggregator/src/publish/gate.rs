//! What keeps a day's figures from being final: decided by the data, not by the clock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base::{DayStart, Tz};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::report::{Report, ReportError, Reports, day_end};
use crate::source::SourceStatus;
use crate::source::offer::split;

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
    /// Not everything up to the end of the day, and the grace after it, has been read; of a dataset, the source's version
    /// does not offer all that is declared.
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
    zones: Arc<[Tz]>,
    start: DayStart,
    grace: Duration,
    tolerance: i64,
    /// The database's clock, and by how many seconds it is ahead of this process's.
    now: DateTime<Utc>,
    database_ahead: i64,
}

impl Gate {
    /// How the sources are, then the newest snapshot: the data can only be fresher than the gate says.
    ///
    /// `grace` is how much longer than to the end of a day a source must be complete: late writers get this much.
    ///
    /// # Errors
    /// When the catalogue or the lake cannot be read.
    pub async fn read(reports: &Reports, grace: Duration) -> Result<Self, ReportError> {
        let (sources, snapshot) = reports.look().await?;
        let (zones, now) = (reports.zones(snapshot).await?, reports.database_now().await?);
        let database_ahead = (now - Utc::now()).num_seconds();
        let tolerance = i64::try_from(reports.clock_tolerance().as_secs()).unwrap_or(i64::MAX);
        Ok(Self { sources, snapshot, zones, start: reports.days().start, grace, tolerance, now, database_ahead })
    }

    /// The snapshot that reports are computed on.
    #[must_use]
    pub fn snapshot(&self) -> i64 {
        self.snapshot
    }

    /// The moment through which a source must be complete for a day: its end everywhere, and the grace.
    #[must_use]
    pub fn needed(&self, business_day: NaiveDate) -> DateTime<Utc> {
        day_end(business_day, &self.zones, self.start) + self.grace
    }

    /// Whether a day has ended everywhere, the grace after it too, by the database's clock.
    #[must_use]
    pub fn is_over(&self, business_day: NaiveDate) -> bool {
        self.needed(business_day) <= self.now
    }

    /// What a report lacks for the day, by source and dataset; empty: nothing, it is final.
    #[must_use]
    pub fn missing(&self, report: &Report, business_day: NaiveDate) -> Vec<Missing> {
        let mut missing = self.missing_of(&report.datasets, business_day);
        for status in &self.sources {
            let absent = status.absent.keys().filter(|it| report.lacks(split(it)));
            missing.extend(absent.map(|it| Missing {
                source: status.name.clone(),
                dataset: Some(split(it).0.to_owned()),
                reason: Reason::Incomplete,
            }));
        }
        missing.sort();
        missing.dedup();
        missing
    }

    /// What these datasets lack for the day.
    #[must_use]
    pub fn missing_of(&self, datasets: &BTreeSet<String>, business_day: NaiveDate) -> Vec<Missing> {
        let needed = self.needed(business_day);
        let mut missing = Vec::new();
        let is_read = |status: &&SourceStatus| status.datasets.iter().any(|dataset| datasets.contains(dataset));
        for status in self.sources.iter().filter(is_read) {
            let is_late = |through: Option<DateTime<Utc>>| through.is_none_or(|through| through < needed);
            let held =
                status.held.iter().filter(|(dataset, through)| datasets.contains(*dataset) && is_late(**through));
            missing.extend(held.map(|(dataset, _)| Missing {
                source: status.name.clone(),
                dataset: Some(dataset.clone()),
                reason: Reason::Incomplete,
            }));
            if self.clocks_differ(status).is_some() || is_late(status.complete_through) {
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
                if let Some(dataset) = dataset {
                    if status.is_some_and(|it| it.held.contains_key(dataset)) {
                        return format!(
                            "{source}: {dataset} is held back, for a full refresh would drop too many rows"
                        );
                    }
                    let absent = status.iter().flat_map(|it| &it.absent).filter(|(it, _)| split(it).0 == dataset);
                    let lacking = absent.map(|(it, since)| format!("{it} (it comes with {since})")).collect::<Vec<_>>();
                    return format!("{source}: its version does not offer {}", lacking.join(", "));
                }
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
