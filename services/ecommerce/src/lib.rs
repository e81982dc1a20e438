//! The ecommerce service.
#![doc = include_str!("../README.md")]

mod carts;
mod config;
mod customers;
mod feed;
mod ids;
pub mod metric;
mod orders;
mod refunds;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::Router;
use base::Tz;
use kit::feed::Feed;
use kit::import::{Imports, Rules};
use kit::serve::Api;
use kit::stock::Outbox;
use sqlx::PgPool;
use sqlx::migrate::Migrator;

pub use config::Config;
pub use feed::DATASETS;
pub use ids::{CartId, CustomerId, DocumentId, OrderId, RefundId};
pub use orders::Orders;

/// The tables of `ecommerce_db`.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/ecommerce");

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub struct App {
    db: PgPool,
    imports: Imports,
    outbox: Outbox<Orders>,
    /// The company's zone: where online business happens.
    time_zone: Tz,
    cart_idle: Duration,
}

impl App {
    /// Migrates, connects, and makes the client of the gateway.
    ///
    /// # Errors
    /// The database cannot be reached or migrated, or the gateway's address is no URL.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let db = kit::db::open(&config.service, "ecommerce", &MIGRATIONS).await?;
        let zone = config.time_zone;
        ensure!(
            kit::fact::is_known_to_database(&db, zone.name()).await?,
            "ECOMMERCE_TIME_ZONE: PostgreSQL's zone data lack {zone}; give its present name, or install the old ones"
        );
        let imports = Imports::new(db.clone(), Rules { decimals: config.currency.decimals() });
        let outbox = Outbox::open(db.clone(), &config.stock).context("ECOMMERCE_GATEWAY_URL")?;
        Ok(Self { db, imports, outbox, time_zone: zone, cart_idle: config.cart_idle })
    }

    /// All routes of the service.
    pub fn router(&self, config: &Config, feed: &Feed) -> Router {
        Api::new("ecommerce", "Customers, carts, checkout, orders and refunds.")
            .metrics(metric::describe)
            .routes(customers::router().with_state(self.clone()))
            .routes(carts::router().with_state(self.clone()))
            .routes(orders::router().with_state(self.clone()))
            .routes(refunds::router().with_state(self.clone()))
            .streams(customers::imports().with_state(self.clone()))
            .streams(orders::imports().with_state(self.clone()))
            .streams(refunds::imports().with_state(self.clone()))
            .routes(self.imports.router())
            .feed(feed)
            .outbox(&self.outbox)
            .database("ecommerce_db", &self.db)
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
    kit::fact::fill_local_times(&app.db, &["orders", "refunds"]).await?;
    let feed = Feed::beside_imports(app.db.clone(), DATASETS);
    feed.prepare().await?;
    app.imports.prepare().await?;
    let router = app.router(&config, &feed);
    tracing::info!(address = %listener.local_addr()?, "ecommerce serves");
    let served = kit::serve::serve(listener, router, &config.service, stop);
    let (outbox, imports) = (app.outbox.clone(), app.imports.clone());
    let background = async {
        tokio::join!(outbox.run(config.stock.recovery_interval), imports.work(), carts::idle::run(app));
    };
    kit::serve::beside(served, background).await?;
    Ok(())
}
