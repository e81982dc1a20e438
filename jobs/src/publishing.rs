//! Publishing several reports of one day: what the nightly run, a backfill and a restatement share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aggregator::{
    Aggregator,
    publish::{self, Gate, PublishError, Published},
    report::{Grain, Report},
};
use chrono::NaiveDate;
use futures_util::{StreamExt, stream};
use serde::Serialize;

use crate::engine::{JobError, Run};

/// How many reports are under way at the same time: while one is computed, which uses every core, others are written.
const AT_ONCE: usize = 3;

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
    /// Reports of a moment that an earlier attempt of the run has published.
    pub kept: usize,
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
        self.kept += other.kept;
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
    let catalogue = aggregator.reports().catalogue();
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

/// Publish reports of one day, all on the gate's snapshot. A report that fails is named in the tally and stops no other.
///
/// # Errors
/// [`JobError::Lease`] when the run is no longer ours, [`JobError::Failed`] when every report failed.
pub async fn publish_day(
    aggregator: &Arc<Aggregator>,
    day: NaiveDate,
    names: Option<&[String]>,
    grains: Grains,
    gate: &Gate,
    run: &Run,
) -> Result<Tally, JobError> {
    let reports = reports(aggregator, names, grains)?;
    let mut results = stream::iter(reports)
        .map(|report| async move { (report.name.clone(), publish_one(aggregator, &report, day, gate, run).await) })
        .buffer_unordered(AT_ONCE);
    let mut tally = Tally::default();
    while let Some((name, result)) = results.next().await {
        match result {
            Ok(Some(published)) => tally.count(&published),
            Ok(None) => tally.kept += 1,
            // Nothing is waited for in here: a report that is not polled meanwhile may hold the run's row.
            Err(error) => {
                tally.failed.insert(name, format!("{:#}", anyhow::Error::new(error)));
            }
        }
    }
    drop(results);
    if !tally.failed.is_empty() {
        // A lost lease ends the run; anything else is the reports' own trouble.
        run.check().await?;
    }
    for (name, reason) in &tally.failed {
        run.log(format!("{name} of {day} was not published: {reason}")).await;
    }
    if tally.reports + tally.kept == 0 && !tally.failed.is_empty() {
        return Err(JobError::Failed(anyhow::anyhow!("no report of {day} could be published: {:?}", tally.failed)));
    }
    run.log(format!(
        "{day}: {} reports looked at, {} new revisions; {} final, {} provisional",
        tally.reports, tally.revisions, tally.finals, tally.provisionals
    ))
    .await;
    Ok(tally)
}

/// None where an earlier attempt of this run has published it and the figures are of a moment: they would be of another
/// one now, and a run publishes one revision.
async fn publish_one(
    aggregator: &Aggregator,
    report: &Report,
    day: NaiveDate,
    gate: &Gate,
    run: &Run,
) -> Result<Option<Published>, PublishError> {
    if report.grain == Grain::Snapshot {
        match publish::revision(aggregator.db(), &report.name, day, None).await {
            Ok(current) if current.published_at >= run.begun_at => return Ok(None),
            Ok(_) | Err(PublishError::UnknownRevision { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    aggregator.publisher().publish(&report.name, day, gate, run.lease()).await.map(Some)
}

/// What is missing for the reports of a day to be final, in words, each once.
///
/// # Errors
/// As [`reports`].
pub fn missing(
    aggregator: &Aggregator,
    day: NaiveDate,
    names: Option<&[String]>,
    gate: &Gate,
) -> Result<Vec<String>, JobError> {
    let mut lines = BTreeSet::new();
    for report in reports(aggregator, names, Grains::All)? {
        lines.extend(gate.missing(&report, day).iter().map(|missing| gate.explain(missing, day)));
    }
    Ok(lines.into_iter().collect())
}
