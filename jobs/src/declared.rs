//! The jobs file: which jobs there are, and when.
//!
//! ```toml
//! [[job]]
//! name = "nightly"            # also the kind, unless `kind` says otherwise
//! cron = "30 2 * * *"         # in the company's zone, unless `zone` says otherwise
//! catch_up = "all"
//! with = { grace = "15m" }    # what this kind of job takes
//! ```
//!
//! Every declared source has a job `poll-<source>` at the cadence of its own file; a table of that name changes it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use aggregator::Aggregator;
use chrono_tz::Tz;
use serde::{Deserialize, de::DeserializeOwned};
use toml::{Table, Value};

use crate::{
    backfill::Backfill,
    engine::{Cadence, CatchUp, Declaration, EngineError, Overlap, Registry, declaration::Overrides},
    export_pack::{ExportPack, ExportSettings},
    housekeeping::{Housekeeping, HousekeepingSettings},
    nightly::{Nightly, NightlySettings},
    poll::{self, Poll},
    restate::{Restate, RestateSettings},
};

/// What every shipped job works with.
#[derive(Clone)]
pub struct Context {
    /// The lake, the reports and what is published.
    pub aggregator: Arc<Aggregator>,
    /// Folder of the export packs.
    pub exports_dir: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    job: Vec<Table>,
}

/// Read a jobs file and make the registry of all jobs: those it declares, a poll per source, and those on request.
///
/// # Errors
/// [`EngineError::Declaration`] names the job and the key.
pub fn registry(text: &str, context: &Context) -> Result<Registry, EngineError> {
    let zone = context.aggregator.settings().time_zone;
    let file: File = toml::from_str(text).map_err(|error| wrong("jobs file", error.to_string()))?;
    let mut registry = Registry::default();
    let mut polls: Vec<(String, Table)> = Vec::new();
    for mut table in file.job {
        let name = take_text(&mut table, "name")?.ok_or_else(|| wrong("?", "a [[job]] needs a `name`".to_owned()))?;
        let kind = take_text(&mut table, "kind")?.unwrap_or_else(|| kind_of(&name).to_owned());
        match kind.as_str() {
            "poll" => polls.push((name, table)),
            "nightly" => {
                let settings: NightlySettings = take_with(&name, &mut table)?;
                registry.add(overridden(nightly(&name), table, zone)?, Nightly::new(context, settings))?;
            }
            "export-pack" => {
                let settings: ExportSettings = take_with(&name, &mut table)?;
                let job = ExportPack::new(context, settings);
                registry.add(overridden(on_request(&name), table, zone)?, job)?;
            }
            "restate" => {
                let settings: RestateSettings = take_with(&name, &mut table)?;
                registry.add(overridden(tidy(&name), table, zone)?, Restate::new(context, settings))?;
            }
            "housekeeping" => {
                let settings: HousekeepingSettings = take_with(&name, &mut table)?;
                registry.add(overridden(tidy(&name), table, zone)?, Housekeeping::new(context, settings))?;
            }
            "backfill" => {
                let job = Backfill { aggregator: Arc::clone(&context.aggregator) };
                registry.add(overridden(on_request(&name), table, zone)?, job)?;
            }
            other => {
                return Err(wrong(&name, format!("there is no kind `{other}`; there are {}", KINDS.join(", "))));
            }
        }
    }
    add_polls(&mut registry, polls, context, zone)?;
    Ok(registry)
}

const KINDS: [&str; 6] = ["poll", "nightly", "restate", "export-pack", "backfill", "housekeeping"];

fn kind_of(name: &str) -> &str {
    if name.starts_with("poll-") { "poll" } else { name }
}

fn add_polls(
    registry: &mut Registry,
    mut declared: Vec<(String, Table)>,
    context: &Context,
    zone: Tz,
) -> Result<(), EngineError> {
    for source in context.aggregator.sources() {
        let source = &source.declaration;
        let name = poll::job_name(&source.name);
        let table = match declared.iter().position(|(declared, _)| *declared == name) {
            Some(at) => declared.swap_remove(at).1,
            None => Table::new(),
        };
        let declaration = Declaration {
            // A poll that comes too late brings what the missed ones would have brought.
            catch_up: CatchUp::Latest,
            attempts: 1,
            timeout: Duration::from_secs(6 * 3_600),
            ..Declaration::new(&name, Cadence::Every(source.poll))
        };
        let job = Poll { aggregator: Arc::clone(&context.aggregator), source: source.name.clone() };
        registry.add(overridden(declaration, table, zone)?, job)?;
    }
    match declared.first() {
        Some((name, _)) => Err(wrong(name, "no source of that name is declared".to_owned())),
        None => Ok(()),
    }
}

fn nightly(name: &str) -> Declaration {
    Declaration {
        catch_up: CatchUp::All,
        window: Duration::from_secs(7 * 86_400),
        overlap: Overlap::Queue,
        timeout: Duration::from_secs(2 * 3_600),
        attempts: 5,
        ..Declaration::new(name, Cadence::OnRequest)
    }
}

/// What looks at the state that is: one run makes up for all that were missed.
fn tidy(name: &str) -> Declaration {
    Declaration { timeout: Duration::from_secs(2 * 3_600), ..Declaration::new(name, Cadence::OnRequest) }
}

fn on_request(name: &str) -> Declaration {
    Declaration {
        overlap: Overlap::Queue,
        timeout: Duration::from_secs(12 * 3_600),
        ..Declaration::new(name, Cadence::OnRequest)
    }
}

fn overridden(declaration: Declaration, table: Table, zone: Tz) -> Result<Declaration, EngineError> {
    let name = declaration.name.clone();
    let overrides: Overrides = read(&name, table)?;
    overrides.apply(declaration, zone)
}

fn take_text(table: &mut Table, key: &str) -> Result<Option<String>, EngineError> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong("?", format!("`{key}` must be text, not {}", other.type_str()))),
    }
}

fn take_with<T: DeserializeOwned>(name: &str, table: &mut Table) -> Result<T, EngineError> {
    match table.remove("with") {
        None => read(name, Table::new()),
        Some(Value::Table(with)) => read(name, with),
        Some(other) => Err(wrong(name, format!("`with` must be a table, not {}", other.type_str()))),
    }
}

fn read<T: DeserializeOwned>(name: &str, table: Table) -> Result<T, EngineError> {
    table.try_into().map_err(|error: toml::de::Error| wrong(name, error.message().to_owned()))
}

fn wrong(job: &str, reason: String) -> EngineError {
    EngineError::Declaration { job: job.to_owned(), reason }
}
