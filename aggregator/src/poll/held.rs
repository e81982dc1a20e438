//! Datasets that are held back: they stay as they were because a full refresh would drop too many of their rows. The others
//! of their source go on.

use serde::Serialize;
use sqlx::PgConnection;

/// A dataset of which a full refresh brought so few of the rows in the lake that it is not believed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Held {
    /// The dataset.
    pub dataset: String,
    /// Rows that did not come again.
    pub dropped: u64,
    /// Rows in the lake.
    pub existing: u64,
    /// Largest share of them that may go without an operator's word, 0 to 1.
    pub allowed: f64,
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { dataset, dropped, existing, allowed } = self;
        write!(
            f,
            "`{dataset}` is held back: the full refresh would drop {dropped} of {existing} rows, more than the allowed \
             share of {allowed}; poll with the operator's word to let it through"
        )
    }
}

/// Note which datasets a commit holds back, and which it has `taken`. One that is held back is read from its start the next
/// time, for an empty shape equals no declared one.
pub(super) async fn note<'a>(
    tx: &mut PgConnection,
    source: &str,
    held: &[Held],
    taken: impl Iterator<Item = &'a str>,
) -> Result<(), sqlx::Error> {
    let taken: Vec<String> = taken.map(str::to_owned).collect();
    sqlx::query!("DELETE FROM sync.held WHERE dataset = ANY($1)", &taken).execute(&mut *tx).await?;
    for it in held {
        sqlx::query!(
            "INSERT INTO sync.held (dataset, source, complete_through, dropped, existing, allowed)
             VALUES ($1, $2, (SELECT complete_through FROM sync.source WHERE name = $2), $3, $4, $5)
             ON CONFLICT (dataset) DO UPDATE
             SET tried_at = clock_timestamp(), dropped = excluded.dropped, existing = excluded.existing,
                 allowed = excluded.allowed",
            &it.dataset,
            source,
            it.dropped.cast_signed(),
            it.existing.cast_signed(),
            it.allowed
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("UPDATE sync.cursor SET shape = '' WHERE dataset = $1", &it.dataset).execute(&mut *tx).await?;
        tracing::warn!(source, held = %it, "the others of the source go on");
    }
    Ok(())
}

/// Have the next poll of a source read what is held back, without waiting for its hour.
pub(super) async fn try_again(tx: &mut PgConnection, source: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE sync.held SET tried_at = '-infinity' WHERE source = $1", source).execute(tx).await?;
    Ok(())
}

/// The datasets of a source that are held back.
pub(super) async fn of_source(tx: &mut PgConnection, source: &str) -> Result<Vec<Held>, sqlx::Error> {
    let sql = "SELECT dataset, dropped, existing, allowed FROM sync.held WHERE source = $1 ORDER BY dataset";
    let rows: Vec<(String, i64, i64, f64)> = sqlx::query_as(sql).bind(source).fetch_all(tx).await?;
    let held = |(dataset, dropped, existing, allowed): (String, i64, i64, f64)| Held {
        dataset,
        dropped: dropped.unsigned_abs(),
        existing: existing.unsigned_abs(),
        allowed,
    };
    Ok(rows.into_iter().map(held).collect())
}
