//! The inventory service.
#![doc = include_str!("../README.md")]

mod categories;
mod config;
mod feed;
mod ids;
mod locations;
pub mod metric;
mod movements;
mod names;
mod products;
mod stock;

use axum::Router;
use kit::feed::Feed;
use kit::import::{Imports, Rules};
use kit::serve::Api;
use sqlx::PgPool;
use sqlx::migrate::Migrator;

pub use config::Config;
pub use feed::DATASETS;
pub use ids::{CategoryId, MovementId};

/// The tables of `inventory_db`.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/inventory");

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub struct App {
    db: PgPool,
    imports: Imports,
}

impl App {
    /// Migrates and connects.
    ///
    /// # Errors
    /// The database cannot be reached or migrated.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let db = kit::db::open(&config.service, "inventory", &MIGRATIONS).await?;
        let imports = Imports::new(db.clone(), Rules { decimals: config.currency.decimals() });
        Ok(Self { db, imports })
    }

    /// All routes of the service.
    pub fn router(&self, config: &Config, feed: &Feed) -> Router {
        Api::new("inventory", "Products, categories, locations, stock on hand and its movements.")
            .metrics(metric::describe)
            .routes(categories::router().with_state(self.clone()))
            .routes(products::router().with_state(self.clone()))
            .routes(locations::router().with_state(self.clone()))
            .routes(stock::router().with_state(self.clone()))
            .routes(movements::router().with_state(self.clone()))
            .streams(products::imports().with_state(self.clone()))
            .streams(stock::imports().with_state(self.clone()))
            .streams(movements::imports().with_state(self.clone()))
            .routes(self.imports.router())
            .feed(feed)
            .database("inventory_db", &self.db)
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
    kit::fact::fill_local_times(&app.db, &["stock_movements"]).await?;
    let feed = Feed::beside_imports(app.db.clone(), DATASETS);
    feed.prepare().await?;
    app.imports.prepare().await?;
    let router = app.router(&config, &feed);
    tracing::info!(address = %listener.local_addr()?, "inventory serves");
    let served = kit::serve::serve(listener, router, &config.service, stop);
    kit::serve::beside(served, app.imports.work()).await?;
    Ok(())
}
