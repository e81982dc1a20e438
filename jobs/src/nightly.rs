//! The job `nightly`: poll every source, wait until the day's data is complete, publish every report of the day that
//! ended, and write the export pack.
//!
//! It is gated by data and not by the clock. Until the deadline it waits (as a row, not as a process) for every source
//! to be complete through the end of the day; after it, what is there is published as provisional, naming what is
//! missing, and the job `restate` makes it final when that arrives.

use std::{sync::Arc, time::Duration};

use aggregator::Aggregator;
use base::{BusinessDays, Span};
use chrono::{DateTime, Days, NaiveDate, Utc};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::{
    context::Context,
    engine::{Job, JobError, Run},
    export_pack::{Packed, pack_day},
    poll::{self, PollArguments},
    publishing::{self, Grains, Tally},
};

/// How long until a run that waits for data looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What is configured about the nightly run, under `with`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NightlySettings {
    /// Which reports; all that are published when absent.
    pub reports: Option<Vec<String>>,
    /// How long after the scheduled instant to wait for data before publishing without it.
    pub deadline: Span,
}

impl Default for NightlySettings {
    fn default() -> Self {
        Self { reports: None, deadline: Span::minutes(4 * 60) }
    }
}

/// What a caller may ask of a run.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// The business day to publish; the day before the scheduled one when absent.
    pub business_day: Option<NaiveDate>,
    /// Whether to wait for data that is missing, up to the deadline; true when absent.
    #[serde(default = "yes")]
    pub wait: bool,
}

fn yes() -> bool {
    true
}

/// What the run came to.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The day that was published.
    pub business_day: NaiveDate,
    /// Sources that could not be polled first, with the reason.
    pub polls_failed: Vec<String>,
    /// Counts of what was published.
    #[serde(flatten)]
    pub tally: Tally,
    /// The export pack.
    pub export: Packed,
}

/// Publishes the business day that ended.
pub struct Nightly {
    context: Context,
    settings: NightlySettings,
}

impl Nightly {
    /// The job over a context.
    #[must_use]
    pub fn new(context: &Context, settings: NightlySettings) -> Self {
        Self { context: context.clone(), settings }
    }
}

impl Job for Nightly {
    const NAME: &'static str = "nightly";
    type Arguments = Arguments;
    type Outcome = Outcome;

    async fn run(&self, arguments: Arguments, run: &Run) -> Result<Outcome, JobError> {
        let aggregator = &self.context.aggregator;
        let day = arguments.business_day.unwrap_or(day_before(run.scheduled_for, aggregator.settings().days));
        let polls_failed = poll_all(aggregator, run).await;
        let gate = self.context.gate().await?;
        let reports = self.settings.reports.as_deref();
        let missing = publishing::missing(aggregator, day, reports, &gate)?;
        let deadline = run.scheduled_for + self.settings.deadline.0;
        if !missing.is_empty() && arguments.wait && run.now < deadline {
            let reason = format!("the data of {day} is not complete: {}", missing.join("; "));
            let left = (deadline - run.now).to_std().unwrap_or_default();
            return Err(JobError::NotYet { reason, again_in: LOOK_AGAIN.min(left) });
        }
        for line in &missing {
            run.log(format!("publishing without: {line}")).await;
        }
        let tally = publishing::publish_day(aggregator, day, reports, Grains::All, &gate, run).await?;
        let export = pack_day(&self.context, day, run).await?;
        if !tally.failed.is_empty() {
            // What could be published is; another attempt looks at the rest again, and the last one's failure is reported.
            let reasons: Vec<String> = tally.failed.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
            let error =
                anyhow::anyhow!("{} reports of {day} were not published: {}", reasons.len(), reasons.join("; "));
            return Err(JobError::Failed(error));
        }
        Ok(Outcome { business_day: day, polls_failed, tally, export })
    }
}

/// The business day before the one in which an instant falls.
#[must_use]
pub fn day_before(instant: DateTime<Utc>, days: BusinessDays) -> NaiveDate {
    let today = days.of(instant);
    today.checked_sub_days(Days::new(1)).unwrap_or(today)
}

/// Polls every source, side by side; one that fails is named and stops nobody.
async fn poll_all(aggregator: &Arc<Aggregator>, run: &Run) -> Vec<String> {
    let polls = aggregator.sources().iter().map(async |source| {
        let name = &source.declaration.name;
        match poll::one(Arc::clone(aggregator), name.clone(), PollArguments::default()).await {
            Ok(outcome) => {
                let (rows, through) = (outcome.rows_read, outcome.complete_through);
                run.log(format!("{name}: {rows} rows read, complete through {through}")).await;
                None
            }
            Err(error) => {
                let line = format!("{name}: {:#}", anyhow::Error::new(error));
                run.log(format!("poll failed: {line}")).await;
                Some(line)
            }
        }
    });
    join_all(polls).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_that_ended_is_the_companys() {
        let at: DateTime<Utc> = "2026-11-02T06:30:00Z".parse().unwrap();
        let before = |zone: &str, start: &str| {
            let days = BusinessDays { zone: zone.parse().unwrap(), start: start.parse().unwrap() };
            day_before(at, days).to_string()
        };
        assert_eq!(before("America/Toronto", "00:00"), "2026-11-01");
        assert_eq!(before("America/Los_Angeles", "00:00"), "2026-10-31");
        assert_eq!(before("America/Toronto", "04:00"), "2026-10-31");
    }

    #[test]
    fn settings_refuse_what_they_do_not_know() {
        let settings: NightlySettings = toml::from_str("deadline = '2h'").unwrap();
        assert_eq!(settings.deadline, Span::minutes(120));
        assert!(toml::from_str::<NightlySettings>("deadlin = '2h'").is_err());
        assert!(toml::from_str::<NightlySettings>("deadline = 'soon'").is_err());
    }
}
