//! What the feed shows of itself to Prometheus.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use sqlx::PgPool;

use super::APPLICATION_NAME;

const HORIZON: &str = "feed_horizon_xid";
const HORIZON_AGE: &str = "feed_horizon_age_seconds";
const OPEN: &str = "feed_open_transactions";
const OLDEST: &str = "feed_oldest_transaction_seconds";
const HEADS: &str = "feed_heads_total";
const PAGES: &str = "feed_pages_total";
const ROWS: &str = "feed_rows_total";

/// Names and meanings of the feed's metrics.
pub const METRICS: &[(&str, &str)] = &[
    (HORIZON, "Every transaction below this number is finished (gauge, transaction number)"),
    (HORIZON_AGE, "Age of the oldest open transaction that has written and so holds the horizon back (gauge, seconds)"),
    (OPEN, "Open transactions of sessions that are not feed readers (gauge)"),
    (OLDEST, "Age of the oldest open transaction, which holds completeness back (gauge, seconds)"),
    (HEADS, "Heads answered, by status (counter)"),
    (PAGES, "Pages answered, by dataset and format (counter)"),
    (ROWS, "Rows handed out, by dataset and format (counter)"),
];

pub(super) fn describe() {
    // A description that comes before the recorder is lost.
    crate::metric::recorder();
    for (name, help) in METRICS {
        if name.ends_with("_total") {
            describe_counter!(*name, *help);
        } else {
            describe_gauge!(*name, *help);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; transaction numbers stay far below 2^53")]
pub(super) fn head(horizon: u64, status: &'static str) {
    gauge!(HORIZON).set(horizon as f64);
    counter!(HEADS, "status" => status).increment(1);
}

pub(super) fn page(dataset: &'static str, format: &'static str, rows: u64) {
    counter!(PAGES, "dataset" => dataset, "format" => format).increment(1);
    counter!(ROWS, "dataset" => dataset, "format" => format).increment(rows);
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
            gauge!(OPEN).set(open as f64);
            gauge!(OLDEST).set(oldest.max(0.0));
            gauge!(HORIZON_AGE).set(writing.max(0.0));
        }
        Err(error) => tracing::debug!(%error, "cannot read the open transactions"),
    }
}
