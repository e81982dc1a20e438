//! The pool of a service: bounded, named, and waiting for the database at start; and which errors mean "unavailable".

#[cfg(target_os = "linux")]
mod frames;
#[cfg(target_os = "linux")]
mod relay;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Row as _};
use tokio::time::{Instant, timeout};

pub use base::{Fault, begin};

use crate::config::{Secret, ServiceConfig};

/// How long a starting service waits for its database.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it waits between two tries.
const START_PAUSE: Duration = Duration::from_millis(250);
/// How long a request waits for a connection before the answer says that the database is unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection that is lent or given back has to answer; one that does not is closed.
const PING: Duration = Duration::from_secs(1);
/// How often a start that waits for its migrations says so.
const MIGRATING: Duration = Duration::from_secs(10);
/// After this long in an open transaction without a statement, PostgreSQL ends the session: an abandoned
/// transaction holds back the horizon of every change feed.
const IDLE_IN_TRANSACTION: &str = "15s";

/// What every session of ours is set to. A pooler may drop what a session asks for at its start: then it is set by statement.
const SETTINGS: [(&str, &str); 7] = [
    ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION),
    ("TimeZone", "UTC"),
    ("default_transaction_isolation", "read committed"),
    DEAD_CLIENT[0],
    DEAD_CLIENT[1],
    DEAD_CLIENT[2],
    DEAD_CLIENT[3],
];

/// How soon the server gives up a client whose host does not answer, and with it the client's locks: 10 s of silence, then three
/// questions 5 s apart, and 20 s for what was sent and not acknowledged. Linux's own default is above two hours.
const DEAD_CLIENT: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "20s"),
];

/// Why a service could not get at its database at start.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The URL does not parse; its text stays out of the message, for it holds a password.
    #[error("the database URL is not valid")]
    Url(#[source] sqlx::Error),
    /// Nothing answered, or it refused the connection, until the time was over.
    #[error("cannot connect to {host}:{port}/{database}")]
    Connect { host: String, port: u16, database: String, source: sqlx::Error },
    /// What answers is a pooler that gives each transaction, or each statement, another session.
    #[error(
        "what stands before {host}:{port}/{database} gives one session to several clients: locks, settings and prepared \
         statements would be another's; let the pooler work in session mode, or connect to PostgreSQL itself"
    )]
    Pooled { host: String, port: u16, database: String },
    /// A pool's socket could not be opened.
    #[error("connections to the database cannot be watched")]
    Relay(#[source] io::Error),
    /// A migration failed; the ones before it stand.
    #[error("cannot migrate the database")]
    Migrate(#[source] MigrateError),
}

/// Brings the schema up to date as its owner, then opens the pool of the serving role.
///
/// # Errors
/// See [`DbError`].
pub async fn open(config: &ServiceConfig, name: &'static str, migrations: &Migrator) -> Result<PgPool, DbError> {
    migrate(config.migration_url(), name, migrations).await?;
    connect(config, name).await
}

/// Runs the migrations that have not run yet, waiting for a database that is still coming up.
/// Several processes may try at once: sqlx lets one in at a time.
///
/// Migrations that this program does not know are a newer version's, which only adds: it starts all the same, so that
/// two versions can run side by side and the older one can come back.
///
/// # Errors
/// See [`DbError`].
pub async fn migrate(url: &Secret, name: &'static str, migrations: &Migrator) -> Result<(), DbError> {
    let options = options(url, name)?;
    let mut connection = patiently(&options).await?;
    let mut migrations = Migrator { migrations: migrations.migrations.clone(), ..Migrator::DEFAULT };
    migrations.set_ignore_missing(true);
    with_word(name, migrations.run(&mut connection)).await.map_err(DbError::Migrate)?;
    if let Err(error) = connection.close().await {
        tracing::debug!(error = crate::telemetry::chain(&error), "the migrating connection did not close cleanly");
    }
    Ok(())
}

/// Drives migrations to their end, and says from time to time that this is what a start waits for.
async fn with_word<T>(name: &str, run: impl Future<Output = T>) -> T {
    tokio::pin!(run);
    loop {
        match timeout(MIGRATING, &mut run).await {
            Ok(ended) => return ended,
            Err(_) => tracing::warn!(name, "migrating still, or waiting for another process that does"),
        }
    }
}

/// Opens the pool of the serving role, waiting for a database that is still coming up.
///
/// # Errors
/// See [`DbError`].
pub async fn connect(config: &ServiceConfig, name: &'static str) -> Result<PgPool, DbError> {
    // A statement never outlives the request that waits for it.
    let timeout = format!("{}ms", config.request_timeout.as_millis());
    let options = options(&config.database_url, name)?.options([("statement_timeout", &timeout)]);
    refuse_shared_sessions(&options).await?;
    let pool = pool_options(config.pool_size.get()).after_connect(move |connection, _| {
        let timeout = timeout.clone();
        Box::pin(async move { ensure(connection, &[("statement_timeout", &timeout)]).await })
    });
    Ok(pool.connect_lazy_with(options))
}

/// A pool of another size and purpose on the same database; `purpose` shows in `pg_stat_activity`.
///
/// No statement timeout is set: `limit` bounds how long what was asked may stay without one byte of an answer, and what the server is not at work
/// on any more is given up within half a minute.
///
/// # Errors
/// The URL does not parse, or the pool's socket cannot be opened.
pub fn side_pool(config: &ServiceConfig, purpose: &str, size: u32, limit: Duration) -> Result<PgPool, DbError> {
    let options = options(&config.database_url, purpose)?;
    // What waits for a lock hears of it before it would count as silent.
    let patience = format!("{}ms", limit.as_millis() / 2);
    let options = options.options([("lock_timeout", &patience)]);
    // A server on this host, asked through its own socket, does not vanish alone.
    #[cfg(target_os = "linux")]
    if options.get_socket().is_none() && !options.get_host().starts_with('/') {
        let relay = std::sync::Arc::new(relay::Relay::start(options, limit).map_err(DbError::Relay)?);
        let options = relay.options.clone();
        let pool = pool_options(size).after_connect(move |connection, _| {
            let (relay, patience) = (std::sync::Arc::clone(&relay), patience.clone());
            Box::pin(async move {
                ensure(connection, &[("lock_timeout", &patience)]).await?;
                relay.learn(connection).await
            })
        });
        return Ok(pool.connect_lazy_with(options));
    }
    Ok(pool_options(size).connect_lazy_with(options))
}

/// A connection that does not answer is closed, whether it is to be lent or given back: sqlx's own questions have no end.
/// One whose statement was given up half-way is given time to end it, and no more.
fn pool_options(size: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(Duration::from_secs(120))
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(answers(connection)))
        .after_release(|connection, _| Box::pin(answers(connection)))
}

async fn answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // An error closes the connection at once; `false` would first send to it.
    timeout(PING, connection.ping()).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))?;
    Ok(true)
}

/// Starts this program anew without libpq's variables (`PGSSLMODE`, `PGOPTIONS` …), if it was given any.
///
/// sqlx and DuckDB's libpq take from them what an address does not say, and nothing unsets it there: connections come
/// from our own settings alone. Called first in `main`; returns where there was nothing to leave out.
///
/// # Errors
/// The program cannot be started anew.
#[expect(clippy::disallowed_methods, reason = "these variables are libpq's, and no settings of ours")]
pub fn leave_out_libpq() -> io::Result<()> {
    let is_libpq = |name: &OsString| name.as_encoded_bytes().starts_with(b"PG");
    let given: Vec<OsString> = std::env::vars_os().map(|(name, _)| name).filter(is_libpq).collect();
    if given.is_empty() {
        return Ok(());
    }
    let mut anew = Command::new(std::env::current_exe()?);
    anew.args(std::env::args_os().skip(1));
    for name in given {
        anew.env_remove(name);
    }
    Err(anew.exec())
}

fn options(url: &Secret, application_name: &str) -> Result<PgConnectOptions, DbError> {
    Ok(PgConnectOptions::from_str(url.expose())
        .map_err(DbError::Url)?
        .application_name(application_name)
        .options(SETTINGS)
        // Slow statements are seen in the metrics; statements in the log would be noise.
        .disable_statement_logging())
}

/// Sets by statement what of our settings did not arrive.
async fn ensure(connection: &mut PgConnection, more: &[(&str, &str)]) -> Result<(), sqlx::Error> {
    let (names, values): (Vec<&str>, Vec<&str>) = SETTINGS.iter().chain(more).copied().unzip();
    // Milliseconds and seconds are shown in another unit than they are given in: what is set is not compared.
    sqlx::query("SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS wanted (name, value)")
        .bind(names)
        .bind(values)
        .execute(connection)
        .await?;
    Ok(())
}

/// Two connections that are open at once have two sessions. Behind a pooler that lends sessions out for a transaction or a
/// statement, the second gets the one that the first has just used.
async fn refuse_shared_sessions(options: &PgConnectOptions) -> Result<(), DbError> {
    let mut both = [patiently(options).await?, patiently(options).await?];
    let mut seen = [0_i32; 2];
    for (connection, pid) in both.iter_mut().zip(&mut seen) {
        // Without preparing it: the name of a prepared statement would be taken in a session that is shared.
        let row = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await;
        *pid = row.and_then(|row| row.try_get(0)).map_err(|source| unreachable(options, source))?;
    }
    if seen[0] == seen[1] {
        return Err(DbError::Pooled {
            host: options.get_host().to_owned(),
            port: options.get_port(),
            database: options.get_database().unwrap_or_default().to_owned(),
        });
    }
    Ok(())
}

fn unreachable(options: &PgConnectOptions, source: sqlx::Error) -> DbError {
    DbError::Connect {
        host: options.get_host().to_owned(),
        port: options.get_port(),
        database: options.get_database().unwrap_or_default().to_owned(),
        source,
    }
}

async fn patiently(options: &PgConnectOptions) -> Result<PgConnection, DbError> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        match PgConnection::connect_with(options).await {
            Ok(connection) => return Ok(connection),
            Err(error)
                if Fault::of(&error) == Fault::Away && !is_configuration(&error) && Instant::now() < deadline =>
            {
                tracing::debug!(error = crate::telemetry::chain(&error), "the database is not up yet");
                tokio::time::sleep(START_PAUSE).await;
            }
            Err(source) => return Err(unreachable(options, source)),
        }
    }
}

/// Whether waiting cannot help a program that starts: a refused login, or something that speaks the protocol and does not
/// take what a session asks for, such as a pooler.
fn is_configuration(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("28") || code == "08P01")
}
