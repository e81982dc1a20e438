//! The catalogue as it is now, and its statements made ready for what a caller gave.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::NaiveDate;
use lake::TableDefinition;
use moka::future::Cache;
use polars::error::set_warning_function;
use sqlparser::ast::Query;

use super::deep::deep;
use super::error::ReportError;
use crate::metric;
use crate::report::language::bind::bind;
use crate::report::language::catalogue::{Catalogue, Listing, Schemas, listing};
use crate::report::language::check::check;
use crate::report::language::compile::Report;
use crate::report::language::diagnostic::Fault;
use crate::report::language::given::Given;
use crate::report::language::resolve::{self, ParameterError, Resolved};
use crate::report::language::schema::output;
use crate::report::language::value::Value;

/// Statements that are kept ready, of a few kilobytes each.
const BINDINGS: u64 = 2_000;

/// The catalogue, and statements that were bound lately.
#[derive(Debug)]
pub(crate) struct Statements {
    own: Option<PathBuf>,
    schemas: Schemas,
    catalogue: RwLock<Arc<Catalogue>>,
    /// The user's files as they were before they were read.
    listed: Mutex<Listing>,
    bindings: Cache<BindingKey, Arc<Bound>>,
}

/// A statement with its parameters in place, ready to be executed on any snapshot.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The parameters, as the answer shows them.
    pub(crate) parameters: BTreeMap<String, serde_json::Value>,
    /// What will be executed, as the text that provably reads back as the tree that was bound and checked.
    pub(crate) statement: Arc<str>,
    /// The business days whose rows the figures depend on, apart and in order; empty: all.
    pub(crate) days: Vec<RangeInclusive<NaiveDate>>,
}

/// What a binding depends on: the report's digest, what the caller gave, and the days that relative ones mean.
type BindingKey = (String, Given, resolve::Clock);

/// The catalogue of the shipped reports and a folder's over tables, checked without a database: what an aggregator would
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

impl Statements {
    /// Reads the shipped catalogue and the user's folder.
    pub(crate) async fn load(own: Option<PathBuf>, schemas: Schemas) -> Result<Self, ReportError> {
        log_warnings();
        let listed = listed(own.clone()).await;
        let catalogue = read(own.clone(), schemas.clone()).await?;
        Ok(Self {
            own,
            schemas,
            catalogue: RwLock::new(catalogue),
            listed: Mutex::new(listed),
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

    /// Whether the user's folder had files and is gone, or as empty as the place of a disk that is not mounted.
    pub(crate) async fn has_lost_files(&self) -> bool {
        let had_files = !self.listed.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        let Some(own) = self.own.clone().filter(|_| had_files) else { return false };
        let gone = move || ["reports", "views"].iter().all(|kind| !own.join(kind).is_dir());
        tokio::task::spawn_blocking(gone).await.unwrap_or_default()
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
        report: &Arc<Report>,
        params: &Given,
        clock: resolve::Clock,
    ) -> Result<Arc<Bound>, ReportError> {
        let key = (report.digest.clone(), params.clone(), clock);
        if let Some(kept) = self.bindings.get(&key).await {
            return Ok(kept);
        }
        let fresh = Arc::new(self.bind(report, resolve::for_caller(report, params, clock)?).await?);
        self.bindings.insert(key, Arc::clone(&fresh)).await;
        Ok(fresh)
    }

    /// A report bound to resolved parameters.
    pub(crate) async fn bind(&self, report: &Arc<Report>, resolved: Resolved) -> Result<Bound, ReportError> {
        let parameters = resolved.parameters.iter().map(|(name, value)| (name.clone(), value.to_json())).collect();
        let days = resolved.days.clone();
        let statement = if has_new_value(report, &resolved) {
            let (report, schemas) = (Arc::clone(report), self.schemas.clone());
            deep(move || statement(&report, &resolved, &schemas)).await.map_err(|_| ReportError::Stopped)??
        } else {
            statement(report, &resolved, &self.schemas)?
        };
        Ok(Bound { parameters, statement: statement.into(), days })
    }
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

/// The bound statement, after the second look that design demands: what will be executed is checked again, not what was read
/// from the file, and planned again where a value is new. That takes a deep stack.
pub(crate) fn statement(report: &Report, resolved: &Resolved, schemas: &Schemas) -> Result<String, ParameterError> {
    let refused = |detail: String| ParameterError::Bad { name: culprit(resolved), detail };
    let (query, text) = bind(&report.query, &resolved.bindings)
        .map_err(|_| refused("holds a combination of quotes and backslashes that cannot be bound safely".to_owned()))?;
    let references = check(&query, &report.datasets).map_err(|fault| refused(fault.message))?;
    if let Some(name) = references.placeholders.first() {
        return Err(ParameterError::Bad { name: name.clone(), detail: "has no value".to_owned() });
    }
    if has_new_value(report, resolved) {
        planned(&query, schemas).map_err(|fault| misfit(report, resolved, schemas, &fault))?;
    }
    Ok(text)
}

/// Whether a value is another than the one with which the statement was planned when it was read. Days and flags are all
/// alike, and a list without values leaves its condition out.
fn has_new_value(report: &Report, resolved: &Resolved) -> bool {
    resolved.bindings.iter().any(|(name, value)| match value {
        Value::Date(_) | Value::Bool(_) => false,
        Value::List(items) if items.is_empty() => false,
        other => report.samples.get(name) != Some(other),
    })
}

fn planned(query: &Query, schemas: &Schemas) -> Result<(), Fault> {
    output(query, schemas, &Schemas::new()).map(drop)
}

/// What is wrong with the values of a statement that is sound with others: the parameter is the one with whose sound value
/// it is.
fn misfit(report: &Report, resolved: &Resolved, schemas: &Schemas, fault: &Fault) -> ParameterError {
    let is_sound_with = |name: &&String| {
        let mut bindings = resolved.bindings.clone();
        bindings.extend(report.samples.get(*name).map(|sound| ((*name).clone(), sound.clone())));
        bind(&report.query, &bindings).is_ok_and(|(query, _)| planned(&query, schemas).is_ok())
    };
    let name = resolved.parameters.keys().find(is_sound_with);
    ParameterError::Bad {
        name: name.map_or_else(|| "parameters".to_owned(), Clone::clone),
        detail: format!("has a value that the statement cannot take: {}", fault.message),
    }
}

/// The parameter that most likely made a statement unprintable: the text with the backslash.
fn culprit(resolved: &Resolved) -> String {
    let suspicious = |value: &serde_json::Value| value.to_string().contains('\\');
    let found = resolved.parameters.iter().find(|(_, value)| suspicious(&value.to_json()));
    found.map_or_else(|| "parameters".to_owned(), |(name, _)| name.clone())
}
