//! Occurrences become rows: what is due since the last look, and what was missed meanwhile.
//!
//! Each scheduled job has a row in `jobs.schedule` that says through which instant its occurrences are accounted for.
//! Planning moves that instant to now under the row's lock, so any number of replicas may plan, and none twice. Where
//! the database's clock has gone back, the plan goes back with it.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};

use super::{CatchUp, Declaration, EngineError};
use crate::metric;

/// An occurrence this late still counts as on time: schedulers are busy, replicas restart.
pub(super) const ON_TIME: TimeDelta = TimeDelta::minutes(2);
/// The most rows one planning step writes for one job; older occurrences beyond it are not even listed as skipped.
const MOST_OCCURRENCES: usize = 10_000;

/// Make a declaration known. A new job, or one whose cadence was edited, starts from now: it never fires at once.
///
/// # Errors
/// [`EngineError::Database`].
pub async fn register(pool: &PgPool, declaration: &Declaration) -> Result<(), EngineError> {
    sqlx::query!(
        "INSERT INTO jobs.schedule AS s (job, cadence, planned_through) VALUES ($1, $2, clock_timestamp())
         ON CONFLICT (job) DO UPDATE SET cadence = excluded.cadence, planned_through = excluded.planned_through
           WHERE s.cadence <> excluded.cadence",
        &declaration.name,
        declaration.cadence.to_string()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What one planning step did, and when the next is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Planned {
    /// Occurrences that are to be run.
    pub queued: usize,
    /// Occurrences that were missed and will not be run.
    pub skipped: usize,
    /// The next occurrence, and how long until then by the database's clock.
    pub next: Option<(DateTime<Utc>, TimeDelta)>,
}

/// Account for every occurrence of one job up to now.
///
/// # Errors
/// [`EngineError::Database`].
pub async fn plan(pool: &PgPool, declaration: &Declaration) -> Result<Planned, EngineError> {
    plan_at(pool, declaration, None).await
}

/// As [`plan`], with a clock that stands still; for tests of days that are not today.
///
/// # Errors
/// [`EngineError::Database`].
pub async fn plan_at(
    pool: &PgPool,
    declaration: &Declaration,
    clock: Option<DateTime<Utc>>,
) -> Result<Planned, EngineError> {
    let mut tx = base::begin(pool).await?;
    // A replica with another declaration of this job registered it later: the schedule is no longer ours to plan.
    let row: Option<(DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
        "SELECT planned_through, clock_timestamp() FROM jobs.schedule WHERE job = $1 AND cadence = $2 FOR UPDATE",
    )
    .bind(&declaration.name)
    .bind(declaration.cadence.to_string())
    .fetch_optional(&mut *tx)
    .await?;
    let Some((mut planned_through, database_now)) = row else { return Ok(Planned::default()) };
    let now = clock.unwrap_or(database_now);
    if planned_through > now {
        planned_through = take_back(&mut tx, declaration, now).await?;
    }
    let occurrences = declaration.cadence.between(planned_through, now, MOST_OCCURRENCES);
    let next = declaration.cadence.next_after(now).map(|next| (next, next - now));
    if occurrences.is_empty() {
        tx.commit().await?;
        return Ok(Planned { next, ..Planned::default() });
    }
    let decisions = decide(declaration, &occurrences, now);
    sqlx::query!(
        "INSERT INTO jobs.run (job, scheduled_for, origin, status, note, not_before, finished_at)
         SELECT $1, at, 'schedule', CASE WHEN reason IS NULL THEN 'queued' ELSE 'skipped' END, reason, at,
                CASE WHEN reason IS NULL THEN NULL ELSE clock_timestamp() END
           FROM unnest($2::timestamptz[], $3::text[]) AS due (at, reason)
         ON CONFLICT ON CONSTRAINT run_occurrence_key DO NOTHING",
        &declaration.name,
        &occurrences,
        &decisions as _
    )
    .execute(&mut *tx)
    .await?;
    let last = occurrences.last().copied().unwrap_or(now);
    sqlx::query!("UPDATE jobs.schedule SET planned_through = $2 WHERE job = $1", &declaration.name, last)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    let skipped = decisions.iter().flatten().count();
    metric::runs(&declaration.name, "skipped", skipped as u64);
    Ok(Planned { queued: occurrences.len() - skipped, skipped, next })
}

/// The clock went back: what was planned in a future that did not come is taken back, and comes again when it is due.
/// What has begun stays: its occurrence has happened. Returns through when occurrences are accounted for now.
async fn take_back(
    connection: &mut PgConnection,
    declaration: &Declaration,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, sqlx::Error> {
    let taken = sqlx::query!(
        "DELETE FROM jobs.run
          WHERE job = $1 AND scheduled_for > $2 AND origin = 'schedule' AND started_at IS NULL
            AND status IN ('queued', 'waiting', 'skipped')",
        &declaration.name,
        now
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("UPDATE jobs.schedule SET planned_through = $2 WHERE job = $1", &declaration.name, now)
        .execute(connection)
        .await?;
    let taken = taken.rows_affected();
    tracing::warn!(job = declaration.name, taken, "the database's clock went back; the plan follows it");
    Ok(now)
}

/// For each due occurrence, oldest first: none to run it, or the reason why it is skipped.
fn decide(declaration: &Declaration, occurrences: &[DateTime<Utc>], now: DateTime<Utc>) -> Vec<Option<String>> {
    let window = TimeDelta::from_std(declaration.window).unwrap_or(TimeDelta::MAX);
    let latest = occurrences.last();
    occurrences
        .iter()
        .map(|at| {
            let late = now - at;
            let on_time = late <= ON_TIME;
            match declaration.catch_up {
                _ if !on_time && late > window => {
                    Some("missed while no scheduler was running; older than the catch-up window".to_owned())
                }
                CatchUp::None if !on_time => {
                    Some("missed while no scheduler was running; this job does not catch up".to_owned())
                }
                CatchUp::Latest if Some(at) != latest => {
                    Some("missed while no scheduler was running; only the latest is caught up".to_owned())
                }
                CatchUp::None | CatchUp::Latest | CatchUp::All => None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::Cadence;

    fn run_after_two_days_down(catch_up: CatchUp, window: Duration) -> Vec<String> {
        let mut declaration = Declaration::new("nightly", Cadence::cron("30 2 * * *", base::Tz::UTC).unwrap());
        declaration.catch_up = catch_up;
        declaration.window = window;
        let down: DateTime<Utc> = "2026-11-01T12:00:00Z".parse().unwrap();
        let now: DateTime<Utc> = "2026-11-04T10:00:00Z".parse().unwrap();
        let occurrences = declaration.cadence.between(down, now, 100);
        assert_eq!(occurrences.len(), 3);
        let decisions = decide(&declaration, &occurrences, now);
        let run = occurrences.iter().zip(decisions).filter(|(_, reason)| reason.is_none());
        run.map(|(at, _)| at.format("%d").to_string()).collect()
    }

    #[test]
    fn down_for_two_days_then_each_policy() {
        let week = Duration::from_secs(7 * 86_400);
        assert_eq!(run_after_two_days_down(CatchUp::None, week), [""; 0]);
        assert_eq!(run_after_two_days_down(CatchUp::Latest, week), ["04"]);
        assert_eq!(run_after_two_days_down(CatchUp::All, week), ["02", "03", "04"]);
    }

    #[test]
    fn nothing_older_than_the_window_is_caught_up() {
        let day = Duration::from_secs(36 * 3_600);
        assert_eq!(run_after_two_days_down(CatchUp::All, day), ["03", "04"]);
        assert_eq!(run_after_two_days_down(CatchUp::Latest, Duration::from_secs(3_600)), [""; 0]);
    }

    #[test]
    fn what_is_on_time_is_never_called_missed() {
        let declaration = Declaration {
            catch_up: CatchUp::None,
            window: Duration::ZERO,
            ..Declaration::new("poll", Cadence::every("5m").unwrap())
        };
        let at: DateTime<Utc> = "2026-11-01T12:00:00Z".parse().unwrap();
        assert_eq!(decide(&declaration, &[at], at + TimeDelta::seconds(40)), [None]);
    }
}
