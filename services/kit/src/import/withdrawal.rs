//! Takes back what an import wrote, as if its file had never come.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;

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

    /// Marks some documents of the import as deleted, under their locks, in a transaction of less than two seconds; what they
    /// had corrected is again what it was before. A document on which one outside of the import depends stays, and one whose
    /// earlier version no longer fits.
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

/// Pieces and minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub pieces: i64,
    pub cents: i64,
}

impl Sum {
    /// Adds `other` so many times.
    pub fn add(&mut self, other: Self, times: i64) {
        self.pieces += times * other.pieces;
        self.cents += times * other.cents;
    }
}

/// A document that takes from others, and the earlier one that comes in its place: each by what it takes from.
#[derive(Debug)]
pub struct Exchange<K> {
    pub gives: Vec<(K, Sum)>,
    pub takes: Vec<(K, Sum)>,
}

impl<K> Default for Exchange<K> {
    fn default() -> Self {
        Self { gives: Vec::new(), takes: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash> Exchange<K> {
    fn make(&self, left: &mut HashMap<K, Sum>, times: i64) {
        self.gives.iter().for_each(|(key, sum)| left.entry(*key).or_default().add(*sum, times));
        self.takes.iter().for_each(|(key, sum)| left.entry(*key).or_default().add(*sum, -times));
    }
}

/// Which exchanges cannot be made, when all others are made at once: they would leave less than nothing of what is `left`.
pub fn unfit<K: Copy + Eq + Hash>(mut left: HashMap<K, Sum>, exchanges: &[Exchange<K>]) -> Vec<bool> {
    exchanges.iter().for_each(|exchange| exchange.make(&mut left, 1));
    let mut unfit = vec![false; exchanges.len()];
    loop {
        let is_beyond = |(key, _): &(K, Sum)| left.get(key).is_some_and(|left| left.pieces < 0 || left.cents < 0);
        let next = (0..exchanges.len()).rev().find(|at| !unfit[*at] && exchanges[*at].takes.iter().any(is_beyond));
        let Some(at) = next else { return unfit };
        unfit[at] = true;
        exchanges[at].make(&mut left, -1);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_are_made_together_or_not() {
        let sum = |pieces| Sum { pieces, cents: 100 * pieces };
        let exchange = |gives, takes| Exchange { gives: vec![(1, sum(gives))], takes: vec![(1, sum(takes))] };
        let left = |pieces| HashMap::from([(1, sum(pieces))]);
        // Each alone would be too much for the moment.
        assert_eq!(unfit(left(0), &[exchange(1, 2), exchange(2, 1)]), [false, false]);
        assert_eq!(unfit(left(0), &[exchange(1, 2), exchange(1, 1), exchange(1, 2)]), [true, true, true]);
        assert_eq!(unfit(left(1), &[exchange(1, 2), exchange(1, 1), exchange(1, 2)]), [false, false, true]);
        assert_eq!(unfit(left(0), &[Exchange { gives: Vec::new(), takes: vec![(2, sum(1))] }]), [true]);
    }
}
