//! The right to work on a run, and the proof of it inside a transaction.

use std::{pin::Pin, time::Duration};

use sqlx::{PgConnection, PgPool};

/// A claimed run: its row and the fencing token of this replica's claim.
///
/// Each claim takes the next token and writes it into the row (`fence`), so at most one replica holds the row's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Number of the run's row.
    pub run: i64,
    /// The fencing token of this claim.
    pub token: i64,
}

/// The run is no longer this replica's to write.
#[derive(Debug, thiserror::Error)]
pub enum LeaseLost {
    /// Another replica took over, or the run has ended.
    #[error("run {run} is no longer ours: another replica took it over, or it has ended")]
    TakenOver {
        /// The run.
        run: i64,
    },
    /// Somebody asked for the run to be cancelled.
    #[error("run {run} was cancelled")]
    Cancelled {
        /// The run.
        run: i64,
    },
    /// The question could not be asked.
    #[error("the run's row could not be locked")]
    Database(#[from] sqlx::Error),
}

impl Lease {
    /// Lock the run's row for the rest of this transaction, where it still has this token.
    ///
    /// Call it first in every transaction that writes a run's work: a claim needs the same row lock, so nobody can
    /// take over between this check and the commit.
    ///
    /// # Errors
    /// [`LeaseLost`]; the transaction must then be rolled back.
    pub async fn check(&self, connection: &mut PgConnection) -> Result<(), LeaseLost> {
        let found: Option<(bool, bool)> = sqlx::query_as(
            "SELECT cancel_requested_at IS NOT NULL, takeovers > 0 FROM jobs.run
              WHERE id = $1 AND fence = $2 AND status = 'running'
                FOR UPDATE",
        )
        .bind(self.run)
        .bind(self.token)
        .fetch_optional(&mut *connection)
        .await?;
        let taken_over = match found {
            Some((false, taken_over)) => taken_over,
            Some((true, _)) => return Err(LeaseLost::Cancelled { run: self.run }),
            None => return Err(LeaseLost::TakenOver { run: self.run }),
        };
        if taken_over {
            // What is written with this is further than what earlier attempts wrote, which stopped without an end.
            sqlx::query!("UPDATE jobs.run SET takeovers = 0 WHERE id = $1", self.run).execute(connection).await?;
        }
        Ok(())
    }

    /// Prolong the lease once.
    ///
    /// # Errors
    /// As [`Lease::check`].
    pub async fn beat(&self, pool: &PgPool, length: Duration) -> Result<(), LeaseLost> {
        let cancelled: Option<bool> = sqlx::query_scalar!(
            "UPDATE jobs.run SET lease_until = clock_timestamp() + make_interval(secs => $3)
              WHERE id = $1 AND fence = $2 AND status = 'running'
              RETURNING cancel_requested_at IS NOT NULL AS \"cancelled!\"",
            self.run,
            self.token,
            length.as_secs_f64()
        )
        .fetch_optional(pool)
        .await?;
        match cancelled {
            Some(false) => Ok(()),
            Some(true) => Err(LeaseLost::Cancelled { run: self.run }),
            None => Err(LeaseLost::TakenOver { run: self.run }),
        }
    }

    /// Keep the lease alive until it is lost; returns how.
    ///
    /// An unreachable database is tolerated until the lease has run out by our own clock: from then on another
    /// replica may have taken over. While a transaction of the run's work has its row locked, nobody can: the heartbeat
    /// then waits in line.
    pub async fn keep(&self, pool: &PgPool, length: Duration) -> LeaseLost {
        let turns = base::Turns::of(format!("heartbeat of run {}", self.run), length / 3);
        let mut last_success = tokio::time::Instant::now();
        let mut in_line = false;
        loop {
            if !in_line {
                tokio::time::sleep(length / 3).await;
            }
            turns.mark();
            let beat = self.beat(pool, length).await;
            in_line = matches!(&beat, Err(LeaseLost::Database(error)) if base::is_lock_timeout(error));
            match beat {
                Ok(()) => last_success = tokio::time::Instant::now(),
                Err(_) if in_line => last_success = tokio::time::Instant::now(),
                Err(LeaseLost::Database(error)) if last_success.elapsed() < length => {
                    tracing::warn!(run = self.run, %error, "a heartbeat failed; trying again");
                }
                Err(lost) => return lost,
            }
        }
    }
}

/// Publishing checks our right to write in its own transaction.
impl aggregator::publish::Lock for Lease {
    fn check<'a>(
        &'a self,
        tx: &'a mut PgConnection,
    ) -> Pin<Box<dyn Future<Output = Result<(), aggregator::publish::LockLost>> + Send + 'a>> {
        Box::pin(
            async move { Self::check(self, tx).await.map_err(|lost| aggregator::publish::LockLost(lost.to_string())) },
        )
    }
}
