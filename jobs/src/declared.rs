//! The jobs file: which jobs there are, and when; and what concerns several of them.
//!
//! ```toml
//! [publish]
//! grace = "15m"               # how long after a day's end its sources must be complete
//!
//! [export]
//! formats = ["csv", "xlsx"]
//! folder = "/mnt/finance"     # a copy of every pack; `webhook` is notified of it
//!
//! [alerts]
//! url = "http://relay/alerts"
//! freshness = "1h"
//!
//! [[job]]
//! name = "nightly"            # also the kind, unless `kind` says otherwise
//! cron = "30 2 * * *"         # in the company's zone, unless `zone` says otherwise
//! catch_up = "all"
//! with = { deadline = "4h" }  # what this kind of job takes
//! ```
//!
//! Every declared source has a job `poll-<source>` at the cadence of its own file; a table of that name changes it.

use std::{collections::BTreeMap, time::Duration};

use base::Span;
use base::Tz;
use serde::{Deserialize, de::DeserializeOwned};
use toml::{Table, Value};

use crate::{
    backfill::Backfill,
    context::Context,
    deliver::Deliver,
    engine::{Cadence, CatchUp, Declaration, EngineError, Job, Overlap, Registry, declaration::Overrides},
    export_pack::{ExportPack, ExportSettings},
    housekeeping::Housekeeping,
    keep::Keep,
    nightly::Nightly,
    nothing::Nothing,
    poll::{self, Poll},
    restate::Restate,
    watch::{AlertSettings, Watch},
    webhook,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    publish: PublishSettings,
    #[serde(default)]
    export: ExportSettings,
    #[serde(default)]
    alerts: AlertSettings,
    #[serde(default)]
    job: Vec<Table>,
}

/// What every publishing job keeps to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PublishSettings {
    /// How long after the end of a day its sources must be complete: late writers get this much.
    grace: Span,
}

impl Default for PublishSettings {
    fn default() -> Self {
        Self { grace: Span::minutes(15) }
    }
}

/// Read a jobs file and make the registry of all jobs: those it declares, a poll per source, and those on request.
///
/// # Errors
/// [`EngineError::Declaration`] names the job and the key.
pub fn registry(text: &str, context: &Context) -> Result<Registry, EngineError> {
    let mut file: File = toml::from_str(text).map_err(|error| wrong("jobs file", error.to_string()))?;
    file.alerts.url = file.alerts.url.or_else(|| context.alert_url.clone());
    let addresses = [("export.webhook", &file.export.webhook), ("alerts.url", &file.alerts.url)];
    for (key, url) in addresses.into_iter().filter_map(|(key, url)| Some((key, url.as_ref()?))) {
        webhook::check(url).map_err(|reason| wrong("jobs file", format!("`{key}`: {reason}")))?;
    }
    let context = Context { grace: file.publish.grace.0, export: file.export, ..context.clone() };
    let mut reader = Reader { zone: context.aggregator.settings().days.zone, registry: Registry::default() };
    let mut polls: Vec<(String, Table)> = Vec::new();
    let mut watches: Vec<(String, Table)> = Vec::new();
    for mut table in file.job {
        let name = take_text(&mut table, "name")?.ok_or_else(|| wrong("?", "a [[job]] needs a `name`".to_owned()))?;
        let kind = take_text(&mut table, "kind")?.unwrap_or_else(|| kind_of(&name).to_owned());
        match kind.as_str() {
            "poll" => polls.push((name, table)),
            "watch" => watches.push((name, table)),
            "nightly" => reader.add(nightly(&name), table, |settings| Nightly::new(&context, settings))?,
            "export-pack" => reader.add(on_request(&name), table, |none| ExportPack::new(&context, none))?,
            "deliver" => reader.add(tidy(&name), table, |none| Deliver::new(&context, none))?,
            "restate" => reader.add(tidy(&name), table, |settings| Restate::new(&context, settings))?,
            "housekeeping" => reader.add(tidy(&name), table, |settings| Housekeeping::new(&context, settings))?,
            "keep" => reader.add(tidy(&name), table, |none| Keep::new(&context, none))?,
            "backfill" => reader.add(on_request(&name), table, |none| Backfill::new(&context, none))?,
            other => {
                return Err(wrong(&name, format!("there is no kind `{other}`; there are {}", KINDS.join(", "))));
            }
        }
    }
    reader.add_polls(polls, &context)?;
    // Last: it notifies of failures of all the others, some of them to addresses of their own.
    for (name, table) in watches {
        let urls = reader.alert_urls();
        reader.add(tidy(&name), table, |none| Watch::new(&context, file.alerts.clone(), urls, none))?;
    }
    Ok(reader.registry)
}

/// The registry under construction.
struct Reader {
    zone: Tz,
    registry: Registry,
}

impl Reader {
    /// Add a job of a kind, made from what its table has under `with`.
    fn add<J: Job, S: DeserializeOwned>(
        &mut self,
        declaration: Declaration,
        mut table: Table,
        make: impl FnOnce(S) -> J,
    ) -> Result<(), EngineError> {
        let name = declaration.name.clone();
        let settings = match table.remove("with") {
            None => read(&name, Table::new())?,
            Some(Value::Table(with)) => read(&name, with)?,
            Some(other) => return Err(wrong(&name, format!("`with` must be a table, not {}", other.type_str()))),
        };
        let overrides: Overrides = read(&name, table)?;
        self.registry.add(overrides.apply(declaration, self.zone)?, make(settings))
    }

    fn add_polls(&mut self, mut declared: Vec<(String, Table)>, context: &Context) -> Result<(), EngineError> {
        for source in context.aggregator.sources().iter() {
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
            self.add(declaration, table, |none: Nothing| Poll::new(&context.aggregator, &source.name, none))?;
        }
        match declared.first() {
            Some((name, _)) => Err(wrong(name, "no source of that name is declared".to_owned())),
            None => Ok(()),
        }
    }

    /// Where the failures of single jobs are sent.
    fn alert_urls(&self) -> BTreeMap<String, String> {
        let own = self.registry.iter().map(|entry| &entry.declaration);
        own.filter_map(|declaration| Some((declaration.name.clone(), declaration.alert.clone()?))).collect()
    }
}

const KINDS: [&str; 9] =
    ["poll", "nightly", "restate", "export-pack", "deliver", "backfill", "housekeeping", "keep", "watch"];

fn kind_of(name: &str) -> &str {
    if name.starts_with("poll-") { "poll" } else { name }
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

fn take_text(table: &mut Table, key: &str) -> Result<Option<String>, EngineError> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong("?", format!("`{key}` must be text, not {}", other.type_str()))),
    }
}

fn read<T: DeserializeOwned>(name: &str, table: Table) -> Result<T, EngineError> {
    table.try_into().map_err(|error: toml::de::Error| wrong(name, error.message().to_owned()))
}

fn wrong(job: &str, reason: String) -> EngineError {
    EngineError::Declaration { job: job.to_owned(), reason }
}
