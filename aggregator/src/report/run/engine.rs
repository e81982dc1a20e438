//! Running a statement: frames of one snapshot, a bounded number at a time, within a time limit.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use chrono::NaiveDate;
use lake::TableDefinition;
use moka::future::Cache;
use polars::error::set_warning_function;
use polars::prelude::{DataFrame, Engine as Polars, PolarsError};
use sqlparser::ast::Query;
use tokio::sync::Semaphore;

use super::Reports;
use super::ask::{Bounds, Question};
use super::cache::{Computed, Key, Results};
use super::deep::deep;
use super::error::ReportError;
use super::input::{self, Input, Inputs};
use super::shape::shape;
use crate::metric;
use crate::report::language::bind::bind;
use crate::report::language::catalogue::{Catalogue, Listing, Schemas, listing};
use crate::report::language::check::check;
use crate::report::language::compile::Report;
use crate::report::language::given::Given;
use crate::report::language::header;
use crate::report::language::plan::plan;
use crate::report::language::resolve::{self, ParameterError, Resolved};

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
    bindings: Cache<BindingKey, Arc<Bound>>,
}

/// A statement with its parameters in place, ready to be executed on any snapshot.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The parameters, as the answer shows them.
    pub(crate) parameters: BTreeMap<String, serde_json::Value>,
    /// What will be executed.
    pub(crate) statement: Arc<Statement>,
    /// The business days whose rows the figures depend on, apart and in order; empty: all.
    days: Vec<RangeInclusive<NaiveDate>>,
}

/// What a binding depends on: the report's digest, what the caller gave, and the days that relative ones mean.
type BindingKey = (String, Given, resolve::Clock);

/// The catalogue of the shipped reports and a folder's over tables, checked without a database: what an engine would
/// load.
pub(crate) async fn check_files(
    tables: &[TableDefinition],
    catalogue: Option<PathBuf>,
) -> Result<Arc<Catalogue>, ReportError> {
    log_warnings();
    let schemas = tables.iter().map(|table| (table.name.clone(), Arc::new(table.schema()))).collect();
    read(catalogue, schemas).await
}

/// What polars has to say belongs into the log, not onto standard error in its own form.
fn log_warnings() {
    set_warning_function(|text, _| tracing::debug!(text, "polars warns: {text}"));
}

impl Engine {
    /// Reads the shipped catalogue and the user's folder.
    pub(crate) async fn load(own: Option<PathBuf>, schemas: Schemas) -> Result<Self, ReportError> {
        log_warnings();
        let listed = listed(own.clone()).await;
        let catalogue = read(own.clone(), schemas.clone()).await?;
        // Polars uses every core for one statement: more at once would only fight for memory.
        let permits = Arc::new(Semaphore::new(2));
        Ok(Self {
            own,
            schemas,
            catalogue: RwLock::new(catalogue),
            listed: Mutex::new(listed),
            permits,
            results: Results::new(),
            bindings: Cache::new(BINDINGS),
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
        Ok(fresh)
    }

    /// The statement for what a caller gave: printing and checking one costs more than a kept answer.
    pub(crate) async fn bound(
        &self,
        report: &Report,
        params: &Given,
        clock: resolve::Clock,
    ) -> Result<Arc<Bound>, ReportError> {
        let key = (report.digest.clone(), params.clone(), clock);
        if let Some(kept) = self.bindings.get(&key).await {
            return Ok(kept);
        }
        let fresh = Arc::new(bound(report, &resolve::for_caller(report, params, clock)?)?);
        self.bindings.insert(key, Arc::clone(&fresh)).await;
        Ok(fresh)
    }

    /// The rows of a bound report on a snapshot, if they are kept.
    pub(crate) async fn kept(&self, report: &Report, bound: &Bound, snapshot: i64) -> Option<Arc<Computed>> {
        let kept = self.results.get(&Key::new(report, bound, snapshot)).await;
        metric::report_result(kept.is_some());
        kept
    }
}

impl Reports {
    /// The rows that answer a question: kept, under way for somebody else, or computed now.
    pub(super) async fn rows(&self, question: &Question, bounds: Bounds) -> Result<Arc<Computed>, ReportError> {
        let Question { report, bound, snapshot, .. } = question;
        if let Some(kept) = self.engine.kept(report, bound, *snapshot).await {
            return Ok(kept);
        }
        let mut inputs = Inputs::new();
        for dataset in &report.datasets {
            let measured = self.lake.measured(*snapshot, dataset, &bound.days).await?;
            let key = match self.sources.dataset(dataset) {
                Some((_, declared)) => declared.key.clone(),
                None => vec![lake::calendar::KEY.to_owned()],
            };
            let input = Input { schema: Arc::clone(&self.engine.schemas[dataset]), key, measured };
            inputs.insert(dataset.clone(), input);
        }
        let statement = Arc::clone(&bound.statement);
        let work = bounded(Arc::clone(&self.engine.permits), Arc::clone(report), statement, inputs, bounds);
        if bounds.kept {
            return self.engine.results.get_or(Key::new(report, bound, *snapshot), work).await;
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
pub(crate) fn bound(report: &Report, resolved: &Resolved) -> Result<Bound, ReportError> {
    Ok(Bound {
        parameters: resolved.parameters.iter().map(|(name, value)| (name.clone(), value.to_json())).collect(),
        statement: Arc::new(statement(report, resolved)?),
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
