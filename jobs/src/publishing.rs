//! Publishing several reports of one day: what the nightly run, a backfill and a restatement share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use aggregator::{
    Aggregator,
    publish::{self, Missing, Published, Reason},
    report::{self, Grain, Report},
    source,
};
use chrono::{NaiveDate, TimeDelta};
use futures_util::{StreamExt, stream};
use serde::Serialize;

use crate::engine::{JobError, Run};

/// How many reports are computed at the same time; each already uses every core while it computes.
const AT_ONCE: usize = 2;

/// Which reports are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grains {
    /// Those of a day and those of a moment.
    All,
    /// Those of a day only: a past moment cannot be published afterwards.
    Day,
}

/// Counts of what was published.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    /// Reports looked at.
    pub reports: usize,
    /// New revisions.
    pub revisions: usize,
    /// Of these, or unchanged: in state final.
    pub finals: usize,
    /// Of these, or unchanged: in state provisional.
    pub provisionals: usize,
    /// Reports whose newest revision was already equal.
    pub unchanged: usize,
    /// Rows in the reports, together.
    pub rows: i64,
    /// Reports that could not be computed, with the reason.
    pub failed: BTreeMap<String, String>,
}

impl Tally {
    fn count(&mut self, published: &Published) {
        self.reports += 1;
        self.revisions += usize::from(published.changed);
        self.unchanged += usize::from(!published.changed);
        let is_final = published.state == publish::State::Final;
        self.finals += usize::from(is_final);
        self.provisionals += usize::from(!is_final);
        self.rows += published.row_count;
    }

    /// Add another tally to this one.
    pub fn add(&mut self, other: Self) {
        self.reports += other.reports;
        self.revisions += other.revisions;
        self.finals += other.finals;
        self.provisionals += other.provisionals;
        self.unchanged += other.unchanged;
        self.rows += other.rows;
        self.failed.extend(other.failed);
    }
}

/// The published reports of the catalogue that are meant, by name.
///
/// # Errors
/// [`JobError::Refused`] for a name that the catalogue does not have.
pub fn reports(
    aggregator: &Aggregator,
    names: Option<&[String]>,
    grains: Grains,
) -> Result<Vec<Arc<Report>>, JobError> {
    let catalogue = report::catalogue(aggregator);
    if let Some(unknown) = names.unwrap_or_default().iter().find(|name| catalogue.get(name).is_none()) {
        return Err(JobError::Refused(format!("there is no report `{unknown}`")));
    }
    let wanted = |report: &Report| {
        report.publish.is_some()
            && names.is_none_or(|names| names.contains(&report.name))
            && (grains == Grains::All || report.grain == Grain::Day)
    };
    Ok(catalogue.reports().filter(|report| wanted(report)).cloned().collect())
}

/// Publish reports of one day. A report that fails is named in the tally and stops no other.
///
/// # Errors
/// [`JobError::Fence`] when the run is no longer ours, [`JobError::Failed`] when every report failed.
pub async fn publish_day(
    aggregator: &Arc<Aggregator>,
    day: NaiveDate,
    names: Option<&[String]>,
    grains: Grains,
    run: &Run,
) -> Result<Tally, JobError> {
    let reports = reports(aggregator, names, grains)?;
    let mut results = stream::iter(reports)
        .map(|report| async move {
            let result = publish::publish(aggregator, &report.name, day, run.lease()).await;
            (report.name.clone(), result)
        })
        .buffer_unordered(AT_ONCE);
    let mut tally = Tally::default();
    while let Some((name, result)) = results.next().await {
        match result {
            Ok(published) => tally.count(&published),
            Err(error) => {
                // A lost fence ends the run; anything else is this report's own trouble.
                run.check().await?;
                let reason = format!("{:#}", anyhow::Error::new(error));
                run.log(format!("{name} of {day} was not published: {reason}")).await;
                tally.failed.insert(name, reason);
            }
        }
    }
    if tally.reports == 0 && !tally.failed.is_empty() {
        return Err(JobError::Failed(anyhow::anyhow!("no report of {day} could be published: {:?}", tally.failed)));
    }
    Ok(tally)
}

/// What is missing for the reports of a day to be final, in words, each once: a source that has not been read through
/// the end of the day and the grace after it, or rows in quarantine.
///
/// # Errors
/// [`JobError::Failed`] when it cannot be found out.
pub async fn missing(aggregator: &Aggregator, day: NaiveDate, grace: Duration) -> Result<Vec<String>, JobError> {
    let mut lines = BTreeSet::new();
    let mut wanted = BTreeSet::new();
    for report in reports(aggregator, None, Grains::Day)? {
        wanted.extend(report::sources_of(aggregator, &report));
        for Missing { source, dataset, reason } in
            publish::missing(aggregator, &report, day).await.map_err(anyhow::Error::new)?
        {
            if reason == Reason::Quarantined {
                lines.insert(format!("{source}: rows of {} are in quarantine", dataset.unwrap_or_default()));
            }
        }
    }
    let end = publish::day_end(aggregator, day).await.map_err(anyhow::Error::new)?;
    let needed = end + TimeDelta::from_std(grace).unwrap_or_default();
    for status in source::status(aggregator).await.map_err(anyhow::Error::new)? {
        if wanted.contains(&status.name) && status.complete_through.is_none_or(|through| through < needed) {
            let through = status.complete_through.map_or_else(|| "never".to_owned(), |at| at.to_rfc3339());
            lines.insert(format!("{}: complete through {through}, needed {}", status.name, needed.to_rfc3339()));
        }
    }
    Ok(lines.into_iter().collect())
}
