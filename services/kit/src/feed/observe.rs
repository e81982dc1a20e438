//! What the feed shows of itself to Prometheus.

use metrics::{counter, gauge};
use sqlx::PgPool;

use super::APPLICATION_NAME;
use crate::metric::{FEED_HEADS, FEED_HORIZON, FEED_HORIZON_AGE, FEED_OLDEST, FEED_OPEN, FEED_PAGES, FEED_ROWS};

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; transaction numbers stay far below 2^53")]
pub(super) fn head(horizon: u64, status: &'static str) {
    gauge!(FEED_HORIZON).set(horizon as f64);
    counter!(FEED_HEADS, "status" => status).increment(1);
}

pub(super) fn page(dataset: &'static str, format: &'static str, rows: u64) {
    counter!(FEED_PAGES, "dataset" => dataset, "format" => format).increment(1);
    counter!(FEED_ROWS, "dataset" => dataset, "format" => format).increment(rows);
}

/// Reads the open transactions into the gauges. Where the database cannot be asked they keep their
/// last values; readiness tells about that.
pub(super) async fn refresh(reader: &PgPool) {
    let read: Result<(i64, f64, f64), sqlx::Error> = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE pid <> pg_backend_pid()),
                COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(xact_start)), 0)::float8,
                COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(xact_start) FILTER (WHERE backend_xid IS NOT NULL)), 0)::float8
           FROM pg_stat_activity
          WHERE xact_start IS NOT NULL AND datname = current_database() AND application_name <> $1
            AND backend_type NOT IN ('autovacuum worker', 'walsender', 'parallel worker')",
    )
    .bind(APPLICATION_NAME)
    .fetch_one(reader)
    .await;
    match read {
        Ok((open, oldest, writing)) => {
            #[expect(clippy::cast_precision_loss, reason = "a count of sessions")]
            gauge!(FEED_OPEN).set(open as f64);
            gauge!(FEED_OLDEST).set(oldest.max(0.0));
            gauge!(FEED_HORIZON_AGE).set(writing.max(0.0));
        }
        Err(error) => tracing::debug!(%error, "cannot read the open transactions"),
    }
}
