//! When a fact happened, as the clock on the wall showed it.
//!
//! The service that writes a fact computes its local time once, by the zone data that are compiled in, and stores it beside
//! instant and zone. Business day and hour follow from it by arithmetic, here and wherever the feed takes it.

use std::collections::HashSet;
use std::sync::{LazyLock, PoisonError, RwLock};

use base::Tz;
use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::{AssertSqlSafe, PgPool, PgTransaction};

use crate::error::ApiError;

/// Rows that are filled in one transaction: some tens of milliseconds of locks.
const ROWS: i64 = 5_000;

/// What the clock in a zone showed at an instant.
///
/// # Errors
/// 422: the zone was accepted once and is not known to this version.
pub fn local_time(zone: &str, instant: DateTime<Utc>) -> Result<NaiveDateTime, ApiError> {
    let tz: Tz = zone.parse().map_err(|_| {
        ApiError::invalid(
            "time_zone",
            format!("zone data {} have no zone {zone:?}; give its present name", base::ZONE_DATA),
        )
    })?;
    Ok(tz.local(instant))
}

/// Whether the database's own zone data have a zone, too: what fills rows of older versions must not fail on it.
///
/// # Errors
/// The database's.
pub async fn is_known_to_database(db: &PgPool, zone: &str) -> Result<bool, sqlx::Error> {
    static KNOWN: LazyLock<RwLock<HashSet<String>>> = LazyLock::new(RwLock::default);
    if KNOWN.read().unwrap_or_else(PoisonError::into_inner).contains(zone) {
        return Ok(true);
    }
    let known: bool = sqlx::query_scalar("SELECT import_zone_known($1)").bind(zone).fetch_one(db).await?;
    if known {
        KNOWN.write().unwrap_or_else(PoisonError::into_inner).insert(zone.to_owned());
    }
    Ok(known)
}

/// Gives the rows of these tables that were written before there was a local time theirs.
///
/// What was done is kept: an interrupted service goes on where it stopped, and replicas that start together share the work.
///
/// # Errors
/// The database's.
pub async fn fill_local_times(db: &PgPool, tables: &[&'static str]) -> Result<(), sqlx::Error> {
    for table in tables {
        let mut filled = 0;
        while let Some(rows) = fill(db, table).await? {
            filled += rows;
        }
        if filled > 0 {
            tracing::info!(table, filled, zone_data = base::ZONE_DATA, "older rows have their local time");
        }
    }
    Ok(())
}

/// Fills the next rows of a table; nothing when all are.
async fn fill(db: &PgPool, table: &'static str) -> Result<Option<usize>, sqlx::Error> {
    let mut tx = base::begin(db).await?;
    let through: Option<i64> = sqlx::query_scalar(
        "SELECT through_id FROM local_time_filled WHERE table_name = $1 AND ended_at IS NULL FOR UPDATE",
    )
    .bind(table)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(through) = through else { return Ok(None) };
    let next = format!(
        "SELECT id, occurred_at, time_zone FROM {table} WHERE id > $1 AND local_time IS NULL ORDER BY id LIMIT $2 FOR NO KEY UPDATE"
    );
    let rows: Vec<(i64, DateTime<Utc>, String)> =
        sqlx::query_as(AssertSqlSafe(next)).bind(through).bind(ROWS).fetch_all(&mut *tx).await?;
    match rows.last() {
        Some((last, ..)) => {
            write(&mut tx, table, &rows).await?;
            sqlx::query!("UPDATE local_time_filled SET through_id = $2 WHERE table_name = $1", table, last)
                .execute(&mut *tx)
                .await?;
        }
        None => {
            sqlx::query!("UPDATE local_time_filled SET ended_at = now() WHERE table_name = $1", table)
                .execute(&mut *tx)
                .await?;
        }
    }
    tx.commit().await?;
    Ok(Some(rows.len()))
}

async fn write(
    tx: &mut PgTransaction<'_>,
    table: &'static str,
    rows: &[(i64, DateTime<Utc>, String)],
) -> Result<(), sqlx::Error> {
    // A zone that only the database has is the database's to tell.
    let local = |at: &DateTime<Utc>, zone: &String| Some(zone.parse::<Tz>().ok()?.local(*at));
    let (ids, times): (Vec<i64>, Vec<Option<NaiveDateTime>>) =
        rows.iter().map(|(id, at, zone)| (*id, local(at, zone))).unzip();
    sqlx::query("SELECT set_config('feed.keep_stamps', 'on', true)").execute(&mut **tx).await?;
    let fill = format!(
        "UPDATE {table} AS t SET local_time = coalesce(f.local_time, timezone(t.time_zone, t.occurred_at)) \
         FROM unnest($1::bigint[], $2::timestamp[]) AS f (id, local_time) WHERE t.id = f.id"
    );
    sqlx::query(AssertSqlSafe(fill)).bind(ids).bind(times).execute(&mut **tx).await?;
    Ok(())
}
