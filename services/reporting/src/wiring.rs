//! What is opened before anything is answered: database, lake, catalogue, jobs, spool.

use std::{ops::Deref, sync::Arc, time::Duration};

use aggregator::{
    Aggregator, Settings,
    report::{Workers, own_program},
};
use anyhow::Context as _;
use jobs::{
    context::Context,
    declared,
    engine::{Runner, RunnerSettings},
    webhook::Webhook,
};
use kit::db;
use sqlx::{PgPool, migrate::Migrator};
use tokio::sync::Semaphore;

use crate::{
    Config,
    answer::{Answers, Spool},
    console::Console,
    http::{in_flight, json, pace::Downloads, response_cache::ResponseCache},
    runs::{self, ReportRun},
};

/// Everything in `reporting_db`.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/reporting");

/// The jobs that run when no file says otherwise.
const SHIPPED_JOBS: &str = include_str!("../jobs.toml");

/// Connections for work without a statement timeout: polls, publishing, exports.
const WORK_POOL: u32 = 16;
/// How long a statement of work may stay without a byte of its answer.
const WORK_LIMIT: Duration = Duration::from_secs(600);
/// Connections for planning, claims and heartbeats, which never wait for work.
const PLAN_POOL: u32 = 6;
/// The same for a statement of theirs: well below a lease.
const PLAN_LIMIT: Duration = Duration::from_secs(5);

/// What every request and command works with. Cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Opened>);

impl Deref for State {
    type Target = Opened;

    fn deref(&self) -> &Opened {
        &self.0
    }
}

/// Everything that was opened.
pub struct Opened {
    /// The configuration.
    pub config: Config,
    /// Connections of requests.
    pub pool: PgPool,
    /// The lake, the reports and what is published.
    pub aggregator: Arc<Aggregator>,
    /// The one path by which a job runs.
    pub runner: Runner,
    /// What answers are made with.
    pub answers: Answers,
    /// JSON responses of the moment.
    pub responses: ResponseCache,
    /// What is free of the bound on rows in flight, in kibibytes.
    pub in_flight: Arc<Semaphore>,
    /// The bound on large answers that are on their way together.
    pub downloads: Downloads,
    /// Rights to encode an answer while its client reads it.
    pub coders: Arc<Semaphore>,
    /// Sessions and sign-in of the console.
    pub console: Console,
}

/// Apply the migrations that have not run yet.
///
/// # Errors
/// The database is unavailable or refuses.
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
    let sessions = jobs::engine::sessions_of(&config.replica);
    let work = db::side_pool(&config.service, &sessions, WORK_POOL, WORK_LIMIT)?;
    let plan = db::side_pool(&config.service, "reporting plan", PLAN_POOL, PLAN_LIMIT)?;
    let settings = Settings {
        gateway_url: config.gateway_url.clone(),
        gateway_key: config.gateway_key.expose().to_owned(),
        lake_dir: config.lake_dir.clone(),
        days: config.days(),
        currency: config.currency,
        sources_dir: config.sources_dir.clone(),
        catalogue_dir: config.catalogue_dir.clone(),
        clock_tolerance: config.clock_tolerance,
    };
    let program =
        own_program().context("the program does not find itself, and could start no process that computes")?;
    let workers = Workers { program, memory: config.compute_memory.get() };
    let aggregator = Aggregator::with_workers(work.clone(), settings, workers).await?;
    let exports = &config.exports_dir;
    let is_used = jobs::export_pack::has_files(&pool).await?;
    if !base::mark(exports, is_used)
        .with_context(|| format!("the exports folder {} cannot be made", exports.display()))?
    {
        tracing::error!(folder = %exports.display(), "files of the exports folder are known, but it is empty; none is written");
    }
    let spool = Spool::open(&config.spool_dir, config.spool_bytes)
        .with_context(|| format!("the spool folder {} cannot be used", config.spool_dir.display()))?;
    let webhook = Webhook::new(config.webhook_secret.as_ref().map(|secret| secret.expose()))?;
    let (exports_dir, spool_dir) = (config.exports_dir.clone(), config.spool_dir.clone());
    let mut context = Context::new(Arc::clone(&aggregator), exports_dir, spool_dir, webhook);
    context.alert_url.clone_from(&config.alert_url);
    let mut registry = declared::registry(&jobs_text(&config)?, &context)?;
    let report_run = ReportRun { aggregator: Arc::clone(&aggregator), spool: spool.clone() };
    registry.add(runs::declaration(), report_run)?;
    let (slots, slot_timeout) = (config.compute_slots.get(), config.service.request_timeout);
    let answers = Answers::new(pool.clone(), Arc::clone(&aggregator), spool, slots, slot_timeout);
    let settings = RunnerSettings { lease: config.lease, replica: config.replica.clone() };
    Ok(State(Arc::new(Opened {
        runner: Runner::new(plan, work, registry, settings),
        downloads: Downloads::new(config.downloads.get(), config.send_timeout),
        console: Console::new(&config).context("the console's HTTP client cannot be made")?,
        config,
        pool,
        aggregator,
        answers,
        responses: ResponseCache::default(),
        in_flight: Arc::new(Semaphore::new(in_flight::MOST_KIB)),
        coders: Arc::new(Semaphore::new(json::CODERS)),
    })))
}

fn jobs_text(config: &Config) -> anyhow::Result<String> {
    match &config.jobs_file {
        None => Ok(SHIPPED_JOBS.to_owned()),
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("REPORTING_JOBS: {} cannot be read", path.display()))
        }
    }
}
