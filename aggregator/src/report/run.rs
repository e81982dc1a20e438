//! Running a report: what is asked, the engine and what it keeps, and the shape of the answer.

pub(crate) mod ask;
pub(crate) mod cache;
pub(crate) mod day_end;
pub(crate) mod deep;
pub(crate) mod engine;
pub(crate) mod error;
pub(crate) mod input;
pub(crate) mod keep;
pub(crate) mod now;
pub(crate) mod shape;
pub(crate) mod shared;
pub(crate) mod statements;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use base::{BusinessDays, Tz};
use chrono::{DateTime, NaiveDate, Utc};
use lake::{Lake, LakeError};
use tokio::sync::watch;

use super::language::catalogue::{Catalogue, Schemas};
use super::language::compile::Report;
use super::language::given::Given;
use super::language::resolve;
use super::{ReportResult, SourceFreshness};
use crate::metric;
use crate::settings::Settings;
use crate::source::{SourceStatus, Sources};
use ask::Bounds;
use cache::Results;
use day_end::Zones;
use engine::Engine;
use error::ReportError;
use now::{Clock, Present};
use statements::Statements;

/// The catalogue of reports, and what computes them on the lake.
#[derive(Debug)]
pub struct Reports {
    sources: Arc<Sources>,
    lake: Arc<Lake>,
    statements: Statements,
    engine: Box<dyn Engine>,
    results: Results,
    clock: Clock,
    zones: Zones,
    clock_tolerance: Duration,
}

impl Reports {
    /// Reads the catalogue; `commits` is a version that rises with every commit.
    pub(crate) async fn open(
        sources: &Arc<Sources>,
        lake: &Arc<Lake>,
        commits: watch::Receiver<u64>,
        settings: &Settings,
        engine: Box<dyn Engine>,
    ) -> Result<Arc<Self>, ReportError> {
        let schema = |name: &str| Some((name.to_owned(), Arc::new(lake.table(name).ok()?.schema())));
        let schemas: Schemas = lake.datasets().filter_map(schema).collect();
        let (sources, lake) = (Arc::clone(sources), Arc::clone(lake));
        let clock = Clock::new(Arc::clone(&sources), Arc::clone(&lake), commits);
        let zones = Zones::new(Arc::clone(&lake));
        let statements = Statements::load(settings.catalogue_dir.clone(), schemas).await?;
        let (results, clock_tolerance) = (Results::new(), settings.clock_tolerance);
        Ok(Arc::new(Self { sources, lake, statements, engine, results, clock, zones, clock_tolerance }))
    }

    /// The catalogue as it is now.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.statements.catalogue()
    }

    /// Whether the user's files are others than when they were last read.
    pub(crate) async fn has_changed(&self) -> bool {
        self.statements.has_changed().await
    }

    pub(crate) async fn has_lost_catalogue(&self) -> bool {
        self.statements.has_lost_files().await
    }

    /// Reads the catalogue's files again; runs that have begun end with the old one.
    pub(crate) async fn reload(&self) -> Result<Arc<Catalogue>, ReportError> {
        let fresh = self.statements.reload().await?;
        self.clock.reloaded();
        Ok(fresh)
    }

    /// The present: the last look while it is fresh, else a new one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn present(&self) -> Result<Present, ReportError> {
        self.clock.now().await.map(Present)
    }

    /// Counts an answer that was given again, as one from the cache.
    pub fn answered_again(&self) {
        metric::report_result(true);
    }

    /// How the sources are, and the newest snapshot, from the database itself.
    pub(crate) async fn look(&self) -> Result<(Vec<SourceStatus>, i64), ReportError> {
        self.clock.look().await.map(|now| (now.sources, now.snapshot))
    }

    /// The database's clock.
    pub(crate) async fn database_now(&self) -> Result<DateTime<Utc>, ReportError> {
        let now = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(self.lake.db()).await;
        Ok(now.map_err(LakeError::from)?)
    }

    /// By how much clocks may differ before no figure is final.
    pub(crate) fn clock_tolerance(&self) -> Duration {
        self.clock_tolerance
    }

    /// The zones of the company and of all places known in a snapshot.
    pub(crate) async fn zones(&self, snapshot: i64) -> Result<Arc<[Tz]>, ReportError> {
        Ok(self.zones.at(snapshot).await?)
    }

    /// Makes ready to compute, before the first question comes.
    pub fn warm(&self) {
        self.engine.warm();
    }

    /// Computes a report for a caller who waits: `params` as text, a `snapshot` or the newest.
    ///
    /// # Errors
    /// See [`ReportError`]; [`ReportError::is_callers`] tells a 4xx from a fault.
    pub async fn run(
        &self,
        name: &str,
        params: impl Into<Given>,
        snapshot: Option<i64>,
    ) -> Result<Arc<ReportResult>, ReportError> {
        self.compute(&self.ask(name, params, snapshot).await?, Bounds::ON_DEMAND).await
    }

    /// Computes a report as the nightly run publishes it for a business day.
    pub(crate) async fn run_for_day(
        &self,
        report: Arc<Report>,
        business_day: NaiveDate,
        snapshot: i64,
    ) -> Result<Arc<ReportResult>, ReportError> {
        let resolved = resolve::for_day(&report, business_day, self.today())?;
        let bound = Arc::new(self.statements.bind(&report, resolved).await?);
        self.compute(&self.question(report, bound, Some(snapshot)).await?, Bounds::PUBLISHING).await
    }

    /// The report of that name.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Report>, ReportError> {
        find(&self.catalogue(), name)
    }

    /// The business days on which hangs what is published of a report for one, apart and in order: a change of any of
    /// them may change its figures.
    #[must_use]
    pub fn days_behind(&self, report: &Report, business_day: NaiveDate) -> Vec<RangeInclusive<NaiveDate>> {
        resolve::days_behind(report, business_day, self.today())
    }

    /// How fresh the sources of a report are now.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn freshness(&self, report: &Report) -> Result<Vec<SourceFreshness>, ReportError> {
        Ok(self.clock.now().await?.freshness(report))
    }

    /// The statement that a run with these parameters executes, with the report that it belongs to: the same text runs
    /// in any engine that sees the lake.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn statement(&self, name: &str, params: impl Into<Given>) -> Result<(Arc<Report>, String), ReportError> {
        let (report, params) = (self.find(name)?, params.into());
        let clock = self.clock_for(&report, &params).await?;
        let bound = self.statements.bound(&report, &params, clock).await?;
        Ok((report, bound.statement.to_string()))
    }

    /// How the company counts its days.
    pub(crate) fn days(&self) -> BusinessDays {
        self.lake.days()
    }

    /// The business day of now.
    fn today(&self) -> NaiveDate {
        self.days().today()
    }
}

/// The report of that name.
pub(crate) fn find(catalogue: &Catalogue, name: &str) -> Result<Arc<Report>, ReportError> {
    if let Some(report) = catalogue.get(name) {
        return Ok(Arc::clone(report));
    }
    let name = name.to_owned();
    match catalogue.broken().get(&name) {
        Some(diagnostics) => Err(ReportError::Broken { name, diagnostics: diagnostics.clone() }),
        None => Err(ReportError::UnknownReport { name }),
    }
}
