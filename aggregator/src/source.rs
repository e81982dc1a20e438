//! Declared sources: what is asked of whom, and how each source is doing.

pub mod breaker;
pub mod client;
pub mod declare;
mod error;
mod heads;
pub(crate) mod offer;
pub(crate) mod page;
mod status;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use lake::{Damage, TableDefinition};
use sqlx::PgPool;

pub use declare::{BUSINESS_HOUR, Dataset, Declaration, DeclarationError};
pub use error::SourceError;
pub use heads::HeadSeen;
pub use status::SourceStatus;

use crate::settings::Settings;
use client::Client;
use heads::Heads;

/// The declarations that ship with the crate.
static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/sources");

/// A declared source together with the client that asks it.
#[derive(Debug)]
pub struct Source {
    /// As its file declares it.
    pub declaration: Declaration,
    pub(crate) client: Client,
}

/// The declared sources.
#[derive(Debug)]
pub struct Sources {
    db: PgPool,
    /// By name.
    all: Vec<Arc<Source>>,
    heads: Heads,
}

impl Sources {
    /// Load the shipped declarations and those of the optional folder.
    pub(crate) fn load(db: PgPool, settings: &Settings) -> Result<Self, SourceError> {
        let opened = |mut declaration: Declaration| {
            let days = declaration.datasets.iter_mut().filter_map(|it| it.business_day.as_mut());
            days.for_each(|day| day.start = settings.days.start);
            let client = Client::new(settings, &declaration);
            Arc::new(Source { declaration, client })
        };
        let all = declarations(settings.sources_dir.as_deref())?.into_iter().map(opened).collect();
        Ok(Self { db, all, heads: Heads::new() })
    }

    /// Every declared source, by name.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Source>> {
        self.all.iter()
    }

    /// The declared source of that name.
    ///
    /// # Errors
    /// [`SourceError::Unknown`].
    pub fn get(&self, name: &str) -> Result<&Arc<Source>, SourceError> {
        let found = self.all.iter().find(|it| it.declaration.name == name);
        found.ok_or_else(|| SourceError::Unknown(name.to_owned()))
    }

    /// A declared dataset and the source it comes from; `None` for `calendar` and unknown names.
    #[must_use]
    pub fn dataset(&self, name: &str) -> Option<(&Arc<Source>, &Dataset)> {
        self.all
            .iter()
            .find_map(|source| Some((source, source.declaration.datasets.iter().find(|it| it.name == name)?)))
    }

    /// What brings a damaged file's rows back, for people.
    #[must_use]
    pub fn cure(&self, damage: &Damage) -> String {
        match self.dataset(&damage.dataset) {
            Some((source, _)) => format!(
                "put it back from a backup, or have its rows read again: `reporting poll {} --replay`",
                source.declaration.name
            ),
            None => "put it back from a backup".to_owned(),
        }
    }

    /// The lake's tables of all datasets.
    pub(crate) fn tables(&self) -> Vec<TableDefinition> {
        tables(self.all.iter().map(|source| &source.declaration))
    }
}

/// The lake's tables of the datasets of some sources.
pub(crate) fn tables<'a>(declared: impl IntoIterator<Item = &'a Declaration>) -> Vec<TableDefinition> {
    declared.into_iter().flat_map(|source| &source.datasets).map(Dataset::table).collect()
}

/// The shipped declarations and those of a folder, by name.
pub(crate) fn declarations(folder: Option<&Path>) -> Result<Vec<Declaration>, SourceError> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for file in SHIPPED.files() {
        let name = file.path().to_string_lossy().into_owned();
        files.insert(name, file.contents_utf8().unwrap_or_default().to_owned());
    }
    if let Some(folder) = folder {
        read_folder(folder, &mut files)?;
    }
    let mut sources: Vec<Declaration> = Vec::with_capacity(files.len());
    for (file, text) in files {
        let declaration = declare::parse(&file, &text)?;
        refuse_doubles(&file, &declaration, &sources)?;
        sources.push(declaration);
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}

fn read_folder(folder: &Path, files: &mut BTreeMap<String, String>) -> Result<(), SourceError> {
    for entry in std::fs::read_dir(folder).map_err(SourceError::at(folder))? {
        let path = entry.map_err(SourceError::at(folder))?.path();
        if path.extension().is_some_and(|it| it == "toml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(name, std::fs::read_to_string(&path).map_err(SourceError::at(&path))?);
        }
    }
    Ok(())
}

/// A dataset is one table of the lake, so its name belongs to one source.
fn refuse_doubles(file: &str, new: &Declaration, others: &[Declaration]) -> Result<(), DeclarationError> {
    let fault =
        |key: &str, reason: String| DeclarationError { file: file.to_owned(), line: 1, key: key.to_owned(), reason };
    for other in others {
        if other.name == new.name {
            return Err(fault("source.name", format!("`{}` is declared in another file too", new.name)));
        }
        if let Some(double) = new.datasets.iter().find(|it| other.datasets.iter().any(|that| that.name == it.name)) {
            let reason = format!("`{}` is already a dataset of source `{}`", double.name, other.name);
            return Err(fault("dataset.name", reason));
        }
    }
    match new.datasets.iter().find(|it| it.name == lake::calendar::NAME) {
        Some(_) => Err(fault("dataset.name", "`calendar` is built in".to_owned())),
        None => Ok(()),
    }
}
