//! Polls the services through the gateway, keeps what it learned in a lake, and computes and
//! publishes reports over it.
//!
//! `source` asks, `stage` keeps what has come so far, `lake` holds committed snapshots with
//! `reporting_db` as their catalogue, and `poll` leads rows from the first to the last. Invariant:
//! nothing reads the lake but through one snapshot number, and nothing writes it but through
//! `lake::commit`, under one row lock.

mod error;
pub mod lake;
pub mod metric;
pub mod poll;
pub mod publish;
pub mod report;
mod settings;
pub mod source;
mod stage;

use std::sync::Arc;

use base::Compute;
use sqlx::PgPool;

pub use error::Error;
pub use settings::Settings;

use lake::Lake;
use source::{Dataset, Source};

/// The aggregator's context: pool, settings, declared sources and the lake's tables.
#[derive(Debug)]
pub struct Aggregator {
    db: PgPool,
    settings: Settings,
    sources: Vec<Arc<Source>>,
    lake: Lake,
    heads: source::Heads,
    polls: poll::Shared,
    compute: Compute,
    reports: report::Engine,
}

impl Aggregator {
    /// Load the declarations and bring the lake's tables in line with them.
    ///
    /// The database must have been migrated. Fails on a faulty declaration, on a column whose
    /// declared type differs from the lake's, and when the lake's folder cannot be made.
    pub async fn open(db: PgPool, settings: Settings) -> Result<Arc<Self>, Error> {
        report::start_polars().await;
        let sources = source::load(&settings)?;
        sources.iter().for_each(|source| metric::begin_source(&source.declaration.name));
        let compute = Compute::new();
        let lake = Lake::open(&db, &settings.lake_dir, &sources, &compute).await?;
        let reports = report::Engine::load(&settings, &lake).await?;
        publish::prepare(&db, &reports.catalogue()).await?;
        let (heads, polls) = (source::Heads::new(), poll::Shared::new());
        Ok(Arc::new(Self { db, settings, sources, lake, heads, polls, compute, reports }))
    }

    /// Pool of `reporting_db`.
    pub fn db(&self) -> &PgPool {
        &self.db
    }

    /// What this aggregator was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The declared sources, by name.
    pub fn sources(&self) -> &[Arc<Source>] {
        &self.sources
    }

    /// The declared source of that name.
    pub fn source(&self, name: &str) -> Result<&Arc<Source>, Error> {
        let found = self.sources.iter().find(|it| it.declaration.name == name);
        found.ok_or_else(|| Error::UnknownSource(name.to_owned()))
    }

    /// A declared dataset and the source it comes from; `None` for `calendar` and unknown names.
    pub fn dataset(&self, name: &str) -> Option<(&Arc<Source>, &Dataset)> {
        self.sources
            .iter()
            .find_map(|source| Some((source, source.declaration.datasets.iter().find(|it| it.name == name)?)))
    }

    /// The lake's tables and folder.
    pub fn lake(&self) -> &Lake {
        &self.lake
    }
}
