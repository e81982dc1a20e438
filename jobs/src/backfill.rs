//! The job `backfill`: publish the day reports of a range of days, oldest first.
//!
//! Snapshot reports are skipped: they show a state as of the run, and a past state cannot be seen any more.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{
    context::Context,
    engine::{Job, JobError, Run},
    nothing::Nothing,
    publishing::{self, Grains, Tally},
};

/// The most days one backfill may cover.
pub const MOST_DAYS: usize = 3_700;

/// Publishes past days.
pub struct Backfill {
    context: Context,
}

impl Backfill {
    /// The job over a context.
    #[must_use]
    pub fn new(context: &Context, _: Nothing) -> Self {
        Self { context: context.clone() }
    }
}

/// What a caller asks of a run.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// First day.
    pub from: NaiveDate,
    /// Last day.
    pub to: NaiveDate,
    /// Which reports; every day report when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reports: Option<Vec<String>>,
}

/// What the run came to.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// First day.
    pub from: NaiveDate,
    /// Last day.
    pub to: NaiveDate,
    /// Days published by this attempt; fewer than the range where an earlier attempt had begun.
    pub days: usize,
    /// Counts of what was published.
    #[serde(flatten)]
    pub tally: Tally,
    /// Snapshot reports, which a backfill leaves out.
    pub skipped_snapshot_reports: Vec<String>,
    /// Why it leaves them out.
    pub skipped_because: &'static str,
}

impl Job for Backfill {
    const NAME: &'static str = "backfill";
    type Arguments = Arguments;
    type Outcome = Outcome;

    async fn run(&self, arguments: Arguments, run: &Run) -> Result<Outcome, JobError> {
        let Arguments { from, to, reports } = arguments;
        let days: Vec<NaiveDate> = from.iter_days().take_while(|day| *day <= to).take(MOST_DAYS + 1).collect();
        if days.is_empty() {
            return Err(JobError::Refused(format!("the range {from} to {to} holds no day")));
        }
        if days.len() > MOST_DAYS {
            return Err(JobError::Refused(format!(
                "{from} to {to} is more than {MOST_DAYS} days; ask for it in parts"
            )));
        }
        let (aggregator, names) = (&self.context.aggregator, reports.as_deref());
        let all = publishing::reports(aggregator, names, Grains::All)?;
        let of_days = publishing::reports(aggregator, names, Grains::Day)?;
        let skipped = all.iter().filter(|it| !of_days.iter().any(|day| day.name == it.name));
        let skipped_snapshot_reports = skipped.map(|report| report.name.clone()).collect();
        // An earlier attempt says how far it came; a day published twice would do no harm, only take time.
        let done = usize::try_from(run.done_before().unwrap_or(0)).unwrap_or(0).min(days.len());
        let mut tally = Tally::default();
        for (index, day) in days.iter().enumerate().skip(done) {
            run.progress(index, days.len(), &day.to_string()).await;
            let gate = self.context.gate().await?;
            tally.add(publishing::publish_day(aggregator, *day, names, Grains::Day, &gate, run).await?);
        }
        run.progress(days.len(), days.len(), &to.to_string()).await;
        Ok(Outcome {
            from,
            to,
            days: days.len() - done,
            tally,
            skipped_snapshot_reports,
            skipped_because: "a snapshot report shows the state as of its run; a past state can no longer be seen",
        })
    }
}
