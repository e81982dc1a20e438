//! Running a statement: frames of one snapshot, a bounded number at a time, within a time limit.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use chrono::NaiveDate;
use chrono_tz::Tz;
use moka::future::Cache;
use polars::error::set_warning_function;
use polars::prelude::{DataFrame, Engine as Polars, PolarsError};
use sqlparser::ast::Query;
use tokio::sync::Semaphore;

use super::ask::Bounds;
use super::cache::{Computed, Key, Results};
use super::deep::deep;
use super::error::ReportError;
use super::input::{self, Input, Inputs};
use super::now::Clock;
use super::shape::shape;
use crate::lake::{self, Lake};
use crate::report::language::bind::bind;
use crate::report::language::catalogue::{Catalogue, Listing, Schemas, listing};
use crate::report::language::check::check;
use crate::report::language::compile::Report;
use crate::report::language::header;
use crate::report::language::plan::plan;
use crate::report::language::resolve::{self, ParameterError, Resolved};
use crate::{Aggregator, Error, Settings, metric, source};

/// Statements that are kept ready, of a few kilobytes each.
const BINDINGS: u64 = 2_000;

/// The catalogue and the bounds on computing.
#[derive(Debug)]
pub(crate) struct Engine {
    own: Option<PathBuf>,
    schemas: Schemas,
    catalogue: RwLock<Arc<Catalogue>>,
    /// The user's files as they were before they were read.
    listed: Mutex<Listing>,
    permits: Arc<Semaphore>,
    results: Results,
    bindings: Cache<Asked, Arc<Bound>>,
    pub(crate) clock: Clock,
    /// The zones of all places, by snapshot.
    pub(crate) zones: Cache<i64, Arc<Vec<Tz>>>,
}

/// A statement with its parameters in place, ready to be executed on any snapshot.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The parameters, as the answer shows them.
    pub(crate) parameters: BTreeMap<String, serde_json::Value>,
    /// What will be executed.
    pub(crate) statement: Arc<Statement>,
    /// The sources that are read.
    pub(crate) sources: BTreeSet<String>,
    /// The business days whose rows the figures depend on, apart and in order; empty: all.
    days: Vec<RangeInclusive<NaiveDate>>,
}

/// What a binding depends on: the report's digest, what the caller gave, and the days that relative ones mean.
type Asked = (String, BTreeMap<String, String>, resolve::Clock);

/// The catalogue of the shipped reports and a folder's, over the shipped sources and a folder's, checked without a
/// database: what an engine on these folders would load.
///
/// # Errors
/// A folder that cannot be read, or a source's declaration that is wrong. What is wrong with a report or a view is in
/// the catalogue.
pub async fn check_files(sources: Option<&Path>, catalogue: Option<PathBuf>) -> Result<Arc<Catalogue>, Error> {
    log_warnings();
    let declared = source::declarations(sources)?;
    let datasets = declared.iter().flat_map(|it| &it.datasets).map(|it| (it.name.clone(), it.lake_columns()));
    let tables = datasets.chain([(lake::calendar::NAME.to_owned(), lake::calendar::columns())]);
    let schemas = tables.map(|(name, columns)| (name, Arc::new(lake::table::schema(&columns)))).collect();
    Ok(read(catalogue, schemas).await?)
}

/// What polars has to say belongs into the log, not onto standard error in its own form.
fn log_warnings() {
    set_warning_function(|text, _| tracing::debug!(text, "polars warns: {text}"));
}

impl Engine {
    pub(crate) async fn load(settings: &Settings, lake: &Lake) -> Result<Self, ReportError> {
        log_warnings();
        let schema = |name: &str| Some((name.to_owned(), Arc::new(lake.table(name).ok()?.schema())));
        let schemas: Schemas = lake.datasets().filter_map(schema).collect();
        let listed = listed(settings.catalogue_dir.clone()).await;
        let catalogue = read(settings.catalogue_dir.clone(), schemas.clone()).await?;
        // Polars uses every core for one statement: more at once would only fight for memory.
        let permits = Arc::new(Semaphore::new(2));
        Ok(Self {
            own: settings.catalogue_dir.clone(),
            schemas,
            catalogue: RwLock::new(catalogue),
            listed: Mutex::new(listed),
            permits,
            results: Results::new(),
            bindings: Cache::new(BINDINGS),
            clock: Clock::default(),
            zones: Cache::new(2),
        })
    }

    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the user's files are others than when they were last read.
    pub(crate) async fn has_changed(&self) -> bool {
        let now = listed(self.own.clone()).await;
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) != now
    }

    pub(crate) async fn reload(&self) -> Result<Arc<Catalogue>, ReportError> {
        // First: what changes while it is read is another change.
        let listed = listed(self.own.clone()).await;
        let fresh = read(self.own.clone(), self.schemas.clone()).await?;
        *self.catalogue.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = listed;
        // What was answered by the old files is the past.
        self.clock.moved_on();
        Ok(fresh)
    }

    /// The statement for what a caller gave: printing and checking one costs more than a kept answer.
    pub(crate) async fn bound(
        &self,
        aggregator: &Aggregator,
        report: &Report,
        params: &BTreeMap<String, String>,
        clock: resolve::Clock,
    ) -> Result<Arc<Bound>, ReportError> {
        let asked = (report.digest.clone(), params.clone(), clock);
        if let Some(held) = self.bindings.get(&asked).await {
            return Ok(held);
        }
        let fresh = Arc::new(bound(aggregator, report, &resolve::for_caller(report, params, clock)?)?);
        self.bindings.insert(asked, Arc::clone(&fresh)).await;
        Ok(fresh)
    }

    /// The rows of a bound report on a snapshot, if they are kept.
    pub(crate) async fn held(&self, report: &Report, bound: &Bound, snapshot: i64) -> Option<Arc<Computed>> {
        let held = self.results.get(&Key::new(report, bound, snapshot)).await;
        metric::report_result(held.is_some());
        held
    }

    /// The rows of a bound report on a snapshot: kept, under way for somebody else, or computed now.
    pub(crate) async fn compute(
        &self,
        aggregator: &Aggregator,
        report: &Arc<Report>,
        bound: &Bound,
        snapshot: i64,
        bounds: Bounds,
    ) -> Result<Arc<Computed>, ReportError> {
        if let Some(held) = self.held(report, bound, snapshot).await {
            return Ok(held);
        }
        let mut inputs = Inputs::new();
        for dataset in &report.datasets {
            let measured = lake::scan::measured(aggregator, snapshot, dataset, &bound.days).await?;
            let key = match aggregator.dataset(dataset) {
                Some((_, declared)) => declared.key.clone(),
                None => vec![lake::calendar::KEY.to_owned()],
            };
            let input = Input { schema: Arc::clone(&self.schemas[dataset]), key, measured };
            inputs.insert(dataset.clone(), input);
        }
        let statement = Arc::clone(&bound.statement);
        let work = bounded(Arc::clone(&self.permits), Arc::clone(report), statement, inputs, bounds);
        if bounds.kept {
            return self.results.get_or(Key::new(report, bound, snapshot), work).await;
        }
        work.await.map(|frame| Arc::new(Computed::new(frame)))
    }
}

/// Executes when it is its turn, within the time limit.
async fn bounded(
    permits: Arc<Semaphore>,
    report: Arc<Report>,
    statement: Arc<Statement>,
    inputs: Inputs,
    bounds: Bounds,
) -> Result<DataFrame, ReportError> {
    let asked = Instant::now();
    let waited = tokio::time::timeout(bounds.patience, permits.acquire_owned()).await;
    metric::report_turn(asked.elapsed());
    let permit = waited.map_err(|_| ReportError::Busy)?.map_err(|_| ReportError::Stopped)?;
    let (began, name) = (Instant::now(), report.name.clone());
    let work = deep(move || {
        // Held until the work ends, even when nobody waits for it any more: the cores are busy.
        let _held = permit;
        execute(&report, &statement, inputs, bounds.rows)
    });
    let outcome = match tokio::time::timeout(bounds.time, work).await {
        Ok(done) => done.unwrap_or(Err(ReportError::Stopped)),
        Err(_) => Err(ReportError::TimedOut { report: name.clone(), seconds: bounds.time.as_secs() }),
    };
    metric::report(&name, began.elapsed(), outcome.as_ref().ok().map(DataFrame::height));
    outcome
}

async fn listed(own: Option<PathBuf>) -> Listing {
    let Some(own) = own else { return Listing::new() };
    tokio::task::spawn_blocking(move || listing(&own)).await.unwrap_or_default()
}

async fn read(own: Option<PathBuf>, schemas: Schemas) -> Result<Arc<Catalogue>, ReportError> {
    let catalogue = deep(move || Catalogue::load(own.as_deref(), &schemas)).await;
    let catalogue = catalogue.map_err(|_| ReportError::Stopped)?;
    catalogue.reports().for_each(|report| metric::begin_report(&report.name));
    for diagnostic in catalogue.broken().values().flatten() {
        tracing::warn!(%diagnostic, "a report or view is disabled: {diagnostic}");
    }
    Ok(Arc::new(catalogue))
}

/// A report bound to resolved parameters.
pub(crate) fn bound(aggregator: &Aggregator, report: &Report, resolved: &Resolved) -> Result<Bound, ReportError> {
    Ok(Bound {
        parameters: resolved.parameters.iter().map(|(name, value)| (name.clone(), value.to_json())).collect(),
        statement: Arc::new(statement(report, resolved)?),
        sources: crate::report::sources_of(aggregator, report),
        days: resolved.days.clone(),
    })
}

/// A report's statement with its parameters bound, as a tree and as the text that provably means it.
#[derive(Debug)]
pub(crate) struct Statement {
    query: Query,
    pub(crate) text: Arc<str>,
}

/// The bound statement, after the second look that design demands: what will be executed is checked again, not what
/// was read from the file.
pub(crate) fn statement(report: &Report, resolved: &Resolved) -> Result<Statement, ParameterError> {
    let refused = |detail: String| ParameterError::Bad { name: culprit(resolved), detail };
    let (query, text) = bind(&report.query, &resolved.bindings)
        .map_err(|_| refused("holds a combination of quotes and backslashes that cannot be bound safely".to_owned()))?;
    let references = check(&query, &report.datasets).map_err(|fault| refused(fault.message))?;
    match references.placeholders.first() {
        Some(name) => Err(ParameterError::Bad { name: name.clone(), detail: "has no value".to_owned() }),
        None => Ok(Statement { query, text: text.into() }),
    }
}

/// The parameter that most likely made a statement unprintable: the text with the backslash.
fn culprit(resolved: &Resolved) -> String {
    let suspicious = |value: &serde_json::Value| value.to_string().contains('\\');
    let found = resolved.parameters.iter().find(|(_, value)| suspicious(&value.to_json()));
    found.map_or_else(|| "parameters".to_owned(), |(name, _)| name.clone())
}

/// Runs a statement over its datasets; blocks. A result of more than `rows` rows is refused.
pub(crate) fn execute(
    report: &Report,
    statement: &Statement,
    inputs: Inputs,
    rows: usize,
) -> Result<DataFrame, ReportError> {
    let engine = |source| ReportError::Engine { report: report.name.clone(), source: Arc::new(source) };
    input::prove(report, &statement.query, &inputs)?;
    let tables = inputs.iter().map(|(name, input)| (name, input.measured.frame.clone(), &*input.schema));
    // What was sound over empty tables is sound over these.
    let (plan, _) =
        plan(&statement.query, tables).map_err(|fault| engine(PolarsError::ComputeError(fault.message.into())))?;
    let limit = u32::try_from(rows).unwrap_or(u32::MAX - 1);
    let plan = plan.limit(limit + 1);
    let with = match report.engine {
        header::Engine::Streaming => Polars::Streaming,
        header::Engine::InMemory => Polars::InMemory,
    };
    let frame = plan.collect_with_engine(with).map_err(engine)?.unwrap_single();
    if frame.height() > rows {
        return Err(ReportError::TooManyRows { report: report.name.clone(), limit: rows });
    }
    shape(&frame, report)
}
