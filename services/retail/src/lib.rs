//! Retail: stores, registers, sales, voids and returns.
//!
//! Owns `retail_db`. Products and stock are Inventory's: every sale asks it, through the gateway, and
//! `sales/settle.rs` tells how the two databases stay in agreement whatever dies in between. Read that file
//! first, then `sales/sell.rs`, `sales/returns.rs` and `sales/void.rs`, which decide, and
//! `sales/recovery.rs`, which finishes what they could not.

mod config;
mod feed;
mod registers;
mod sales;
mod stores;

use std::future::Future;

use anyhow::Context as _;
use axum::Router;
use kit::client::GatewayClient;
use kit::feed::Feed;
use kit::serve::Api;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::{Config, Limits};
pub use feed::DATASETS;
pub use sales::recovery::{Recovered, step as recover};

/// The tables of `retail_db`.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/retail");

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub struct App {
    db: PgPool,
    gateway: GatewayClient,
    limits: Limits,
}

impl App {
    /// Migrates, connects, and makes the client of the gateway.
    ///
    /// # Errors
    /// The database cannot be reached or migrated, or the gateway's address is no URL.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let db = kit::db::open(&config.service, "retail", &MIGRATIONS).await?;
        let gateway = GatewayClient::new(&config.gateway_url, config.gateway_key.expose(), config.call_timeout)
            .context("RETAIL_GATEWAY_URL")?;
        Ok(Self { db, gateway, limits: config.limits })
    }

    /// All routes of the service.
    pub fn router(&self, config: &Config, feed: &Feed) -> Router {
        let (asked, observed) = (feed.clone(), feed.clone());
        Api::new("retail", "Stores, registers, sales, voids and returns.")
            .routes(stores::router().with_state(self.clone()))
            .routes(registers::router().with_state(self.clone()))
            .routes(sales::router().with_state(self.clone()))
            .streams(stores::streams().with_state(self.clone()))
            .streams(sales::streams().with_state(self.clone()))
            .streams(feed.router())
            .database("retail_db", &self.db)
            .check("change feed", move || {
                let feed = asked.clone();
                async move { feed.ready().await.map_err(|error| kit::telemetry::chain(&error)) }
            })
            .observe(move || {
                let feed = observed.clone();
                async move { feed.observe().await }
            })
            .build(&config.service)
    }
}

/// Runs the service on its configured address until a signal stops it.
///
/// # Errors
/// It cannot start, or its listener fails.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let listener = kit::serve::bind(&config.service).await?;
    let stop = kit::serve::stop_on_signal()?;
    serve(config, listener, stop).await
}

/// Runs the service on a bound listener until `stop` is cancelled.
///
/// # Errors
/// It cannot start, or its listener fails.
pub async fn serve(config: Config, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
    let app = App::open(&config).await?;
    let feed = Feed::new(app.db.clone(), DATASETS);
    feed.prepare().await?;
    let router = app.router(&config, &feed);
    tracing::info!(address = %listener.local_addr()?, "retail serves");
    let served = kit::serve::serve(listener, router, config.service.drain, stop);
    while_running(served, sales::recovery::run(app, config.recovery_interval)).await?;
    Ok(())
}

/// Drives background work for as long as the server runs; what it leaves undone is found at the next start.
async fn while_running<T>(server: impl Future<Output = T>, background: impl Future<Output = ()>) -> T {
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => ended,
        () = background => server.await,
    }
}
