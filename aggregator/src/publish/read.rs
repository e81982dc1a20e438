//! Reading what was published: the list of revisions, and the rows of one.

use std::collections::BTreeSet;

use base::Currency;
use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::{Column, DataFrame, DataType, TimeUnit, TimeZone};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgPool, Row};

use super::rows::quoted;
use super::stored::StoredColumn;
use super::{Missing, Outdated, PublishError, State};
use crate::report::{ColumnType, Report};

/// One revision, without its rows.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct Revision {
    #[serde(skip)]
    pub revision_id: i64,
    pub report: String,
    pub business_day: NaiveDate,
    pub revision: i32,
    pub version: i32,
    pub state: State,
    #[sqlx(json)]
    pub missing: Vec<Missing>,
    pub parameters: serde_json::Value,
    pub snapshot: i64,
    /// Name, `complete_through`, age and staleness of each source when it was computed.
    pub sources: serde_json::Value,
    pub currency: String,
    pub row_count: i64,
    pub digest: String,
    /// Of a day's second and later revisions: the rows that came since the one before, by source and dataset.
    pub cause: Option<serde_json::Value>,
    pub generated_at: DateTime<Utc>,
    pub published_at: DateTime<Utc>,
    /// Rows have come that it does not hold, too late for its day to be published again by itself.
    pub outdated: Option<Json<Outdated>>,
}

/// What made a revision that was not a day's first.
#[derive(Debug, Clone, Serialize)]
pub struct Restated {
    pub revision: i32,
    pub state: State,
    /// What kept it from being final.
    pub missing: Vec<Missing>,
    /// The rows that came since the revision before: source, dataset, how many. None when no row came, and only the
    /// state moved on.
    pub cause: Option<serde_json::Value>,
    pub published_at: DateTime<Utc>,
}

impl Revision {
    /// Decimals of its amounts.
    #[must_use]
    pub fn decimals(&self) -> u8 {
        // Before codes were checked, one that ISO 4217 does not know had two.
        self.currency.parse::<Currency>().map_or(2, Currency::decimals)
    }
}

impl From<Revision> for Restated {
    fn from(revision: Revision) -> Self {
        let Revision { revision, state, missing, cause, published_at, .. } = revision;
        Self { revision, state, missing, cause, published_at }
    }
}

/// A column as it was when the revision was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedColumn {
    pub name: String,
    pub kind: ColumnType,
}

/// The rows of a revision, as they were computed: money in `Int64` cents.
#[derive(Debug, Clone)]
pub struct PublishedRows {
    pub revision: Revision,
    pub columns: Vec<PublishedColumn>,
    pub frame: DataFrame,
}

/// The columns of a [`Revision`]; a macro, because statements must be constant text.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT revision_id, report, business_day, revision, version, state, missing, parameters, snapshot, sources, ",
            "currency, row_count, digest, cause, generated_at, published_at, ",
            "(SELECT mark.outdated FROM published.newest_mark AS mark WHERE mark.report = r.report ",
            "AND mark.business_day = r.business_day AND mark.revision = r.revision) AS outdated FROM published.revision AS r ",
            $rest
        )
    };
}

/// Revisions of a report, newest day and revision first: all, or those of one day. `before` pages on
/// from the last `(business_day, revision)` seen.
///
/// # Errors
/// When the database fails.
pub async fn revisions(
    db: &PgPool,
    report: &str,
    business_day: Option<NaiveDate>,
    before: Option<(NaiveDate, i32)>,
    limit: i64,
) -> Result<Vec<Revision>, PublishError> {
    let (day, number) = before.unzip();
    let sql = select!(
        "WHERE report = $1 AND ($2::date IS NULL OR business_day = $2)
           AND ($3::date IS NULL OR (business_day, revision) < ($3, $4))
         ORDER BY business_day DESC, revision DESC LIMIT $5"
    );
    let query = sqlx::query_as(sql).bind(report).bind(business_day).bind(day).bind(number).bind(limit);
    Ok(query.fetch_all(db).await?)
}

/// The last business day up to `until` that anything was published for.
///
/// # Errors
/// When the database fails.
pub async fn last_day(db: &PgPool, until: NaiveDate) -> Result<Option<NaiveDate>, PublishError> {
    let last = sqlx::query_scalar!("SELECT max(business_day) FROM published.revision WHERE business_day <= $1", until);
    Ok(last.fetch_one(db).await?)
}

/// The current revision of every report of a day, by name.
///
/// # Errors
/// When the database fails.
pub async fn of_day(db: &PgPool, business_day: NaiveDate) -> Result<Vec<Revision>, PublishError> {
    let sql = select!(
        "WHERE business_day = $1
           AND NOT EXISTS (SELECT FROM published.revision AS later
                            WHERE later.report = r.report AND later.business_day = r.business_day AND later.revision > r.revision)
         ORDER BY report"
    );
    Ok(sqlx::query_as(sql).bind(business_day).fetch_all(db).await?)
}

/// The days from `since` whose current revision has findings, of a report whose rows are such.
///
/// # Errors
/// When the database fails.
pub async fn days_with_findings(
    db: &PgPool,
    report: &Report,
    since: NaiveDate,
) -> Result<BTreeSet<NaiveDate>, PublishError> {
    let Some(check) = &report.check else { return Ok(BTreeSet::new()) };
    let counts = match &check.column {
        Some(column) => format!("{} = $2", quoted(column)),
        None => "$2::text IS NULL".to_owned(),
    };
    let sql = format!(
        "SELECT DISTINCT business_day FROM reports.{} WHERE business_day >= $1 AND {counts}",
        quoted(&report.name)
    );
    let days: Vec<NaiveDate> = sqlx::query_scalar(AssertSqlSafe(sql)).bind(since).bind(&check.is).fetch_all(db).await?;
    Ok(days.into_iter().collect())
}

/// Revisions that took the place of earlier ones since `since`, the newest first.
///
/// # Errors
/// When the database fails.
pub async fn restated(db: &PgPool, since: DateTime<Utc>, limit: i64) -> Result<Vec<Revision>, PublishError> {
    let sql = select!("WHERE published_at > $1 AND revision > 1 ORDER BY published_at DESC, revision_id DESC LIMIT $2");
    Ok(sqlx::query_as(sql).bind(since).bind(limit).fetch_all(db).await?)
}

/// A revision of a day: that number, or the current one.
///
/// # Errors
/// [`PublishError::UnknownRevision`], or when the database fails.
pub async fn revision(
    db: &PgPool,
    report: &str,
    business_day: NaiveDate,
    number: Option<i32>,
) -> Result<Revision, PublishError> {
    let sql = select!(
        "WHERE report = $1 AND business_day = $2 AND ($3::int IS NULL OR revision = $3) ORDER BY revision DESC LIMIT 1"
    );
    let found = sqlx::query_as(sql).bind(report).bind(business_day).bind(number).fetch_optional(db).await?;
    found.ok_or_else(|| PublishError::UnknownRevision { report: report.to_owned(), business_day, revision: number })
}

/// The revisions of a day after one number up to and with another, oldest first.
pub(super) async fn revisions_between(
    db: &PgPool,
    report: &str,
    business_day: NaiveDate,
    after: i32,
    to: i32,
) -> Result<Vec<Revision>, PublishError> {
    let sql = select!("WHERE report = $1 AND business_day = $2 AND revision > $3 AND revision <= $4 ORDER BY revision");
    Ok(sqlx::query_as(sql).bind(report).bind(business_day).bind(after).bind(to).fetch_all(db).await?)
}

/// The current revision of a day, inside a transaction.
pub(super) async fn current(
    tx: &mut PgConnection,
    report: &str,
    business_day: NaiveDate,
) -> Result<Option<Revision>, sqlx::Error> {
    let sql = select!("WHERE report = $1 AND business_day = $2 ORDER BY revision DESC LIMIT 1");
    sqlx::query_as(sql).bind(report).bind(business_day).fetch_optional(tx).await
}

/// A revision with its rows, in their order and in the columns they had then.
///
/// # Errors
/// [`PublishError::UnknownRevision`], or when the database fails.
pub async fn revision_rows(
    db: &PgPool,
    report: &str,
    business_day: NaiveDate,
    number: Option<i32>,
) -> Result<PublishedRows, PublishError> {
    rows_of(db, revision(db, report, business_day, number).await?).await
}

/// The rows of a revision.
///
/// # Errors
/// When the database fails.
pub async fn rows_of(db: &PgPool, revision: Revision) -> Result<PublishedRows, PublishError> {
    let mut connection = db.acquire().await?;
    let sql = "SELECT columns, table_name FROM published.report_version WHERE report = $1 AND version = $2";
    let (Json(columns), table): (Json<Vec<StoredColumn>>, String) =
        sqlx::query_as(sql).bind(&revision.report).bind(revision.version).fetch_one(&mut *connection).await?;
    let list: Vec<String> = columns
        .iter()
        .map(|column| match column.decimals() {
            Some(decimals) => format!("({} * {})::bigint", quoted(&column.name), 10_u32.pow(decimals.into())),
            None => quoted(&column.name),
        })
        .collect();
    let columns: Vec<PublishedColumn> = columns.into_iter().map(Into::into).collect();
    let sql =
        format!("SELECT {} FROM published.{} WHERE revision_id = $1 ORDER BY row_no", list.join(", "), quoted(&table));
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(revision.revision_id).fetch_all(&mut *connection).await?;
    drop(connection);
    let decoded = tokio::task::spawn_blocking(move || {
        let series = columns.iter().enumerate().map(|(place, column)| column_of(&rows, place, column));
        let frame = DataFrame::new(rows.len(), series.collect::<Result<_, PublishError>>()?)?;
        Ok(PublishedRows { revision, columns, frame })
    });
    decoded.await?
}

fn column_of(rows: &[PgRow], place: usize, column: &PublishedColumn) -> Result<Column, PublishError> {
    let name = || column.name.as_str().into();
    Ok(match column.kind {
        ColumnType::Int32 => Column::new(name(), values::<i32>(rows, place)?),
        ColumnType::Int64 | ColumnType::Money => Column::new(name(), values::<i64>(rows, place)?),
        ColumnType::Float => Column::new(name(), values::<f64>(rows, place)?),
        ColumnType::String => Column::new(name(), values::<String>(rows, place)?),
        ColumnType::Bool => Column::new(name(), values::<bool>(rows, place)?),
        ColumnType::Date => {
            let days = values::<NaiveDate>(rows, place)?;
            let days = days.into_iter().map(|day| day.map(|day| (day - NaiveDate::default()).num_days()));
            let days: Vec<Option<i32>> = days.map(|days| days.and_then(|days| i32::try_from(days).ok())).collect();
            Column::new(name(), days).cast(&DataType::Date)?
        }
        ColumnType::Timestamp => {
            let moments = values::<DateTime<Utc>>(rows, place)?;
            let micros: Vec<Option<i64>> =
                moments.into_iter().map(|moment| moment.map(|moment| moment.timestamp_micros())).collect();
            let utc = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
            Column::new(name(), micros).cast(&utc)?
        }
    })
}

fn values<'r, T>(rows: &'r [PgRow], place: usize) -> Result<Vec<Option<T>>, sqlx::Error>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    rows.iter().map(|row| row.try_get(place)).collect()
}
