//! Years of published days in seconds: the newest day of a report is said again for days before it, as the nightly runs
//! would have said them.

use std::ops::RangeInclusive;

use anyhow::Result;
use chrono::NaiveDate;
use sqlx::{AssertSqlSafe, PgPool};

/// Says the newest day of a report again, on days that lie so many days before it, a third of them twice; the rows
/// written.
pub(crate) async fn say_again(owner: &PgPool, report: &str, back: RangeInclusive<i32>) -> Result<u32> {
    let newest: (i64, NaiveDate, String) = sqlx::query_as(
        "SELECT r.revision_id, r.business_day, v.table_name FROM published.revision r
         JOIN published.report_version v USING (report, version) WHERE r.report = $1
         ORDER BY r.business_day DESC, r.revision DESC LIMIT 1",
    )
    .bind(report)
    .fetch_one(owner)
    .await?;
    let (model, day, table) = newest;
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(column_name) FROM information_schema.columns
         WHERE table_schema = 'published' AND table_name = $1 AND column_name NOT IN ('revision_id', 'day')
         ORDER BY ordinal_position",
    )
    .bind(&table)
    .fetch_all(owner)
    .await?;
    let days: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM information_schema.columns
         WHERE table_schema = 'published' AND table_name = $1 AND column_name = 'day')",
    )
    .bind(&table)
    .fetch_one(owner)
    .await?;
    // Rows join a revision only in the transaction that makes it.
    let mut tx = kit::db::begin(owner).await?;
    sqlx::query(
        "INSERT INTO published.revision (report, business_day, revision, version, state, missing, parameters, snapshot,
             sources, currency, row_count, digest, generated_at, published_at)
         SELECT report, business_day - back, number, version, 'final', '[]', parameters, snapshot, sources, currency,
             row_count, digest, generated_at - make_interval(days => back), published_at - make_interval(days => back)
         FROM published.revision CROSS JOIN generate_series($2::int, $3::int) AS back
         CROSS JOIN generate_series(1, 2) AS number
         WHERE revision_id = $1 AND (number = 1 OR back % 3 = 0) ORDER BY back DESC, number",
    )
    .bind(model)
    .bind(*back.start())
    .bind(*back.end())
    .execute(&mut *tx)
    .await?;
    let list = columns.join(", ");
    let (day_to, day_from) = if days { (", day", ", r.business_day") } else { ("", "") };
    let rows = sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO published.{table} (revision_id, {list}{day_to})
         SELECT r.revision_id, {list}{day_from} FROM published.revision r CROSS JOIN published.{table} d
         WHERE r.report = $1 AND r.business_day < $2 AND d.revision_id = $3
         AND r.made_by = pg_current_xact_id() ORDER BY r.revision_id, d.row_no"
    )))
    .bind(report)
    .bind(day)
    .bind(model);
    let written = rows.execute(&mut *tx).await?.rows_affected();
    sqlx::query(
        "INSERT INTO exports.file (business_day, report, revision, format, path, rows, bytes, sha256, provenance, run_id,
             removed_at, cleared_at)
         SELECT r.business_day, r.report, r.revision, format, r.business_day || '/' || r.report || r.revision || format,
             r.row_count, 1000, r.digest, '{}', 1, superseded.at, superseded.at
         FROM published.revision r CROSS JOIN (VALUES ('csv'), ('parquet'), ('xlsx')) AS formats (format)
         CROSS JOIN LATERAL (SELECT CASE WHEN r.revision = 1 AND EXISTS (
             SELECT FROM published.revision later WHERE later.report = r.report AND later.business_day = r.business_day
                AND later.revision = 2) THEN now() END) AS superseded (at)
         WHERE r.report = $1 AND r.made_by = pg_current_xact_id()",
    )
    .bind(report)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(u32::try_from(written)?)
}
