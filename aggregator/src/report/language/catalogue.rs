//! The catalogue: every report and view, shipped or the user's own, compiled and checked at load.
//!
//! A faulty file disables itself alone and says why. A user's file of the same name takes the
//! place of a shipped one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use include_dir::{Dir, include_dir};
use polars::prelude::SchemaRef;

use super::compile::{Report, compile};
use super::diagnostic::{Diagnostic, Fault};
use super::keep::Kept;
use super::view::{View, Views};

static REPORTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/reports");
static VIEWS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/views");

/// The datasets' schemas, by name.
pub type Schemas = BTreeMap<String, SchemaRef>;

/// Every report that can be run, and what is wrong with the others.
#[derive(Debug, Default)]
pub struct Catalogue {
    reports: BTreeMap<String, Arc<Report>>,
    broken: BTreeMap<String, Vec<Diagnostic>>,
    views: Views,
}

/// A report or view file before it is compiled.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// What a diagnostic calls it.
    pub(crate) label: String,
    pub(crate) text: String,
    /// Whose it is, and whether it stands in for a shipped one.
    pub(crate) origin: Origin,
}

/// Where a report's file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Shipped,
    /// From the user's folder.
    Own,
    /// From the user's folder, in place of the shipped one of that name.
    OwnInsteadOfShipped,
}

impl Catalogue {
    /// Compiles the shipped files and those of the user's folder (`reports/*.sql`, `views/*.sql`).
    #[must_use]
    pub fn load(own: Option<&Path>, schemas: &Schemas) -> Self {
        let mut broken = BTreeMap::new();
        let views = sources("views", &VIEWS, own, &mut broken);
        let reports = sources("reports", &REPORTS, own, &mut broken);
        Self::compile(views, reports, broken, schemas)
    }

    pub(crate) fn compile(
        views: BTreeMap<String, Source>,
        reports: BTreeMap<String, Source>,
        mut broken: BTreeMap<String, Vec<Diagnostic>>,
        schemas: &Schemas,
    ) -> Self {
        let views = Views::compile(&views, schemas, &mut broken);
        let mut compiled = BTreeMap::new();
        for (name, source) in reports {
            match compile(&source, &views, schemas) {
                Ok(report) => {
                    compiled.insert(name, Arc::new(report));
                }
                Err(fault) => broken.entry(name).or_default().push(fault.in_file(&source.label)),
            }
        }
        Self { reports: compiled, broken, views }
    }

    /// The report of that name, if its file is sound.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Report>> {
        self.reports.get(name)
    }

    /// Every sound report, by name.
    pub fn reports(&self) -> impl Iterator<Item = &Arc<Report>> {
        self.reports.values()
    }

    /// What is wrong with the files that are not; by report, `views/…` for a view.
    #[must_use]
    pub const fn broken(&self) -> &BTreeMap<String, Vec<Diagnostic>> {
        &self.broken
    }

    /// Every sound view, by name.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        self.views.iter()
    }

    /// The views whose rows are kept.
    pub fn kept(&self) -> impl Iterator<Item = &Arc<Kept>> {
        self.views().filter_map(View::kept)
    }
}

/// The user's files as their directory lists them: enough to see that one was added, removed or changed.
pub(crate) type Listing = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// Lists the user's files; blocks.
pub(crate) fn listing(own: &Path) -> Listing {
    let entries = ["reports", "views"].into_iter().filter_map(|kind| std::fs::read_dir(own.join(kind)).ok());
    let files = entries.flatten().flatten().map(|entry| entry.path()).filter(|path| name_of(path).is_some());
    // A link is looked through: what it leads to is what is read.
    let mut listing: Listing = files
        .map(|path| match std::fs::metadata(&path) {
            Ok(about) => (path, about.len(), about.modified().ok()),
            Err(_) => (path, 0, None),
        })
        .collect();
    listing.sort();
    listing
}

/// The files of a kind: shipped ones, then the user's, of which the same name wins.
fn sources(
    kind: &str,
    shipped: &Dir<'_>,
    own: Option<&Path>,
    broken: &mut BTreeMap<String, Vec<Diagnostic>>,
) -> BTreeMap<String, Source> {
    let mut found = BTreeMap::new();
    for file in shipped.files() {
        let Some(name) = name_of(file.path()) else { continue };
        let label = format!("{kind}/{name}.sql");
        let text = file.contents_utf8().unwrap_or_default().to_owned();
        found.insert(name.clone(), Source { name, label, text, origin: Origin::Shipped });
    }
    let Some(folder) = own.map(|own| own.join(kind)).filter(|folder| folder.is_dir()) else {
        return found;
    };
    let files = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in files.collect::<BTreeSet<_>>() {
        let label = path.display().to_string();
        let Some(name) = name_of(&path) else { continue };
        let mut fault = |message: String| {
            let key = if kind == "views" { format!("views/{name}") } else { name.clone() };
            broken.entry(key).or_default().push(Fault::new(message).in_file(&label));
        };
        if !is_name(&name) {
            fault("a report or view is named in lower-case letters, digits and underscores".to_owned());
            continue;
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let origin = if found.contains_key(&name) { Origin::OwnInsteadOfShipped } else { Origin::Own };
                found.insert(name.clone(), Source { name, label, text, origin });
            }
            Err(error) => fault(format!("the file cannot be read: {error}")),
        }
    }
    found
}

/// The name in `reports/name.sql`; `None` for other files.
fn name_of(path: &Path) -> Option<String> {
    let sql = path.extension().is_some_and(|extension| extension == "sql");
    sql.then(|| path.file_stem().map(|stem| stem.to_string_lossy().into_owned())).flatten()
}

/// Names are parts of paths, of tables and of file names, so they are plain.
fn is_name(name: &str) -> bool {
    name.len() <= 48
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
