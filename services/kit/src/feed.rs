//! The change feed: how another service reads everything that changed here, and misses nothing.
//!
//! `GET /changes` is the head: where the feed stands, and up to which moment it is complete.
//! `GET /changes/{dataset}` pages the rows of one dataset in the order of their last change. The
//! SQL half of the protocol (stamps, witnesses, identity) is `migrations/*/0001_feed.sql`.
//!
//! The promise is "no change lost, and a repeated delivery does no harm". Three things carry it:
//!
//! * A finished poll stores the *horizon* of the head that it began with, not the last row it saw.
//!   A transaction that was open then may still commit with a smaller number than rows already
//!   read; everything at or above the horizon therefore comes again.
//! * Each answer that hands out rows or a position commits a *witness* after the snapshot it read.
//!   A database that does not know a cursor's witness is not the one the reader copied from.
//! * A cursor names the *shape* it was read in, so that a column added later comes for old rows too.
//!
//! Read the files in this order: [`Dataset`], `head`, `page`, `copy`, `cursor`, `identity`.

mod copy;
mod cursor;
mod dataset;
mod error;
mod head;
mod identity;
mod observe;
mod page;
mod sql;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use dataset::{Column, Dataset, Lines, Type};
pub use error::FeedError;

/// This name distinguishes the feed's own sessions from writers in `pg_stat_activity`: a long page
/// must not look like a transaction that holds completeness back.
pub(crate) const APPLICATION_NAME: &str = "tributary-feed";

/// Connections of the feed's own pool: enough for two readers, too few to starve the service.
const CONNECTIONS: u32 = 4;
/// How long a request waits for one of them.
const ACQUIRE: Duration = Duration::from_secs(10);
/// How long one page may take, from its snapshot to its last byte.
const DEADLINE: Duration = Duration::from_secs(300);

/// One service's change feed: its datasets, and pools to serve them from. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    inner: Arc<Inner>,
}

struct Inner {
    /// The service's pool, for the one-row writes of witnesses and for stamping again.
    writer: PgPool,
    /// Reads only, under [`APPLICATION_NAME`].
    reader: PgPool,
    datasets: &'static [Dataset],
    /// Whether the database has a table of imports.
    imports: bool,
    restamping: tokio::sync::Mutex<()>,
}

impl Feed {
    /// A feed over `datasets`, in the database of `pool`. Opens no connection yet.
    ///
    /// # Panics
    /// When a declaration contradicts itself (a key that is no column, a name twice): that is a
    /// mistake in the program, and each service's tests build its feed.
    #[must_use]
    pub fn new(pool: PgPool, datasets: &'static [Dataset]) -> Self {
        Self::build(pool, datasets, false)
    }

    /// The feed of a database into which files are imported: while one is applied, the feed is complete up to its start
    /// and no further.
    ///
    /// # Panics
    /// As [`Feed::new`].
    #[must_use]
    pub fn beside_imports(pool: PgPool, datasets: &'static [Dataset]) -> Self {
        Self::build(pool, datasets, true)
    }

    fn build(pool: PgPool, datasets: &'static [Dataset], imports: bool) -> Self {
        dataset::assert_sound(datasets);
        let deadline = format!("{}s", DEADLINE.as_secs());
        let options = (*pool.connect_options()).clone().application_name(APPLICATION_NAME).options([
            ("statement_timeout", deadline.as_str()),
            ("idle_in_transaction_session_timeout", deadline.as_str()),
            // What a page's text looks like must not depend on the server's settings.
            ("timezone", "UTC"),
            ("datestyle", "ISO"),
            ("standard_conforming_strings", "on"),
            // A page is one ordered read; compiling it costs more than it gives.
            ("jit", "off"),
            ("work_mem", "64MB"),
            // A page is a piece of an index, joined by keys. The planner cannot know how few rows lie between two
            // row comparisons, and would read both tables whole for each page of a full read: work that grows with
            // the square of the table. Walking the index costs no more even for all of it.
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("enable_seqscan", "off"),
            ("max_parallel_workers_per_gather", "0"),
        ]);
        let reader = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(Duration::from_secs(60))
            .connect_lazy_with(options);
        Self {
            inner: Arc::new(Inner { writer: pool, reader, datasets, imports, restamping: tokio::sync::Mutex::new(()) }),
        }
    }

    /// The two routes, to be nested under `/api/v1`. They stream: keep them outside of layers that
    /// limit the time of a request or compress its body.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> OpenApiRouter<S> {
        OpenApiRouter::new()
            .routes(routes!(head::get_changes))
            .routes(routes!(page::get_dataset_changes))
            .with_state(self.clone())
    }

    /// Whether the feed can answer now, for readiness.
    ///
    /// # Errors
    /// [`FeedError::Rights`] when the service's role may not see other sessions (the message names
    /// the GRANT), or the database's own failure.
    pub async fn ready(&self) -> Result<(), FeedError> {
        identity::pulse(self).await?.rights()
    }

    /// Brings the stamps to this database's identity, which is work only after a dump was restored
    /// elsewhere. Call it after the migrations and before serving.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn prepare(&self) -> Result<(), FeedError> {
        identity::ensure(self).await.map(drop)
    }

    /// Refreshes the gauges of open transactions; call it when `/metrics` is read, or on a timer.
    pub async fn observe(&self) {
        observe::refresh(&self.inner.reader).await;
    }

    fn dataset(&self, name: &str) -> Option<&'static Dataset> {
        self.inner.datasets.iter().find(|dataset| dataset.name == name)
    }
}
