//! What is opened before anything is answered: database, lake, catalogue, jobs, spool.

use std::sync::Arc;

use aggregator::{Aggregator, Settings};
use anyhow::Context as _;
use jobs::{
    declared,
    engine::{Runner, RunnerSettings},
};
use kit::db;
use moka::future::Cache;
use serde_json::value::RawValue;
use sqlx::{PgPool, migrate::Migrator};
use tokio::sync::Semaphore;

use crate::{Config, download::Spool};

/// Everything in `reporting_db`.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/reporting");

/// The jobs that run when no file says otherwise.
const SHIPPED_JOBS: &str = include_str!("../jobs.toml");

/// Connections for work without a statement timeout: polls, publishing, leases.
const WORK_POOL: u32 = 16;

/// Bytes of encoded rows that are kept.
const ROWS_CACHE: u64 = 64 * 1024 * 1024;

/// What every request and command works with. Cheap to clone.
#[derive(Clone)]
pub struct State {
    /// The configuration.
    pub config: Arc<Config>,
    /// Connections of requests.
    pub pool: PgPool,
    /// The lake, the reports and what is published.
    pub aggregator: Arc<Aggregator>,
    /// The one path by which a job runs.
    pub runner: Runner,
    /// Where downloads are built.
    pub spool: Spool,
    /// JSON rows of recent answers, by format and content.
    pub rows: Cache<String, Arc<RawValue>>,
    /// Slots for computing and encoding on demand.
    pub slots: Arc<Semaphore>,
}

/// Apply the migrations that have not run yet.
///
/// # Errors
/// The database is away or refuses.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    Ok(db::migrate(config.service.migration_url(), "reporting", &MIGRATOR).await?)
}

/// Migrate, then open everything.
///
/// # Errors
/// Names what could not be opened.
pub async fn open(config: Config) -> anyhow::Result<State> {
    // What is counted before the recorder is there is lost.
    kit::metric::recorder();
    migrate(&config).await?;
    let pool = db::connect(&config.service, "reporting").await?;
    let work = db::side_pool(&config.service, "reporting work", WORK_POOL)?;
    let settings = Settings {
        gateway_url: config.gateway_url.clone(),
        gateway_key: config.gateway_key.expose().to_owned(),
        lake_dir: config.lake_dir.clone(),
        time_zone: config.time_zone,
        currency: config.currency.code().to_owned(),
        sources_dir: config.sources_dir.clone(),
        catalogue_dir: config.catalogue_dir.clone(),
    };
    let aggregator = Aggregator::open(work.clone(), settings).await?;
    std::fs::create_dir_all(&config.exports_dir)
        .with_context(|| format!("the exports folder {} cannot be made", config.exports_dir.display()))?;
    let spool = Spool::open(&config.spool_dir, config.spool_bytes)
        .with_context(|| format!("the spool folder {} cannot be used", config.spool_dir.display()))?;
    let context = declared::Context { aggregator: Arc::clone(&aggregator), exports_dir: config.exports_dir.clone() };
    let registry = declared::registry(&jobs_text(&config)?, &context)?;
    let settings = RunnerSettings { lease: config.lease, replica: config.replica.clone() };
    Ok(State {
        runner: Runner::new(work, registry, settings),
        slots: Arc::new(Semaphore::new(config.compute_slots.get())),
        config: Arc::new(config),
        pool,
        aggregator,
        spool,
        rows: Cache::builder()
            .max_capacity(ROWS_CACHE)
            .weigher(|key: &String, rows: &Arc<RawValue>| {
                u32::try_from(key.len() + rows.get().len()).unwrap_or(u32::MAX)
            })
            .build(),
    })
}

fn jobs_text(config: &Config) -> anyhow::Result<String> {
    match &config.jobs_file {
        None => Ok(SHIPPED_JOBS.to_owned()),
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("REPORTING_JOBS: {} cannot be read", path.display()))
        }
    }
}
