//! The retail service.
#![doc = include_str!("../README.md")]

mod config;
mod feed;
mod ids;
pub mod metric;
mod registers;
mod sales;
mod stores;

use anyhow::Context as _;
use axum::Router;
use chrono::TimeDelta;
use kit::feed::Feed;
use kit::import::{Imports, Rules};
use kit::serve::Api;
use kit::stock::Outbox;
use sqlx::PgPool;
use sqlx::migrate::Migrator;

pub use config::Config;
pub use feed::DATASETS;
pub use ids::{RegisterId, SaleId};
pub use sales::Sales;

/// The tables of `retail_db`.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/retail");

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub struct App {
    db: PgPool,
    imports: Imports,
    outbox: Outbox<Sales>,
    /// How far back a till that was offline may send its sales.
    offline: TimeDelta,
}

impl App {
    /// Migrates, connects, and makes the client of the gateway.
    ///
    /// # Errors
    /// The database cannot be reached or migrated, or the gateway's address is no URL.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let db = kit::db::open(&config.service, "retail", &MIGRATIONS).await?;
        let imports = Imports::new(db.clone(), Rules { decimals: config.currency.decimals() });
        let outbox = Outbox::open(db.clone(), &config.stock).context("RETAIL_GATEWAY_URL")?;
        Ok(Self { db, imports, outbox, offline: config.offline })
    }

    /// All routes of the service.
    pub fn router(&self, config: &Config, feed: &Feed) -> Router {
        Api::new("retail", "Stores, registers, sales, voids and returns.")
            .metrics(metric::describe)
            .routes(stores::router().with_state(self.clone()))
            .routes(registers::router().with_state(self.clone()))
            .routes(sales::router().with_state(self.clone()))
            .streams(stores::imports().with_state(self.clone()))
            .streams(sales::imports().with_state(self.clone()))
            .routes(self.imports.router())
            .feed(feed)
            .outbox(&self.outbox)
            .database("retail_db", &self.db)
            .build(&config.service)
    }
}

/// Runs the service on its configured address until a signal stops it.
///
/// # Errors
/// It cannot start, or its listener fails.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let listener = kit::serve::bind(&config.service).await?;
    let stop = kit::serve::stop_on_signal(&config.service)?;
    let app = App::open(&config).await?;
    kit::fact::fill_local_times(&app.db, &["sales"]).await?;
    let feed = Feed::beside_imports(app.db.clone(), DATASETS);
    feed.prepare().await?;
    app.imports.prepare().await?;
    let router = app.router(&config, &feed);
    tracing::info!(address = %listener.local_addr()?, "retail serves");
    let served = kit::serve::serve(listener, router, &config.service, stop);
    let background = async {
        tokio::join!(app.outbox.run(config.stock.recovery_interval), app.imports.work());
    };
    kit::serve::beside(served, background).await?;
    Ok(())
}
