//! Takes back what an import wrote, as if its file had never come.

use std::future::Future;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sqlx::PgTransaction;

use super::report::RowError;
use super::run::{Imports, Lease};
use super::status;
use crate::error::ApiError;
use crate::extract::Json;

/// How a service takes its imported documents back.
pub trait Withdrawal: Send + 'static {
    /// The kinds of import whose documents can be taken back.
    const KINDS: &'static [&'static str];

    /// Marks some documents of the import as deleted, under their locks, in a transaction of less than two seconds. A
    /// document on which one outside of the import depends stays.
    fn step(
        &mut self,
        tx: &mut PgTransaction<'_>,
        import_id: i64,
    ) -> impl Future<Output = Result<Step, ApiError>> + Send;
}

/// What one step came to.
#[derive(Debug, Default)]
pub struct Step {
    /// Whether nothing is left to do.
    pub done: bool,
    /// The documents that stay, by name, and why.
    pub refused: Vec<String>,
}

impl Imports {
    /// Begins to take an import back: 202, and `GET /imports/{id}` tells what comes of it. Safe to repeat; what stayed, because
    /// others depended on it, goes when it is asked for again and they are gone.
    ///
    /// # Errors
    /// 404; 409 for an import that runs, or whose documents cannot be taken back.
    pub async fn withdraw<W: Withdrawal>(&self, id: i64, mut withdrawal: W) -> Result<Response, ApiError> {
        let report = status::report(self.db(), id).await?;
        if !W::KINDS.contains(&report.kind.as_str()) {
            let detail = format!("an import of {} changes what is there, and cannot be withdrawn", report.kind);
            return Err(ApiError::conflict("not-withdrawable", detail));
        }
        let lease = self.resume(id).await?;
        self.queue(async move {
            if let Err(error) = run(&lease, &mut withdrawal).await {
                tracing::warn!(import = id, error = crate::telemetry::chain(&error), "a withdrawal was interrupted");
                lease.interrupt(&error).await;
            }
            lease.release().await;
        })?;
        Ok((StatusCode::ACCEPTED, Json(status::report(self.db(), id).await?)).into_response())
    }
}

async fn run<W: Withdrawal>(lease: &Lease, withdrawal: &mut W) -> Result<(), ApiError> {
    loop {
        let mut tx = crate::db::begin(&lease.db).await?;
        lease.hold(&mut tx, "withdrawing").await?;
        let step = withdrawal.step(&mut tx, lease.id).await?;
        // No row of the file is at fault, so there is no line.
        let errors: Vec<RowError> = step
            .refused
            .into_iter()
            .map(|reason| RowError { line: 0, field: Some("reference".to_owned()), reason })
            .collect();
        lease.note(&mut tx, &errors).await?;
        if step.done {
            sqlx::query!(
                "UPDATE imports SET state = 'withdrawn', ended_at = now(), unfinished_since = NULL, detail = \
                 (SELECT CASE WHEN count(*) > 0 THEN count(*) || ' documents stay, because others depend on them' END \
                  FROM import_refusals WHERE import_id = $1 AND line = 0) WHERE id = $1",
                lease.id
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        if step.done {
            return Ok(());
        }
    }
}
