//! Publishing: what a report says about a business day, kept as immutable revisions in
//! `reporting_db`, schema `published`; schema `reports` shows the current ones.
//!
//! A revision is made in one transaction, under a lock of its report and day; equal content in an
//! equal state makes none. The database refuses every later change.

mod diff;
mod digest;
mod error;
mod gate;
mod lock;
mod outdated;
mod read;
mod rows;
mod stored;

use std::sync::Arc;

use base::Currency;
use chrono::NaiveDate;
use metrics::counter;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool, PgTransaction};

pub use diff::{Changed, Diff, Total, diff};
pub use error::PublishError;
pub use gate::{Gate, Missing, Reason};
pub use lock::{Lock, LockLost, NoLock};
pub use outdated::{Outdated, OutdatedRevision, outdated, published_days};
pub use read::{
    PublishedColumn, PublishedRows, Restated, Revision, days_with_findings, last_day, of_day, restated, revision,
    revision_rows, revisions, rows_of,
};

use crate::metric;
use crate::report::{Catalogue, Grain, Report, ReportResult, Reports};
use digest::Difference;
use lock::lock_day;
use outdated::CauseScope;
use stored::StoredColumn;

/// What [`Publisher::publish`] did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Published {
    pub report: String,
    pub business_day: NaiveDate,
    /// The current revision: the new one, or the one that already said the same.
    pub revision: i32,
    pub state: State,
    /// Whether a revision was made.
    pub changed: bool,
    pub row_count: i64,
    pub digest: String,
    /// What kept it from being final.
    pub missing: Vec<Missing>,
}

/// Whether all data was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum State {
    /// Something was missing; it is named.
    Provisional,
    /// Every source was complete through the end of the day, without quarantined rows.
    Final,
}

impl State {
    /// As in the database and in every answer.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provisional => "provisional",
            Self::Final => "final",
        }
    }
}

/// Makes revisions of reports.
#[derive(Debug)]
pub struct Publisher {
    db: PgPool,
    reports: Arc<Reports>,
    /// Of the amounts that are published.
    currency: Currency,
}

impl Publisher {
    pub(crate) fn new(db: PgPool, reports: Arc<Reports>, currency: Currency) -> Self {
        Self { db, reports, currency }
    }

    /// Computes a report for a business day on the gate's snapshot and publishes it, unless the current revision says
    /// the same, but for labels.
    ///
    /// The lock is checked first in the transaction that writes, so that a run which was taken over publishes nothing.
    /// The state follows from the data: `final` when the gate finds nothing missing. A revision that is not the day's
    /// first carries its cause: the rows that came to the lake since the one before. One that says the same is no
    /// longer outdated.
    ///
    /// # Errors
    /// When the report cannot be computed or is not published, or the lock or the database is lost;
    /// nothing has been written then.
    pub async fn publish(
        &self,
        name: &str,
        business_day: NaiveDate,
        gate: &Gate,
        lock: &dyn Lock,
    ) -> Result<Published, PublishError> {
        let report = self.reports.find(name)?;
        if report.publish.is_none() {
            return Err(PublishError::NotPublished { report: name.to_owned() });
        }
        let missing = gate.missing(&report, business_day);
        let result = self.reports.run_for_day(report, business_day, gate.snapshot()).await?;
        self.write(result, business_day, missing, lock).await
    }

    async fn write(
        &self,
        result: Arc<ReportResult>,
        business_day: NaiveDate,
        missing: Vec<Missing>,
        lock: &dyn Lock,
    ) -> Result<Published, PublishError> {
        let report = &result.report;
        let state = if missing.is_empty() { State::Final } else { State::Provisional };
        let digest = {
            let (result, missing) = (Arc::clone(&result), missing.clone());
            tokio::task::spawn_blocking(move || digest::of(&result, state, &missing)).await??
        };
        let (mut tx, current, difference) = self.locked(&result, business_day, &digest, lock).await?;
        let version = ensure_version(&mut tx, report, self.currency).await?;
        let row_count = i64::try_from(result.frame.height()).unwrap_or(i64::MAX);
        let mut published = Published {
            report: report.name.clone(),
            business_day,
            revision: 0,
            state,
            changed: false,
            row_count,
            digest,
            missing,
        };
        let mut cause = None;
        if let Some(current) = &current {
            let same_state = current.state == state && current.missing == published.missing;
            if same_state && difference != Difference::Figures {
                if current.outdated.is_some() {
                    outdated::mark(&mut tx, current, result.snapshot, None).await?;
                }
                published.revision = current.revision;
                published.digest.clone_from(&current.digest);
                tx.commit().await?;
                return Ok(published);
            }
            let days = self.reports.days_behind(report, business_day);
            let scope = if difference == Difference::None { CauseScope::Days } else { CauseScope::AllRead };
            let came = outdated::known_to_have_come(&mut tx, report, current, &days, result.snapshot, scope).await?;
            cause = came.map(|came| came.by);
        }
        published.revision = current.map_or(0, |current| current.revision) + 1;
        published.changed = true;
        let revision_id = self.insert(&mut tx, &result, &published, version, cause).await?;
        rows::insert(&mut tx, &format!("{}_v{version}", report.name), revision_id, &result, self.currency).await?;
        tx.commit().await?;
        counter!(metric::REVISIONS, "state" => state.name()).increment(1);
        Ok(published)
    }

    /// A transaction that holds the day's lock, the current revision, and how the result differs from it. They are
    /// compared before anything is locked, because a million rows take their time; and again where a revision came
    /// meanwhile.
    async fn locked(
        &self,
        result: &Arc<ReportResult>,
        business_day: NaiveDate,
        digest: &str,
        lock: &dyn Lock,
    ) -> Result<(PgTransaction<'static>, Option<Revision>, Difference), PublishError> {
        let name = &result.report.name;
        loop {
            let seen = read::current(&mut *self.db.acquire().await?, name, business_day).await?;
            let difference = self.difference(seen.as_ref(), result, digest).await?;
            let mut tx = base::begin(&self.db).await?;
            lock.check(&mut tx).await?;
            lock_day(&mut tx, name, business_day).await?;
            let current = read::current(&mut tx, name, business_day).await?;
            let id = |revision: &Option<Revision>| revision.as_ref().map(|it| it.revision_id);
            if id(&current) == id(&seen) {
                return Ok((tx, current, difference));
            }
        }
    }

    /// How a result differs from what is published.
    async fn difference(
        &self,
        from: Option<&Revision>,
        result: &Arc<ReportResult>,
        digest: &str,
    ) -> Result<Difference, PublishError> {
        let Some(from) = from else { return Ok(Difference::Figures) };
        if from.digest == digest {
            return Ok(Difference::None);
        }
        let (then, now) = (read::rows_of(&self.db, from.clone()).await?, Arc::clone(result));
        Ok(tokio::task::spawn_blocking(move || digest::difference(&then, &now)).await??)
    }

    /// Marks what is published of a report for a day as outdated by the rows that came to the lake `after` a snapshot,
    /// beside those of an earlier mark; whether there were any.
    ///
    /// # Errors
    /// When the lock or the database is lost; nothing has been written then.
    pub async fn mark_outdated(
        &self,
        report: &Report,
        business_day: NaiveDate,
        after: i64,
        gate: &Gate,
        lock: &dyn Lock,
    ) -> Result<bool, PublishError> {
        let mut tx = base::begin(&self.db).await?;
        lock.check(&mut tx).await?;
        lock_day(&mut tx, &report.name, business_day).await?;
        let Some(current) = read::current(&mut tx, &report.name, business_day).await? else { return Ok(false) };
        let counted_through = outdated::counted_through(&mut tx, &current).await?;
        let (after, through) = (counted_through.max(after), gate.snapshot());
        if after >= through {
            return Ok(false);
        }
        let days = self.reports.days_behind(report, business_day);
        let came = outdated::came(&mut tx, report, &days, (after, through), CauseScope::Days).await?;
        let Some(came) = came else { return Ok(false) };
        outdated::mark(&mut tx, &current, through, Some(&came.beside_mark_of(&current)?)).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Inserts the row of a revision; its rows come after it.
    async fn insert(
        &self,
        tx: &mut PgConnection,
        result: &ReportResult,
        published: &Published,
        version: i32,
        cause: Option<Value>,
    ) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar!(
            "INSERT INTO published.revision
                 (report, business_day, revision, version, state, missing, parameters, snapshot, sources, currency,
                  row_count, digest, cause, generated_at, of_moment)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING revision_id",
            &published.report,
            published.business_day,
            published.revision,
            version,
            published.state.name(),
            json!(published.missing),
            json!(result.parameters),
            result.snapshot,
            json!(result.sources),
            self.currency.code(),
            published.row_count,
            &published.digest,
            cause,
            result.computed_at,
            result.report.grain == Grain::Snapshot
        )
        .fetch_one(tx)
        .await
    }
}

/// Makes the tables and views of every published report, so that dashboards find them before the
/// first night.
pub(crate) async fn prepare(db: &PgPool, catalogue: &Catalogue, currency: Currency) -> Result<(), PublishError> {
    for report in catalogue.reports().filter(|report| report.publish.is_some()) {
        let mut connection = db.acquire().await?;
        ensure_version(&mut connection, report, currency).await?;
    }
    Ok(())
}

/// The number of the version with the report's columns.
async fn ensure_version(
    connection: &mut PgConnection,
    report: &Report,
    currency: Currency,
) -> Result<i32, sqlx::Error> {
    let columns: Vec<_> = report.columns.iter().map(|column| StoredColumn::of(column, currency)).collect();
    sqlx::query_scalar!(r#"SELECT published.ensure_version($1, $2) AS "version!""#, &report.name, json!(columns))
        .fetch_one(connection)
        .await
}
