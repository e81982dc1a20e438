//! Polls the services through the gateway, keeps what it learned in a lake, and computes and
//! publishes reports over it.
//!
//! `source` asks, the crate `lake` holds committed snapshots with `reporting_db` as their catalogue, `poll` leads rows
//! from the one into the other, `report` computes on a snapshot, and `publish` keeps what was computed for a day. Each
//! knows those before it and none behind it; this file opens and holds them.

mod error;
pub mod metric;
pub mod poll;
pub mod publish;
pub mod report;
mod settings;
pub mod source;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::TimeDelta;
use lake::{Expired, Lake, LakeError};
use metrics::gauge;
use sqlx::PgPool;

pub use error::Error;
pub use settings::Settings;

use poll::Poller;
use publish::Publisher;
use report::{Catalogue, Engine, Here, Local, Reports, Workers};
use source::{SourceStatus, Sources};

/// The parts of the aggregator, opened on one database.
#[derive(Debug)]
pub struct Aggregator {
    db: PgPool,
    settings: Settings,
    sources: Arc<Sources>,
    lake: Arc<Lake>,
    poller: Arc<Poller>,
    reports: Arc<Reports>,
    publisher: Publisher,
}

/// The catalogue of the shipped reports and a folder's, over the shipped sources and a folder's, checked without a
/// database: what an aggregator on these folders would load.
///
/// # Errors
/// A folder that cannot be read, or a source's declaration that is wrong. What is wrong with a report or a view is in
/// the catalogue.
pub async fn check_files(sources: Option<&Path>, catalogue: Option<PathBuf>) -> Result<Arc<Catalogue>, Error> {
    let mut tables = source::tables(&source::declarations(sources)?);
    tables.push(lake::calendar::definition());
    Ok(report::check_files(&tables, catalogue).await?)
}

impl Aggregator {
    /// Load the declarations and bring the lake's tables in line with them. Reports are computed by this process, which
    /// cannot end one that runs away: see [`Self::with_workers`].
    ///
    /// The database must have been migrated.
    ///
    /// # Errors
    /// On a faulty declaration, on a column whose declared type differs from the lake's, when the lake's folder cannot
    /// be made, and when the database fails.
    pub async fn open(db: PgPool, settings: Settings) -> Result<Arc<Self>, Error> {
        Self::with_engine(db, settings, Box::new(Here::new())).await
    }

    /// As [`Self::open`], with reports computed by processes of their own.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn with_workers(db: PgPool, settings: Settings, workers: Workers) -> Result<Arc<Self>, Error> {
        Self::with_engine(db, settings, Box::new(Local::new(workers))).await
    }

    async fn with_engine(db: PgPool, settings: Settings, engine: Box<dyn Engine>) -> Result<Arc<Self>, Error> {
        report::start_polars().await;
        let sources = Arc::new(Sources::load(db.clone(), &settings)?);
        sources.iter().for_each(|source| metric::begin_source(&source.declaration.name));
        let lake = Lake::open(db.clone(), &settings.lake_dir, &sources.tables(), settings.days).await?;
        let poller = Arc::new(Poller::new(Arc::clone(&sources), Arc::clone(&lake)));
        let reports = Reports::open(&sources, &lake, poller.commits(), &settings, engine).await?;
        publish::prepare(&db, &reports.catalogue(), settings.currency).await?;
        let publisher = Publisher::new(db.clone(), Arc::clone(&reports), settings.currency);
        Ok(Arc::new(Self { db, settings, sources, lake, poller, reports, publisher }))
    }

    /// Pool of `reporting_db`.
    pub fn db(&self) -> &PgPool {
        &self.db
    }

    /// The settings of this aggregator.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The declared sources.
    pub fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    /// The lake.
    pub fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }

    /// What polls the sources into the lake.
    pub fn poller(&self) -> &Arc<Poller> {
        &self.poller
    }

    /// The catalogue of reports, and what computes them.
    pub fn reports(&self) -> &Arc<Reports> {
        &self.reports
    }

    /// What makes revisions of reports.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// Reads the catalogue's files again, and makes tables and views for what is published newly; runs that have begun
    /// end with the old one.
    ///
    /// # Errors
    /// When the database fails; the reports work all the same, and the tables of new ones are made when they are
    /// published.
    pub async fn reload(&self) -> Result<Arc<Catalogue>, Error> {
        let catalogue = self.reports.reload().await?;
        publish::prepare(&self.db, &catalogue, self.settings.currency).await?;
        Ok(catalogue)
    }

    /// [`Self::reload`], if the files of the user's folder are others than they were; the catalogue, if so.
    ///
    /// # Errors
    /// As [`Self::reload`].
    pub async fn reload_if_changed(&self) -> Result<Option<Arc<Catalogue>>, Error> {
        if self.reports.has_changed().await { self.reload().await.map(Some) } else { Ok(None) }
    }

    /// Whether the user's folder, of which files were read before, is gone or holds nothing at all; what was read stays.
    pub async fn has_lost_catalogue(&self) -> bool {
        self.reports.has_lost_catalogue().await
    }

    /// Let go of snapshots older than `keep`, the newest one excepted, of the files that only they need, and of what is
    /// known of polls from before them.
    ///
    /// # Errors
    /// As [`Lake::expire`].
    pub async fn expire(&self, keep: TimeDelta) -> Result<Expired, LakeError> {
        let expired = self.lake.expire(keep).await?;
        self.poller.forget(keep).await?;
        Ok(expired)
    }

    /// Set the gauges of caches and sources; call it before metrics are read.
    pub fn observe(&self, sources: &[SourceStatus]) {
        gauge!(metric::CACHE_BYTES, "cache" => metric::HEADS).set(self.sources.head_bytes() as f64);
        sources.iter().for_each(SourceStatus::observe);
    }
}
