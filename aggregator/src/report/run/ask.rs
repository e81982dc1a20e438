//! What a caller asks: resolved and bound first, so that a mistake is told before anything is computed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{Days, NaiveDate, Utc};

use super::cache::Computed;
use super::engine::Bound;
use super::error::ReportError;
use super::now::Now;
use crate::report::language::compile::Report;
use crate::report::language::resolve;
use crate::report::{ReportResult, SourceFreshness, catalogue, find, freshness, freshness_of};
use crate::{Aggregator, publish};

/// The bounds on computing one report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most rows of the result, which is held in memory.
    pub rows: usize,
    /// How long the computation may take.
    pub time: Duration,
    /// How long it may wait for its turn.
    pub patience: Duration,
    /// Whether the result is kept for whoever asks the same: not when nobody will, or when it is too large.
    pub(crate) kept: bool,
}

impl Bounds {
    /// While a caller waits.
    pub const ON_DEMAND: Self =
        Self { rows: 1_000_000, time: Duration::from_secs(120), patience: Duration::from_secs(30), kept: true };
    /// While nobody waits, and the result becomes a file.
    pub const IN_BACKGROUND: Self =
        Self { rows: 5_000_000, time: Duration::from_secs(1_800), patience: Duration::from_secs(1_800), kept: false };
    /// For publishing, which needs each result once.
    pub(crate) const PUBLISHING: Self = Self { patience: Duration::from_secs(600), kept: false, ..Self::ON_DEMAND };
}

/// A question to a report on one snapshot, with every parameter resolved.
#[derive(Debug, Clone)]
pub struct Question {
    report: Arc<Report>,
    bound: Arc<Bound>,
    snapshot: i64,
    now: Arc<Now>,
}

/// Resolves a question: `params` as text, a `snapshot` or the newest.
///
/// # Errors
/// See [`ReportError`]; [`ReportError::is_callers`] tells a 4xx from a fault.
pub async fn ask(
    aggregator: &Aggregator,
    name: &str,
    params: &BTreeMap<String, String>,
    snapshot: Option<i64>,
) -> Result<Question, ReportError> {
    let report = find(&catalogue(aggregator), name)?;
    let clock = clock(aggregator, &report, params).await?;
    let bound = aggregator.reports.bound(aggregator, &report, params, clock).await?;
    Question::new(aggregator, report, bound, snapshot).await
}

impl Question {
    pub(crate) async fn new(
        aggregator: &Aggregator,
        report: Arc<Report>,
        bound: Arc<Bound>,
        snapshot: Option<i64>,
    ) -> Result<Self, ReportError> {
        let now = aggregator.reports.clock.now(aggregator).await?;
        Ok(Self { report, bound, snapshot: snapshot.unwrap_or(now.snapshot), now })
    }

    /// The report that is asked.
    #[must_use]
    pub fn report(&self) -> &Arc<Report> {
        &self.report
    }

    /// The resolved parameters.
    #[must_use]
    pub fn parameters(&self) -> &BTreeMap<String, serde_json::Value> {
        &self.bound.parameters
    }

    /// The snapshot that is read.
    #[must_use]
    pub fn snapshot(&self) -> i64 {
        self.snapshot
    }

    /// How fresh the report's sources are.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceFreshness> {
        freshness_of(&self.bound.sources, &self.now.sources)
    }

    /// The answer, if it was computed before and is still kept.
    pub async fn held(&self, aggregator: &Aggregator) -> Option<Arc<ReportResult>> {
        let held = aggregator.reports.held(&self.report, &self.bound, self.snapshot).await?;
        Some(self.answer(held))
    }

    /// The answer: kept, under way for somebody else, or computed now.
    ///
    /// # Errors
    /// [`ReportError::TooManyRows`], [`ReportError::TimedOut`], [`ReportError::Busy`], or a fault.
    pub async fn compute(&self, aggregator: &Aggregator, bounds: Bounds) -> Result<Arc<ReportResult>, ReportError> {
        let reports = &aggregator.reports;
        let computed = reports.compute(aggregator, &self.report, &self.bound, self.snapshot, bounds).await?;
        Ok(self.answer(computed))
    }

    fn answer(&self, computed: Arc<Computed>) -> Arc<ReportResult> {
        Arc::new(ReportResult {
            report: Arc::clone(&self.report),
            parameters: self.bound.parameters.clone(),
            snapshot: self.snapshot,
            frame: computed.frame.clone(),
            sources: self.sources(),
            computed_at: computed.computed_at,
            computed,
        })
    }
}

/// Today in the company's zone.
pub(crate) fn today(aggregator: &Aggregator) -> NaiveDate {
    Utc::now().with_timezone(&aggregator.settings().time_zone).date_naive()
}

/// The days that a caller's relative ones are counted from.
pub(crate) async fn clock(
    aggregator: &Aggregator,
    report: &Report,
    params: &BTreeMap<String, String>,
) -> Result<resolve::Clock, ReportError> {
    let today = today(aggregator);
    // Looking for the complete day reads the lake: only for who asks for it.
    let asks = report.params.iter().any(|(name, parameter)| match params.get(name) {
        Some(text) => text.contains("complete_day"),
        None => parameter.default.as_ref().and_then(toml::Value::as_str).is_some_and(|it| it.contains("complete_day")),
    });
    let complete = if asks { complete_day(aggregator, report).await? } else { today - Days::new(1) };
    Ok(resolve::Clock { today, complete })
}

/// The last business day that had ended everywhere by the least `complete_through` of the report's
/// sources; yesterday while one of them was never polled.
async fn complete_day(aggregator: &Aggregator, report: &Report) -> Result<NaiveDate, ReportError> {
    let yesterday = today(aggregator) - Days::new(1);
    let sources = freshness(aggregator, report).await?;
    let Some(Some(through)) = sources.iter().map(|source| source.complete_through).min() else {
        return Ok(yesterday);
    };
    let local = through.with_timezone(&aggregator.settings().time_zone).date_naive();
    // No zone is more than a day away from another.
    for back in 0..3 {
        let day = local - Days::new(back);
        if publish::day_end(aggregator, day).await? <= through {
            return Ok(day);
        }
    }
    Ok(local - Days::new(3))
}
