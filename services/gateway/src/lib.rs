//! The local gateway: obeys `kong.yml` on a machine without Kong, for development and tests.
//!
//! It shows clients and upstreams what Kong 3.9 shows, for just the plugins and fields that our file
//! uses, and refuses to start on anything else. Not here: TLS, HTTP/2, `WebSocket`, trusted proxies,
//! Kong's admin API, and Kong's own page for a request line that is not HTTP.

mod admin;
mod body;
mod file;
mod forward;
mod head;
mod headers;
mod path;
mod plan;
mod plugins;
mod proxy;
mod reply;
mod router;
mod upstream;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use kit::config::{ConfigError, Vars};
use tokio::net::TcpListener;

pub use plan::PlanError;

use head::{Heads, Noted};
use proxy::Gateway;

/// The gateway's configuration as it stands in the repository, with placeholders for what is secret
/// or differs by machine.
pub const TEMPLATE: &str = include_str!("../kong.yml");

/// What the program reads from the environment, all with the prefix `GATEWAY_`.
#[derive(Debug, Clone)]
pub struct Config {
    /// `GATEWAY_CONFIG`: the rendered `kong.yml`.
    pub file: PathBuf,
    /// `GATEWAY_LISTEN`: where clients come in.
    pub listen: SocketAddr,
    /// `GATEWAY_ADMIN_LISTEN`: metrics and health of the upstreams, for the private side only.
    pub admin_listen: Option<SocketAddr>,
    /// `GATEWAY_LOG`: a tracing filter.
    pub log: String,
    /// `GATEWAY_DRAIN_SECONDS`: how long requests may finish after a signal to stop.
    pub drain: Duration,
}

impl Config {
    /// Takes the variables, leaving `vars` for [`Vars::finish`].
    ///
    /// # Errors
    /// A missing or malformed variable, by name.
    pub fn read(vars: &mut Vars) -> Result<Self, ConfigError> {
        Ok(Self {
            file: vars.required("CONFIG", "path of the rendered kong.yml")?,
            listen: vars.or("LISTEN", "127.0.0.1:8000", "address and port for clients")?,
            admin_listen: vars.optional("ADMIN_LISTEN", "address and port for metrics and upstream health")?,
            log: vars.or("LOG", "info", "tracing filter")?,
            drain: vars.seconds_or(
                "DRAIN_SECONDS",
                "10",
                "seconds that requests may finish in after a signal to stop",
            )?,
        })
    }
}

/// Why the gateway does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: cannot be read")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} cannot be obeyed")]
    Plan { path: PathBuf, source: PlanError },
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
}

/// Checks a rendered `kong.yml` as the gateway does when it starts.
///
/// # Errors
/// The first fault, with its path in the file.
pub fn check(text: &str) -> Result<(), PlanError> {
    plan::parse(text).map(drop)
}

/// Binds the configured addresses and serves until `stop` completes.
///
/// # Errors
/// A file that cannot be obeyed, or an address that cannot be had.
pub async fn run(config: &Config, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let bind = async |address: SocketAddr| {
        TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
    };
    let admin = match config.admin_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    serve(&config.file, bind(config.listen).await?, admin, config.drain, stop).await
}

/// Serves `file` on listeners that are bound already.
///
/// # Errors
/// A file that cannot be obeyed.
pub async fn serve(
    file: &Path,
    listener: TcpListener,
    admin: Option<TcpListener>,
    drain: Duration,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let text = std::fs::read_to_string(file).map_err(|source| Error::File { path: file.to_owned(), source })?;
    let plan = plan::parse(&text).map_err(|source| Error::Plan { path: file.to_owned(), source })?;
    let port = listener.local_addr().map_or(0, |address| address.port());
    let gateway = Arc::new(Gateway { plan, port });
    tracing::info!(port, file = %file.display(), "local gateway for development and tests is listening");
    let background = admin::start(&gateway, admin);
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(gateway.clone(), stream, peer);
                let connection = graceful.watch(connection);
                // Detached: the shutdown waits for what `graceful` watches.
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, %peer, "client connection ended");
                    }
                });
            }
            // Out of descriptors, most often: others must end before more can begin.
            Err(error) => {
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
    drop(background);
    Ok(())
}

fn connection(
    gateway: Arc<Gateway>,
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let heads = Heads::default();
    let stream = Noted::new(stream, heads.clone());
    let service = service_fn(move |request| {
        let (gateway, head) = (gateway.clone(), heads.next());
        async move { Ok::<_, Infallible>(gateway.handle(request, &head, peer).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(60))
        // nginx's four buffers of 8 kB for a request's head; also what is held of a response.
        .max_buf_size(64 * 1024)
        // Kong passes an upstream's Date on and adds none to a response without.
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
}
