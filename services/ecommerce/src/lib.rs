//! Ecommerce: customers, carts, orders and checkout.
//!
//! Owns `ecommerce_db`. Products and stock are Inventory's: a checkout asks it, through the gateway, and
//! `orders/settle.rs` tells how the two databases stay in agreement whatever dies in between. Read that file
//! first, then `carts/checkout.rs` and `orders/step.rs`, which decide, and `orders/recovery.rs`, which finishes
//! what they could not.

mod carts;
mod config;
mod customers;
mod feed;
mod orders;

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use chrono::{NaiveDate, Utc};
use chrono_tz::Tz;
use kit::client::GatewayClient;
use kit::feed::Feed;
use kit::serve::Api;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::{Config, Limits};
pub use feed::DATASETS;
pub use orders::recovery::{Recovered, step as recover};

/// The tables of `ecommerce_db`.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/ecommerce");

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub struct App {
    db: PgPool,
    gateway: GatewayClient,
    limits: Limits,
    /// The company's zone: where online business happens.
    time_zone: Tz,
    cart_idle: Duration,
}

impl App {
    /// Today in the company's zone.
    fn today(&self) -> NaiveDate {
        Utc::now().with_timezone(&self.time_zone).date_naive()
    }
}

impl App {
    /// Migrates, connects, and makes the client of the gateway.
    ///
    /// # Errors
    /// The database cannot be reached or migrated, or the gateway's address is no URL.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let db = kit::db::open(&config.service, "ecommerce", &MIGRATIONS).await?;
        let gateway = GatewayClient::new(&config.gateway_url, config.gateway_key.expose(), config.call_timeout)
            .context("ECOMMERCE_GATEWAY_URL")?;
        Ok(Self { db, gateway, limits: config.limits, time_zone: config.time_zone, cart_idle: config.cart_idle })
    }

    /// All routes of the service.
    pub fn router(&self, config: &Config, feed: &Feed) -> Router {
        let (asked, observed) = (feed.clone(), feed.clone());
        Api::new("ecommerce", "Customers, carts, orders and checkout.")
            .routes(customers::router().with_state(self.clone()))
            .routes(carts::router().with_state(self.clone()))
            .routes(orders::router().with_state(self.clone()))
            .streams(customers::streams().with_state(self.clone()))
            .streams(orders::streams().with_state(self.clone()))
            .streams(feed.router())
            .database("ecommerce_db", &self.db)
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
    tracing::info!(address = %listener.local_addr()?, "ecommerce serves");
    let served = kit::serve::serve(listener, router, config.service.drain, stop);
    let background = async {
        tokio::join!(orders::recovery::run(app.clone(), config.recovery_interval), carts::idle::run(app));
    };
    while_running(served, background).await?;
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
