//! From routers to a running server: documents, health, metrics, the gateway's token, and a bounded shutdown.

mod docs;
mod health;
mod layers;
mod listener;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::{Router, middleware};
use futures_util::future::join_all;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::config::ServiceConfig;
use crate::error::ApiError;
use crate::feed::Feed;
use crate::metric;
use crate::stock::{Documents, Outbox};
use health::{Check, Health};
use layers::Inbound;
use listener::DrainingListener;

/// The largest body of an ordinary request, in bytes. Imports stream and have no such bound.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// What a service serves. `routes` and `streams` appear under `/api/v1` and in `/openapi.json`.
pub struct Api {
    name: &'static str,
    description: &'static str,
    routes: OpenApiRouter,
    streams: OpenApiRouter,
    pages: Router,
    health: Health,
    pools: Vec<(&'static str, PgPool)>,
    observers: Vec<Observer>,
}

/// Refreshes gauges that are true only when somebody looks.
type Observer = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What `/metrics` asks before it answers.
type Gauges = (Vec<(&'static str, PgPool)>, Vec<Observer>);

impl Api {
    /// An empty API of the service called `name`.
    pub fn new(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            routes: OpenApiRouter::new(),
            streams: OpenApiRouter::new(),
            pages: Router::new(),
            health: Health::default(),
            pools: Vec::new(),
            observers: Vec::new(),
        }
    }

    /// Adds ordinary routes: bounded in time ([`ServiceConfig::request_timeout`]) and body ([`BODY_LIMIT`]).
    #[must_use]
    pub fn routes(mut self, routes: OpenApiRouter) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Adds routes that stream and keep their own bounds: imports, change feeds, downloads.
    #[must_use]
    pub fn streams(mut self, routes: OpenApiRouter) -> Self {
        self.streams = self.streams.merge(routes);
        self
    }

    /// Adds the change feed: its routes, its readiness, its gauges.
    #[must_use]
    pub fn feed(self, feed: &Feed) -> Self {
        let (asked, observed) = (feed.clone(), feed.clone());
        self.streams(feed.router())
            .check("change feed", move || {
                let feed = asked.clone();
                async move { feed.ready().await.map_err(|error| crate::telemetry::chain(&error)) }
            })
            .observe(move || {
                let feed = observed.clone();
                async move { feed.observe().await }
            })
    }

    /// Adds the undelivered messages to Inventory to the metrics.
    #[must_use]
    pub fn outbox<D: Documents>(self, outbox: &Outbox<D>) -> Self {
        let observed = outbox.clone();
        self.observe(move || {
            let outbox = observed.clone();
            async move { outbox.observe().await }
        })
    }

    /// Adds pages for people outside `/api/v1`, such as a console; behind the gateway like all else.
    #[must_use]
    pub fn pages(mut self, pages: Router) -> Self {
        self.pages = self.pages.merge(pages);
        self
    }

    /// Adds a pool: `/health/ready` asks it, `/metrics` shows its size.
    #[must_use]
    pub fn database(mut self, name: &'static str, pool: &PgPool) -> Self {
        let asked = pool.clone();
        self.pools.push((name, pool.clone()));
        self.check(name, move || {
            let pool = asked.clone();
            async move {
                sqlx::query("SELECT 1").execute(&pool).await.map_err(|error| crate::telemetry::chain(&error))?;
                Ok(())
            }
        })
    }

    /// Adds a dependency that `/health/ready` asks; the text of a failure is shown to operators.
    #[must_use]
    pub fn check<F>(mut self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.health.add(Check::new(name, ask));
        self
    }

    /// Adds another crate's list of metrics: `describe` describes them to the recorder.
    #[must_use]
    pub fn metrics(self, describe: fn()) -> Self {
        // A description that comes before the recorder is lost.
        metric::recorder();
        describe();
        self
    }

    /// Adds something to do before each answer of `/metrics`, such as reading a gauge from the database.
    #[must_use]
    pub fn observe<F>(mut self, refresh: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.observers.push(Box::new(move || Box::pin(refresh())));
        self
    }

    /// The whole application: the given routes, `/health/*`, `/metrics`, `/openapi.json`, `/docs`, and every layer.
    pub fn build(self, config: &ServiceConfig) -> Router {
        let limit = config.request_timeout;
        let routes = self
            .routes
            .layer(middleware::from_fn(layers::drain_large_body))
            .layer(middleware::from_fn(move |request, next| layers::time_limit(limit, request, next)))
            .layer(DefaultBodyLimit::max(BODY_LIMIT));
        let streams = self.streams.layer(DefaultBodyLimit::disable());
        let (api, openapi) = OpenApiRouter::new().nest("/api/v1", routes.merge(streams)).split_for_parts();
        let documents = docs::router(self.name, self.description, openapi);
        let inbound = Arc::new(Inbound::new(self.name, config.gateway_token.expose()));
        let sources = Arc::new((self.pools, self.observers));
        // Layers added later run first. The panic catcher stands inside `observe`, so that a panic is measured too.
        api.merge(self.pages)
            .layer(middleware::from_fn_with_state(inbound.clone(), layers::through_gateway))
            .merge(documents)
            .merge(self.health.router(self.name))
            .route("/metrics", get(move || scrape(sources.clone())))
            .fallback(|| std::future::ready(ApiError::not_found("such path; /docs lists those there are")))
            .method_not_allowed_fallback(|| std::future::ready(ApiError::MethodNotAllowed))
            .layer(CatchPanicLayer::custom(layers::panicked))
            .layer(middleware::from_fn_with_state(inbound, layers::observe))
    }
}

async fn scrape(sources: Arc<Gauges>) -> String {
    let (pools, observers) = &*sources;
    // A database that is away must not take the metrics with it; the pools have a patience of their own.
    let refreshed = tokio::time::timeout(Duration::from_secs(2), join_all(observers.iter().map(|refresh| refresh())));
    let (refreshed, _) = tokio::join!(refreshed, join_all(pools.iter().map(|(name, pool)| metric::pool(name, pool))));
    if refreshed.is_err() {
        tracing::warn!("some gauges could not be refreshed in time");
    }
    metric::process();
    metric::recorder().render()
}

/// Binds the configured address; a busy port is named.
///
/// # Errors
/// The address cannot be bound.
pub async fn bind(config: &ServiceConfig) -> io::Result<TcpListener> {
    TcpListener::bind(config.listen)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {}: {error}", config.listen)))
}

/// Serves until `stop` is cancelled, and then ends without failing a request.
///
/// For [`ServiceConfig::shutdown_delay`] it still answers, with 503 to health checks, and closes each connection with
/// its answer: a connection that is closed while it is idle loses the request that its peer is just sending. Then it
/// takes no new connection and waits for open requests: in all at most [`ServiceConfig::drain`].
/// axum alone would wait for ever: for open streams, and for peers that never send a request.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    config: &ServiceConfig,
    stop: CancellationToken,
) -> io::Result<()> {
    for warning in &config.deprecated {
        tracing::warn!("{warning}");
    }
    let drain = config.drain;
    let recorder = metric::recorder();
    let (closing, shut) = (CancellationToken::new(), CancellationToken::new());
    let listener = DrainingListener::new(listener, closing.clone(), shut.clone())?;
    let (stopping, delay) = (stop.clone(), config.shutdown_delay.min(drain));
    let app =
        app.layer(middleware::from_fn(move |request, next| layers::announce_stop(stopping.clone(), request, next)));
    let server = axum::serve(listener, app).with_graceful_shutdown(shut.cancelled_owned());
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(delay).await;
        closing.cancel();
        tokio::time::sleep(drain - delay).await;
    };
    let upkeep = async {
        // Without it histograms keep every sample until somebody scrapes.
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        loop {
            tick.tick().await;
            recorder.run_upkeep();
            for base::Stopped { name, silence } in base::stopped() {
                tracing::error!(name, seconds = silence.as_secs(), "a loop of this process has stopped; restart it");
            }
        }
    };
    tokio::select! {
        ended = server => ended,
        () = drained => {
            tracing::warn!(seconds = drain.as_secs(), "requests were still open at the end of the drain");
            Ok(())
        }
        () = upkeep => Ok(()),
    }
}

/// Drives background work for as long as `server` runs; what it leaves undone is found at the next start.
pub async fn beside<T>(server: impl Future<Output = T>, background: impl Future<Output = ()>) -> T {
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => ended,
        () = background => server.await,
    }
}

/// How long after the drain a process that was asked to stop may still take.
const LAST_WORK: Duration = Duration::from_secs(10);

/// A token that SIGTERM or ctrl-c cancels. Whatever then still waits for something, the process ends soon after
/// [`ServiceConfig::drain`].
///
/// # Errors
/// The handler of a signal cannot be installed.
pub fn stop_on_signal(config: &ServiceConfig) -> io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (cancelled, limit) = (stop.clone(), config.drain + LAST_WORK);
    // Detached: it waits for a signal as long as the process lives.
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("the service stops: it answers open requests and then closes its listener");
        cancelled.cancel();
        // A thread: it needs nothing of the runtime, which may be what hangs.
        std::thread::spawn(move || {
            std::thread::sleep(limit);
            tracing::error!(seconds = limit.as_secs(), "the service did not come to its end and is ended");
            std::process::exit(1);
        });
    });
    Ok(stop)
}

/// The `main` of a binary: runs it on a runtime, and prints the error that ended it with all its causes.
pub fn main<F: Future<Output = anyhow::Result<()>>>(program: F) -> ExitCode {
    if let Err(error) = crate::db::leave_out_libpq() {
        return fail(&error.into());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(program) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a program belong on standard error")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests;
